"""Languages of a film: added later, in files of their own, changed, broken, and tracks that change within."""

import os
import shutil
from fractions import Fraction

import av
import numpy as np
import pytest

from dubcli.cache.reader import Cache
from dubcli.jobs.options import JobOptions
from helpers.containers import RATE, Track, background, make_film
from helpers.prepping import findings, log_lines, one_movie, prepare_here


def tone(frequency, seconds=7.0, channels=2):
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)
    return np.stack([wave] * channels).astype(np.float32)


def sound_file(path, frequency, seconds=7.0):
    track = Track(None, codec="flac", sound=tone(frequency, seconds))
    make_film(path, seconds=seconds, video_codec=None, tracks=[track])


def pitch(movie, language):
    """Hz of the loudest mel."""
    loudest = int(movie.mel(language).astype(np.float32).mean(axis=(0, 1, 3)).argmax())
    return 700 * (10 ** ((loudest + 1) / 97 * np.log10(1 + 24000 / 700)) - 1)


def test_adding_a_language_decodes_no_picture_and_only_the_tracks_it_needs(monkeypatch, tmp_path):
    film, cache = tmp_path / "film.mkv", tmp_path / "cache"
    make_film(film, seconds=7, tracks=[Track("eng"), Track("spa", seed=2), Track("fre", seed=3)])
    one_movie(monkeypatch, film, cache, "en,es")

    def refuse(*arguments):
        raise AssertionError("the picture was decoded again")

    monkeypatch.setattr("dubcli.prep.demux.decode_pictures", refuse)
    decoded = []
    from dubcli.media.sound import StereoTrack

    decode = StereoTrack.decode

    def note(track, packet):
        decoded.append(track.stream.index)
        return decode(track, packet)

    monkeypatch.setattr(StereoTrack, "decode", note)
    movie, outcome = one_movie(monkeypatch, film, cache, "en,fr")
    assert outcome.details["added"] == ["fr"]
    assert set(decoded) == {1, 3}  # the original once more, to check the sync with
    assert movie.languages == ("en", "es", "fr")
    assert movie.tracks["fr"]["sync"]["status"] == "ok"
    decoded.clear()
    (outcome,) = prepare_here(monkeypatch, [film], cache, "en,es,fr").values()
    assert (outcome.status, decoded) == ("skipped", [])


@pytest.mark.parametrize(("late_seconds", "fix_lag"), [(0.0, False), (0.25, False), (0.25, True)])
def test_the_original_again_added_later_is_no_dub_but_where_it_is_to_be_kept(
    monkeypatch, tmp_path, late_seconds, fix_lag
):
    film, cache, sound = tmp_path / "film.mkv", tmp_path / "cache", background(12)
    make_film(film, seconds=12, tracks=[Track("eng", sound=sound, codec="flac")])
    one_movie(monkeypatch, film, cache, fix_lag=fix_lag)
    late = np.pad(sound, ((0, 0), (round(late_seconds * RATE), 0)))[:, : sound.shape[1]]
    make_film(
        tmp_path / "film.es.mka", seconds=12, video_codec=None, tracks=[Track(None, sound=0.5 * late, codec="flac")]
    )
    for _ in range(2):
        (outcome,) = prepare_here(monkeypatch, [film], cache, "en,es", fix_lag=fix_lag).values()
        (movie,) = Cache(cache).movies
        assert (movie.languages, movie.meta["left_out_sync"]["es"]["status"]) == (("en",), "same")
    assert outcome.status == "skipped"
    (outcome,) = prepare_here(monkeypatch, [film], cache, "en,es", keep_same=True, fix_lag=fix_lag).values()
    (movie,) = Cache(cache).movies
    assert findings(cache) == []
    if late_seconds and not fix_lag:
        assert movie.languages == ("en",)
        assert "off by 250 ms" in movie.meta["left_out"]["es"]
        return
    assert outcome.details["added"] == ["es"]
    assert (movie.languages, movie.meta["left_out"]) == (("en", "es"), {})
    apart = movie.mel("es")[:3].astype(np.float32) - movie.mel("en")[:3].astype(np.float32)
    assert np.median(apart) == pytest.approx(2 * np.log(0.5), abs=0.1)  # at the time of the original


def test_what_was_kept_and_would_be_left_out_today_is_told(monkeypatch, tmp_path):
    generator = np.random.default_rng(5)
    sounds = {tag: (0.1 * generator.normal(size=(2, 3 * RATE))).astype(np.float32) for tag in ("eng", "spa")}
    make_film(tmp_path / "film.mkv", seconds=3, fps=8, tracks=[Track(tag, sound=sounds[tag]) for tag in sounds])
    movie, _ = one_movie(monkeypatch, tmp_path / "film.mkv", tmp_path / "cache", "en,es")
    assert movie.meta["tracks"]["es"]["sync"]["status"] == "unknown"
    for unknown, told in (("keep", False), ("leave-out", True), ("leave-out", True)):
        (outcome,) = prepare_here(
            monkeypatch, [tmp_path / "film.mkv"], tmp_path / "cache", "en,es", unknown=unknown
        ).values()
        assert outcome.status == "skipped"
        assert ("es: stays as it was kept, with its sync unknown" in outcome.details.get("warning", "")) == told


