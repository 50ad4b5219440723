"""Dubs of whole films, through the command: which stay, which are left out and why, which are corrected."""

import json

import av
import numpy as np
import pytest

from dubcli.cache.reader import Cache
from dubcli.media.stretch import Stretcher
from helpers.containers import Track, make_film
from helpers.dubs import RATE, background, moved, speech
from helpers.prepping import findings, log_lines

SECONDS = 36
MEL_FRAME_SECONDS = 512 / 48000
# language of the dub -> (seconds late, ppm slow)
LAGS = {"es": (0.0, 0), "fr": (0.045, 0), "de": (-0.0605, 0), "it": (0.13, 0), "pt": (-2.5, 0), "sv": (0.0, 41_667)}
PAL = -1e6 / 25  # a film sped up from 24 to 25 pictures a second: its dub ends early against the slow original


@pytest.fixture(scope="module")
def dubbed(tmp_path_factory):
    """A film with an original and six dubs, AC-3 at 192 kbit/s, and one dub that shares nothing with it."""
    shared = background(1, SECONDS + 20)
    tracks = [Track("eng", sound=mix(shared, 0, 0, 2))]
    for seed, (language, (late, slow)) in enumerate(LAGS.items(), start=3):
        tracks.append(Track(language, sound=mix(shared, late, slow, seed)))
    tracks.append(Track("nl", sound=0.3 * background(99, SECONDS) + 0.3 * speech(98, SECONDS)))
    folder = tmp_path_factory.mktemp("dubbed")
    make_film(folder / "film.mkv", seconds=SECONDS, fps=8, tracks=tracks)
    return folder / "film.mkv"


def mix(shared, late, slow, seed):
    return 0.3 * moved(shared, late, slow, SECONDS) + 0.3 * speech(seed, SECONDS)


def languages():
    return ",".join(["en", *LAGS, "nl"])


def test_dubs_that_are_off_are_left_out_with_the_reason(dubav, dubbed, tmp_path):
    done = dubav("prep", dubbed, "--lang", languages(), "--json")
    assert done.returncode == 0
    (movie,) = Cache(tmp_path / "cache").movies
    assert set(movie.tracks) == {"en", "es", "fr", "de", "nl"}
    left_out = movie.meta["left_out"]
    assert left_out.keys() == {"it", "pt", "sv"}
    assert left_out["it"].startswith("off by 130 ms (drift 0 ppm), more than --max-lag-ms 80")
    assert left_out["pt"].startswith("off by -2500 ms")
    assert "drift 416" in left_out["sv"]
    errors = [
        abs(movie.tracks[language]["sync"]["lag_ms"] - 1e3 * LAGS[language][0]) for language in ("es", "fr", "de")
    ]
    assert max(errors) < 0.5
    assert movie.tracks["nl"]["sync"]["status"] == "unknown"
    warning = json.loads(done.stdout)["outcomes"][0]["warning"]
    assert "nl: sync unknown, too little is shared with en to tell" in warning
    assert "pt left out: off by -2500 ms" in warning
    assert findings(tmp_path / "cache") == []


def test_a_limit_of_ones_own_and_no_check_at_all(dubav, dubbed, tmp_path):
    assert dubav("prep", dubbed, "--lang", "en,fr,it", "--max-lag-ms", 40).returncode == 0
    assert set(Cache(tmp_path / "cache").movies[0].meta["left_out"]) == {"fr", "it"}
    assert dubav("prep", dubbed, "--lang", "en,it", "--no-sync-check", "--cache", tmp_path / "all").returncode == 0
    (movie,) = Cache(tmp_path / "all").movies
    assert set(movie.tracks) == {"en", "it"}
    assert "sync" not in movie.tracks["it"]


def test_fixed_dubs_have_the_originals_background(dubav, dubbed, tmp_path):
    done = dubav("prep", dubbed, "--lang", languages(), "--fix-lag")
    assert done.returncode == 0
    (movie,) = Cache(tmp_path / "cache").movies
    assert movie.meta["left_out"] == {}
    for language, (late, slow) in LAGS.items():
        fixed = movie.tracks[language].get("fixed")
        assert (fixed is not None) == (language in ("it", "pt", "sv"))
        if fixed:
            assert fixed["lag_ms_at_start"] == pytest.approx(1e3 * late, abs=1.0)
            assert fixed["drift_ppm"] == pytest.approx(slow, abs=60)
    for language, (late, _) in LAGS.items():
        left = 0 if "fixed" in movie.tracks[language] else late / MEL_FRAME_SECONDS
        assert abs(best_shift(movie, language) - left) <= 1
    assert findings(tmp_path / "cache") == []


