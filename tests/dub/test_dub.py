"""Dubs for one's own film: lines at their times, the original lowered, everything else copied."""

import av
import numpy as np
import pytest

from dubcli.dub import DubConfig, dub_film
from dubcli.dub.stage import duck_gain
from dubcli.errors import UserError

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
    with pytest.raises(UserError, match="no speech engine speaks 'ko'"):
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
