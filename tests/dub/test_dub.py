"""Dubs for one's own film: lines at their times, the original lowered, everything else copied."""

from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from dubcli.cli.dub import dub
from dubcli.dub import DubConfig, dub_film
from dubcli.dub.stage import LineStream, duck_gain, subtitle_list
from dubcli.errors import UserError
from dubcli.media.mux import SoundTrack, write_mkv
from dubcli.media.subtitles import Subtitle
from helpers.films import make_film

SRT = "1\n00:00:01,000 --> 00:00:02,500\nHola, amigo.\n"


def decode(path, index):
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        resampler = av.AudioResampler(format="fltp", rate=48000)
        frames = [part.to_ndarray() for frame in container.decode(stream) for part in resampler.resample(frame)]
        return np.concatenate(frames, axis=1)


def test_the_gain_is_low_in_lines_and_one_elsewhere():
    gain = duck_gain([(1.0, 2.0)], 0, 3 * 48000, 0.25)
    assert gain[: int(0.87 * 48000)] == pytest.approx(1)
    assert gain[48000:96000] == pytest.approx(0.25)
    assert gain[int(2.13 * 48000) :] == pytest.approx(1)
    assert np.abs(np.diff(gain)).max() < 1e-3
    whole = np.concatenate([duck_gain([(1.0, 2.0)], first, 1000, 0.25) for first in range(0, 144000, 1000)])
    assert np.array_equal(whole, gain)


@pytest.mark.parametrize("speech", ["duck", "centre"])
def test_a_film_gets_a_track_with_the_lines_at_their_times(corpus, tmp_path, speech):
    film = corpus.films / "film-001.mkv"
    (tmp_path / "es.srt").write_text("1\n00:00:04,000 --> 00:00:06,000\nLa puerta estaba abierta.\n", encoding="utf-8")
    out = dub_film(film, [tmp_path / "es.srt"], tmp_path / "out.mkv", DubConfig(speech=speech, duck_db=-40))
    with av.open(str(out)) as container:
        assert [stream.language for stream in container.streams.audio] == ["eng", "spa", "fre", "jpn", "spa"]
        assert container.streams.audio[4].codec_context.layout.name == "5.1(side)"
    before, after = decode(film, 0), decode(out, 4)
    assert np.allclose(decode(out, 0), before, atol=0.02)  # copied; AC-3's decoder dithers
    assert abs(after.shape[1] - before.shape[1]) < 4800
    line = slice(int(4.1 * 48000), int(5.5 * 48000))
    quiet = slice(8 * 48000, 10 * 48000)
    rms = lambda sound: float(np.sqrt(np.mean(sound**2)))  # noqa: E731
    if speech == "duck":
        assert rms(after[:2, line]) < 0.1 * rms(before[:2, line])
        assert rms(after[:2, quiet]) == pytest.approx(rms(before[:2, quiet]), rel=0.1)
    else:
        assert rms(after[:2, line]) == pytest.approx(rms(before[:2, line]), rel=0.1)
        assert rms(after[2, quiet]) < 0.2 * rms(before[2, quiet]) + 1e-3
    assert rms(after[2, line]) > 0.01


def test_what_is_wrong_is_said(corpus, tmp_path):
    film = corpus.films / "film-001.mkv"
    script = tmp_path / "x.ko.srt"
    script.write_text(SRT)
    with pytest.raises(UserError, match=r"x\.ko\.srt: no speech engine speaks 'ko'"):
        dub_film(film, [script], tmp_path / "o.mkv")
    script = tmp_path / "subtitles.srt"
    script.write_text(SRT)
    with pytest.raises(UserError, match="does not say its language"):
        dub_film(film, [script], tmp_path / "o.mkv")
    with pytest.raises(UserError, match="cannot be read"):
        dub_film(film, [tmp_path / "gone.es.srt"], tmp_path / "o.mkv")
    empty = tmp_path / "y.es.srt"
    empty.write_text("nothing")
    with pytest.raises(UserError, match="no subtitle"):
        dub_film(film, [empty], tmp_path / "o.mkv")
    assert not (tmp_path / "o.mkv").exists()