def test_dubs_that_are_added_later_are_judged_and_corrected_alike(dubav, dubbed, tmp_path):
    for options in ((), ("--fix-lag",)):
        once, later = tmp_path / f"once{len(options)}", tmp_path / f"later{len(options)}"
        dubav("prep", dubbed, "--lang", "en,it", "--cache", once, *options)
        dubav("prep", dubbed, "--lang", "en", "--cache", later, *options)
        dubav("prep", dubbed, "--lang", "en,it", "--cache", later, *options)
        (one,), (other,) = Cache(once).movies, Cache(later).movies
        assert one.meta == other.meta
        assert ("it" in one.tracks) == bool(options)
        for language in one.tracks:
            assert np.array_equal(one.mel(language), other.mel(language))
        assert sorted(path.name for path in one.folder.iterdir()) == sorted(
            path.name for path in other.folder.iterdir()
        )


def best_shift(movie, language):
    """By how many mel frames a dub's background has to be moved to be most like the original's.

    The speech is alike on both sides; what differs between them is the background.
    """
    first, stop = movie.valid_range(["en", language])
    mels = [movie.mel(name)[first:stop].astype(np.float32) for name in ("en", language)]
    original, dub = (mel[:, 0] - mel[:, 1] for mel in mels)
    middle = original[..., 40:-40].ravel()
    shifts = {shift: dub[..., 40 + shift : 240 + shift].ravel() for shift in range(-20, 21)}
    return max(shifts, key=lambda shift: np.corrcoef(middle, shifts[shift])[0, 1])


def test_a_pal_dub_of_a_film_is_found_and_brought_back(dubav, tmp_path):
    shared = background(5, SECONDS + 20)
    tracks = [
        Track("eng", sound=mix(shared, 0, 0, 2), codec="flac"),
        Track("spa", sound=mix(shared, 0, PAL, 3), codec="flac"),
    ]
    make_film(tmp_path / "film.mkv", seconds=SECONDS, fps=8, tracks=tracks)
    dubav("prep", "film.mkv", "--lang", "en,es")
    assert "drift -40" in Cache(tmp_path / "cache").movies[0].meta["left_out"]["es"]
    dubav("prep", "film.mkv", "--lang", "en,es", "--fix-lag", "--cache", "fixed")
    fixed = Cache(tmp_path / "fixed").movies[0].tracks["es"]["fixed"]
    assert fixed["drift_ppm"] == pytest.approx(PAL, abs=60)
    assert fixed["lag_ms_at_start"] == pytest.approx(0, abs=2)
    assert abs(best_shift(Cache(tmp_path / "fixed").movies[0], "es")) <= 1


@pytest.fixture(scope="module")
def no_dubs(tmp_path_factory):
    """A film whose Spanish is silent, whose French is the English again, whose Dutch is another film's."""
    shared = background(1, SECONDS + 20)
    english = mix(shared, 0, 0, 2)
    tracks = [
        Track("eng", sound=english),
        Track("spa", sound=np.zeros_like(english)),
        Track("fre", sound=0.4 * english, codec="aac"),
        Track("ger", sound=mix(shared, 0, 0, 3)),
        Track("dut", sound=0.3 * background(99, SECONDS) + 0.3 * speech(98, SECONDS)),
    ]
    folder = tmp_path_factory.mktemp("no dubs")
    make_film(folder / "film.mkv", seconds=SECONDS, fps=8, tracks=tracks)
    return folder / "film.mkv"


def test_what_is_no_dub_is_left_out_counted_and_kept_where_that_is_asked_for(dubav, no_dubs, tmp_path):
    done = dubav("prep", no_dubs, "--lang", "en,es,fr,de,nl", "--json")
    assert json.loads(done.stdout)["left out"] == {"silent": 1, "same": 1}
    (movie,) = Cache(tmp_path / "cache").movies
    assert set(movie.tracks) == {"en", "de", "nl"}
    assert movie.meta["left_out"]["es"].startswith("silent: ")
    assert movie.meta["left_out"]["fr"].startswith("the same as en once more")
    assert {tag: report["status"] for tag, report in movie.meta["left_out_sync"].items()} == {
        "es": "silent",
        "fr": "same",
    }
    assert log_lines(tmp_path / "cache")[-1]["left_out"] == {"es": "silent", "fr": "same"}
    # the same cache, asked to keep them: they are added
    again = dubav("prep", no_dubs, "--lang", "en,es,fr,de,nl", "--keep-same")
    assert "left out" not in again.stdout
    (movie,) = Cache(tmp_path / "cache").movies
    assert set(movie.tracks) == {"en", "es", "fr", "de", "nl"}
    assert movie.meta["left_out"] == movie.meta["left_out_sync"] == {}
    assert [movie.tracks[tag]["sync"]["status"] for tag in ("es", "fr", "de", "nl")] == [
        "silent",
        "same",
        "ok",
        "unknown",
    ]
    assert findings(tmp_path / "cache") == []


def test_what_cannot_be_told_is_left_out_where_that_is_asked_for(dubav, no_dubs, tmp_path):
    done = dubav("prep", no_dubs, "--lang", "en,de,nl", "--unknown", "leave-out")
    assert "left out 1 unknown" in done.stdout
    (movie,) = Cache(tmp_path / "cache").movies
    assert set(movie.tracks) == {"en", "de"}
    assert "too little is shared with en" in movie.meta["left_out"]["nl"]
    wrong = dubav("prep", no_dubs, "--lang", "en", "--unknown", "kep")
    assert wrong.returncode == 2
    assert "did you mean keep?" in wrong.stderr