def test_files_beside_the_film_that_change_are_taken_anew(monkeypatch, tmp_path):
    film, cache = tmp_path / "film.mkv", tmp_path / "cache"
    make_film(film, seconds=7, tracks=[])
    sound_file(tmp_path / "film.en.flac", 500)
    sound_file(tmp_path / "film.es.flac", 1000)
    movie, _ = one_movie(monkeypatch, film, cache, "en,es", sync_check=False)
    assert (pitch(movie, "en"), pitch(movie, "es")) == (pytest.approx(500, rel=0.2), pytest.approx(1000, rel=0.2))
    sound_file(tmp_path / "film.es.flac", 3000)
    movie, outcome = one_movie(monkeypatch, film, cache, "en,es", sync_check=False)
    assert outcome.details["note"].startswith("the files of es changed")
    assert (pitch(movie, "en"), pitch(movie, "es")) == (pytest.approx(500, rel=0.2), pytest.approx(3000, rel=0.2))
    sound_file(tmp_path / "film.en.flac", 6000)
    movie, outcome = one_movie(monkeypatch, film, cache, "en,es", sync_check=False)
    assert outcome.details["note"].startswith("the files of en changed")
    assert (pitch(movie, "en"), pitch(movie, "es")) == (pytest.approx(6000, rel=0.2), pytest.approx(3000, rel=0.2))
    (outcome,) = prepare_here(monkeypatch, [film], cache, "en,es", sync_check=False).values()
    assert outcome.status == "skipped"
    assert len(Cache(cache).movies) == 1


def test_a_broken_file_of_a_dub_costs_that_dub_alone(monkeypatch, tmp_path):
    make_film(tmp_path / "film.mkv", seconds=4, tracks=[Track("eng")])
    (tmp_path / "film.es.mp3").write_bytes(b"not sound")
    (tmp_path / "list.csv").write_text("movie,video,es,fr,de\nFilm,film.mkv,film.es.mp3,gone.flac,film.mkv:7\n")
    for source in ("film.mkv", "list.csv"):
        (outcome,) = prepare_here(monkeypatch, [tmp_path / source], tmp_path / "cache", "en,es,fr,de").values()
        assert outcome.status in ("ok", "skipped")
        assert "film.es.mp3: not a media file" in outcome.warning
    assert "gone.flac: the file is not there" in outcome.warning
    assert "no audio stream 7" in outcome.warning
    (tmp_path / "bad.csv").write_text("movie,video,en\nFilm,film.mkv,gone.flac\n")
    (outcome,) = prepare_here(monkeypatch, [tmp_path / "bad.csv"], tmp_path / "cache", "en").values()
    assert (outcome.status, "gone.flac: the file is not there" in outcome.reason) == ("failed", True)