def test_command(corpus, tmp_path, dubav):
    film = corpus.films / "film-002.mkv"
    done = dubav("dub", film, "--subs", film.with_suffix(".fr.srt"), "--out", "dubbed.mkv", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dubbed.mkv").is_file()
    assert dubav("dub", film).returncode == 2
    assert dubav("dub", "gone.mkv", "--subs", film.with_suffix(".fr.srt")).returncode == 2


MANY = """1
00:00:00,500 --> 00:00:01,000
Hola, amigo.

2
00:00:01,000 --> 00:00:01,500
[ruido]

3
00:00:0x,000 --> 00:00:01,500
Mal.

4
01:00:00,000 --> 01:00:01,000
Tarde.
"""
COUNTED = "4 cues: 1 spoken, 1 not speech, 1 times not understood, 1 after the end"


class SilentEngine:
    """Makes no sound of anything."""

    name = "silent"
    languages = ("es",)

    def say(self, text, language, voice):
        return np.zeros(4800, np.float32), 48000


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    tone = (0.2 * np.sin(np.arange(96000) / 20)).astype(np.float32)
    track = SoundTrack(sound=np.stack([tone, tone]), language="en", layout="stereo", codec="aac")
    pictures = [np.full((64, 96, 3), level, np.uint8) for level in range(50)]
    write_mkv(path, pictures, Fraction(25), (96, 64), [track])
    return path


def scripts(folder, **texts):
    for name, text in texts.items():
        (folder / f"film.{name.replace('_', '.')}.srt").write_text(text, encoding="utf-8")
    return [folder / f"film.{name.replace('_', '.')}.srt" for name in texts]


def test_the_command_says_what_became_of_each_file(film, tmp_path, capsys):
    files = scripts(tmp_path, es_hi=MANY, fr=SRT.replace("01,", "00,").replace("02,", "01,"))
    dub(film, ",".join(map(str, files)), tmp_path / "o.mkv", quiet=True)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{files[0]}: {COUNTED}"
    assert said[1] == "  times not understood in line 10"
    assert said[2] == f"{files[1]}: 1 cue: 1 spoken"
    with av.open(str(tmp_path / "o.mkv")) as container:
        assert [stream.language for stream in container.streams.audio] == ["eng", "spa", "fre"]


def test_mp4_is_mp4(film, tmp_path):
    made = dub_film(film, scripts(tmp_path, es=MANY, fr=MANY), tmp_path / "o.mp4")
    assert made.read_bytes()[4:8] == b"ftyp"
    with av.open(str(made)) as container:
        assert "mp4" in container.format.name
        assert [stream.language for stream in container.streams.audio] == ["eng", "spa", "fra"]
        assert container.streams.audio[1].duration * container.streams.audio[1].time_base == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", ["o.avi", "o.webm", "o", "o.mkv.txt"])
def test_other_containers_are_refused(film, tmp_path, name):
    with pytest.raises(UserError, match=r"Matroska, MP4 or QuickTime"):
        dub_film(film, scripts(tmp_path, es=MANY), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_codec_that_mp4_does_not_hold_is_refused(tmp_path):
    make_film(tmp_path / "film.mkv", 1)  # PCM of unknown layout
    with pytest.raises(UserError, match=r"MP4 .*give .*\.mkv"):
        dub_film(tmp_path / "film.mkv", scripts(tmp_path, es=MANY), tmp_path / "o.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.es.srt", "film.mkv"]


@pytest.mark.parametrize(
    ("text", "config", "said"),
    [
        (MANY[MANY.index("4\n") :], DubConfig(), "1 cue: 0 spoken, 1 after the end"),
        (MANY.replace("Hola, amigo.", "(suspira)"), DubConfig(), "4 cues: 0 spoken, 2 not speech"),
        (MANY, DubConfig(engine="test_dub_engine:SilentEngine"), "0 spoken, .* 1 without a sound"),
    ],
)
def test_a_dub_in_which_nothing_is_spoken_is_a_failure(film, tmp_path, monkeypatch, text, config, said):
    monkeypatch.setitem(__import__("sys").modules, "test_dub_engine", SimpleNamespace(SilentEngine=SilentEngine))
    files = scripts(tmp_path, es=text)
    with pytest.raises(UserError, match=said) as error:
        dub_film(film, files, tmp_path / "o.mkv", config)
    assert "film.es.srt" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["film.es.srt"]


def test_two_files_of_one_language_are_refused(film, tmp_path):
    with pytest.raises(UserError, match=r"both in es"):
        dub_film(film, scripts(tmp_path, es=MANY, es_hi=MANY), tmp_path / "o.mkv")


def test_overlapping_lines_sound_together():
    class Speaker:
        def say(self, text, language, voice=None):
            return np.full(48000, 0.5, np.float32)

    script = [
        Subtitle(start_seconds=0.0, stop_seconds=1.0, text="a"),
        Subtitle(start_seconds=0.5, stop_seconds=1.5, text="b"),
    ]
    lines = LineStream(script, "es", Speaker(), level=0.1)
    sound = np.concatenate([lines.block(first, 12000) for first in range(0, 96000, 12000)])
    assert sound[:24000] == pytest.approx(0.1)
    assert sound[24000:48000] == pytest.approx(0.2)
    assert sound[48000:72000] == pytest.approx(0.1)
    assert not sound[72000:].any()


def test_lists_of_files_may_hold_commas_in_names():
    assert [str(path) for path in subtitle_list("es.srt,fr.vtt, I, Robot.ja.ASS,gone")] == [
        "es.srt", "fr.vtt", "I, Robot.ja.ASS", "gone"
    ]  # fmt: skip