def test_verdicts_are_the_same_in_any_order_alone_and_beside_the_film(dubav, no_dubs, tmp_path):
    dubav("prep", no_dubs, "--lang", "en,es,fr,de,nl", "--cache", "once")
    dubav("prep", no_dubs, "--lang", "en,nl,de,fr,es", "--cache", "turned")
    for language in ("es", "fr", "de", "nl"):
        dubav("prep", no_dubs, "--lang", f"en,{language}", "--cache", "later")
    plain = tmp_path / "apart"
    plain.mkdir()
    copy_streams(no_dubs, plain / "film.mkv", [0, 1])
    for stream, language in enumerate(("es", "fr", "de", "nl"), start=2):
        copy_streams(no_dubs, plain / f"film.{language}.mka", [stream])
    dubav("prep", plain, "--lang", "en,es,fr,de,nl", "--cache", "beside")
    once = verdicts(tmp_path / "once")
    assert once == {"es": "silent", "fr": "same", "de": "ok", "nl": "unknown"}
    assert [verdicts(tmp_path / name) for name in ("turned", "later", "beside")] == [once] * 3


def verdicts(cache):
    (movie,) = Cache(cache).movies
    reports = movie.meta["left_out_sync"] | {tag: track["sync"] for tag, track in movie.tracks.items() if tag != "en"}
    return {tag: report["status"] for tag, report in reports.items()}


def copy_streams(source, target, indices):
    """Some streams of a container into another, undecoded."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        streams = {index: out.add_stream_from_template(container.streams[index]) for index in indices}
        for index, stream in streams.items():
            stream.metadata.update(container.streams[index].metadata)
        for packet in container.demux([container.streams[index] for index in indices]):
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)


def test_a_pal_dub_with_its_pitch_kept_is_found_and_brought_back(dubav, tmp_path):
    shared = background(5, SECONDS + 20)
    whole = 0.3 * shared[:, 10 * RATE :] + 0.3 * speech(3, SECONDS + 10)
    stretcher = Stretcher(25 / 24)
    spanish = np.concatenate([stretcher.push(whole), stretcher.finish()], axis=1)[:, : SECONDS * RATE]
    tracks = [Track("eng", sound=mix(shared, 0, 0, 2), codec="flac"), Track("spa", sound=spanish, codec="flac")]
    make_film(tmp_path / "film.mkv", seconds=SECONDS, fps=8, tracks=tracks)
    dubav("prep", "film.mkv", "--lang", "en,es")
    assert "drift -40000 ppm" in Cache(tmp_path / "cache").movies[0].meta["left_out"]["es"]
    dubav("prep", "film.mkv", "--lang", "en,es", "--fix-lag", "--cache", "fixed")
    (movie,) = Cache(tmp_path / "fixed").movies
    assert movie.tracks["es"]["fixed"]["drift_ppm"] == pytest.approx(PAL, abs=60)
    assert movie.tracks["es"]["fixed"]["lag_ms_at_start"] == pytest.approx(0, abs=20)
    assert abs(best_shift(movie, "es")) <= 1


def test_a_dub_of_another_cut_is_left_out_and_not_bent(dubav, tmp_path):
    shared = background(7, SECONDS + 20)
    later = mix(shared, 0, 0, 3)
    later[:, 24 * RATE :] = mix(shared, 0.4, 0, 3)[:, 24 * RATE :]
    tracks = [Track("eng", sound=mix(shared, 0, 0, 2)), Track("spa", sound=later)]
    make_film(tmp_path / "film.mkv", seconds=SECONDS, fps=8, tracks=tracks)
    for options in ((), ("--fix-lag",)):
        dubav("prep", "film.mkv", "--lang", "en,es", "--cache", f"cache{len(options)}", *options)
        (movie,) = Cache(tmp_path / f"cache{len(options)}").movies
        assert "not steadily: it is cut differently" in movie.meta["left_out"]["es"]


def test_matched_levels(dubav, tmp_path):
    shared = 0.3 * background(5, 13)
    tracks = [Track("eng", sound=shared, codec="pcm_f32le"), Track("spa", sound=shared / 4, codec="pcm_f32le")]
    make_film(tmp_path / "film.mkv", seconds=12.5, tracks=tracks)
    dubav("prep", "film.mkv", "--lang", "en,es", "--match-level", "--keep-same")
    (movie,) = Cache(tmp_path / "cache").movies
    assert movie.tracks["es"]["level_gain"] == pytest.approx(4, rel=0.01)
    assert "level_gain" not in movie.tracks["en"]
    difference = movie.mel("es").astype(np.float32) - movie.mel("en").astype(np.float32)
    assert np.abs(difference).max() < 0.1