def test_a_dub_of_which_nothing_can_be_heard_is_left_out(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    make_film(film, seconds=7, tracks=[Track("eng"), Track("spa", sound=tone(500, 1.0))])
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache", "en,es")
    assert movie.languages == ("en",)
    assert "es left out: no whole clip of it could be decoded" in outcome.warning


def test_an_original_of_which_nothing_can_be_heard_is_no_film(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    make_film(film, seconds=7, tracks=[Track("eng", sound=tone(500, 1.0)), Track("spa")])
    (outcome,) = prepare_here(monkeypatch, [film], tmp_path / "cache", "en,es").values()
    assert (outcome.status, outcome.reason) == ("failed", "no whole clip of the en track could be decoded")


def test_two_titles_of_one_file_are_two_films(monkeypatch, tmp_path):
    make_film(tmp_path / "film.mkv", seconds=4, tracks=[Track("eng"), Track("fre", seed=2)])
    (tmp_path / "list.csv").write_text("movie,video,en\nOne,film.mkv,film.mkv:1\n")
    prepare_here(monkeypatch, [tmp_path / "list.csv"], tmp_path / "cache")
    (tmp_path / "list.csv").write_text("movie,video,en\nOne,film.mkv,film.mkv:1\nOther,film.mkv,film.mkv:2\n")
    outcomes = prepare_here(monkeypatch, [tmp_path / "list.csv"], tmp_path / "cache")
    assert [outcome.status for outcome in outcomes.values()] == ["skipped", "ok"]
    assert [movie.meta["title"] for movie in Cache(tmp_path / "cache").movies] == ["One", "Other"]
    assert "note" not in outcomes["Other"].details


def test_copies_and_moved_films_are_made_once(monkeypatch, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    make_film(tmp_path / "a" / "film.mkv", seconds=4)
    shutil.copy(tmp_path / "a" / "film.mkv", tmp_path / "b" / "film.mkv")
    options = JobOptions(workers=1)
    prepare_here(monkeypatch, [tmp_path / "a", tmp_path / "b"], tmp_path / "cache", options=options)
    assert [line["status"] for line in log_lines(tmp_path / "cache")] == ["ok", "skipped"]
    shutil.rmtree(tmp_path / "a")
    prepare_here(monkeypatch, [tmp_path / "b"], tmp_path / "cache")
    (movie,) = Cache(tmp_path / "cache").movies
    assert movie.meta["source"]["path"] == str(tmp_path / "b" / "film.mkv")


def write_change(path, parts):
    """One AC-3 track whose layout and rate change: [(layout, rate, frequency, seconds)], beside a picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=24)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("ac3", rate=parts[0][1], layout=parts[0][0])
        sound.metadata["language"] = "eng"
        for _ in range(24 * sum(part[3] for part in parts)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")))
        container.mux(video.encode(None))
        begun = 0
        for layout, rate, frequency, seconds in parts:
            encoder = av.CodecContext.create("ac3", "w")
            encoder.layout, encoder.sample_rate, encoder.format = layout, rate, "fltp"
            channels = len(av.AudioLayout(layout).channels)
            times = np.arange(seconds * rate) / rate
            samples = np.stack([0.3 * np.sin(2 * np.pi * frequency * times)] * channels).astype(np.float32)
            packets = []
            for start in range(0, samples.shape[1], 1536):
                block = np.ascontiguousarray(samples[:, start : start + 1536])
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                packets += encoder.encode(frame)
            for number, packet in enumerate(packets):
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base = sound, Fraction(1, 90000)
                copy.pts = copy.dts = round((begun + 1536 * number / rate) * 90000)
                container.mux_one(copy)
            begun += seconds


def test_a_track_that_changes_its_channels_and_rate_goes_on(monkeypatch, tmp_path):
    film = tmp_path / "film.mkv"
    write_change(film, [("stereo", 48000, 500, 3), ("5.1", 48000, 1000, 3), ("mono", 44100, 2000, 3)])
    movie, outcome = one_movie(monkeypatch, film, tmp_path / "cache")
    assert movie.tracks["en"]["layouts"] == ["stereo", "5.1(side)", "mono"]
    assert movie.n_clips == 3
    assert outcome.warning is None
    for clip, frequency in enumerate((500, 1000, 2000)):
        mel = movie.mel("en")[clip].astype(np.float32)
        loudest = mel[..., 20:-20].mean(axis=(0, 2)).argmax()
        assert 700 * (10 ** ((loudest + 1) / 97 * np.log10(1 + 24000 / 700)) - 1) == pytest.approx(frequency, rel=0.15)
        # all channels alike: every layout's row of the matrix adds up to one, but for the dropped LFE
        assert mel[..., 20:-20].max() == pytest.approx(np.log((0.3 * 256) ** 2), abs=0.8)
    assert findings(tmp_path / "cache") == []


def test_a_name_that_is_no_utf_8(dubav, tmp_path):
    name = os.fsencode(tmp_path) + b"/films/Am\xe9lie.mkv"
    (tmp_path / "films").mkdir()
    make_film(tmp_path / "films" / "plain.mkv", seconds=3.5)
    try:
        os.rename(os.fsencode(tmp_path / "films" / "plain.mkv"), name)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    (tmp_path / "films" / os.fsdecode(b"bad\xff.mkv")).write_bytes(b"no film")
    for status in ("ok", "skipped"):
        assert dubav("prep", "films", "--lang", "en").returncode == 1
        lines = {line["source"]: line["status"] for line in log_lines(tmp_path / "cache")[-2:]}
        assert lines == {os.fsdecode(b"films/Am\xe9lie.mkv"): status, os.fsdecode(b"films/bad\xff.mkv"): "failed"}
    (movie,) = Cache(tmp_path / "cache").movies
    assert os.fsencode(movie.meta["source"]["path"]) == name
    assert findings(tmp_path / "cache") == []


def test_names_that_would_break_lines_or_steer_a_terminal(dubav, tmp_path):
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a\nb\x1b[2Jc 映画.mkv").write_bytes(b"no film")
    for options in ((), ("--quiet",)):
        done = dubav("prep", "films", "--lang", "en", *options)
        (line,) = (line for line in (done.stdout + done.stderr).splitlines() if "failed:" in line)
        assert "a\\nb\\x1b[2Jc 映画.mkv: not a media file" in line
    assert log_lines(tmp_path / "cache")[0]["source"] == "films/a\nb\x1b[2Jc 映画.mkv"
