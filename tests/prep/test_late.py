"""A track that begins late is late in every path: in the film's own pass, added later, matched, corrected, alone."""

from fractions import Fraction

import numpy as np
import pytest

from dubcli.media.sound import track_blocks
from helpers.containers import RATE, Track, background, make_film
from helpers.prepping import one_movie


def first_heard(path, stream):
    """Where the track's first sound is, in seconds."""
    position, problems = 0, []
    for block in track_blocks(path, stream, None, RATE, problems):
        loud = np.flatnonzero(np.abs(block.numpy()).max(axis=0) > 1e-3)
        if loud.size:
            assert problems == []
            return (position + int(loud[0])) / RATE
        position += block.shape[1]
    raise AssertionError("nothing heard")


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_eleven_minutes_late_and_decoded_alone(tmp_path, ending):
    path = tmp_path / f"film.{ending}"
    late = Track("spa", codec="aac", sound=0.1 + background(1), delay_seconds=650)
    make_film(path, seconds=1, tracks=[Track("eng", codec="aac"), late])
    assert first_heard(path, 2) == pytest.approx(650, abs=0.05)
    assert first_heard(path, 1) == pytest.approx(0, abs=0.3)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Spanish begins at 6.3 s and is the English sound of 6.0 s on: 0.3 s behind, at half its level."""
    path = tmp_path_factory.mktemp("late") / "film.mp4"
    sound = background(15)
    late = Track("spa", codec="aac", sound=0.5 * sound[:, 6 * RATE :], delay_seconds=6.3)
    make_film(path, seconds=15, tracks=[Track("eng", codec="aac", sound=sound), late])
    return path


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("options", [{"sync_check": False}, {"sync_check": False, "match_level": True},
                                     {"fix_lag": True}, {"fix_lag": True, "match_level": True}])  # fmt: skip
def test_late_in_every_path(monkeypatch, tmp_path, film, added, options):
    monkeypatch.setattr("dubcli.media.clock.LATE_START_SECONDS", 1)  # else films of ten minutes
    for languages in ("en", "en,es") if added else ("en,es",):
        movie, _ = one_movie(monkeypatch, film, tmp_path / "cache", languages, **options)
    fixed = "fix_lag" in options
    assert movie.tracks["es"]["valid_clips"] == [2 if fixed else 3, 5]
    english, spanish = (movie.mel(language).astype(np.float32) for language in ("en", "es"))
    assert (spanish[:2, ..., :270] < -13).all()  # a codec leaks a little before its start
    if fixed:  # sound for sound what the original has, but for its level
        quieter = 0 if "match_level" in options else 2 * np.log(2)
        assert np.median(english[3:] - spanish[3:]) == pytest.approx(quieter, abs=0.1)


@pytest.mark.parametrize(("ending", "codec"), [("mka", "flac"), ("m4a", "alac")])  # without loss: sound is compared
def test_a_sidecar_that_begins_late_is_late(monkeypatch, tmp_path, ending, codec):
    sound = background(15)
    make_film(tmp_path / "film.mkv", seconds=15, tracks=[Track("eng", codec="flac", sound=sound)])
    late = Track("spa", codec=codec, sound=sound[:, 6 * RATE :] + 0.05, delay_seconds=6)
    make_film(tmp_path / f"film.es.{ending}", video_codec=None, tracks=[late])
    movie, _ = one_movie(monkeypatch, tmp_path / "film.mkv", tmp_path / "cache", "en,es", sync_check=False)
    assert movie.tracks["es"]["valid_clips"] == [2, 5]
    assert movie.tracks["es"]["start_seconds"] == 0
    english, spanish = (movie.mel(language).astype(np.float32) for language in ("en", "es"))
    assert (spanish[:2, ..., :270] < -13).all()
    assert np.median(np.abs(english[2:, :, 8:] - spanish[2:, :, 8:])) < 0.1  # but for the constant that differs


def test_a_sidecar_that_begins_eleven_minutes_late(tmp_path):
    late = Track("spa", codec="aac", sound=0.1 + background(1), delay_seconds=650)
    make_film(tmp_path / "film.es.mka", video_codec=None, tracks=[late])
    problems = []
    blocks = track_blocks(tmp_path / "film.es.mka", 0, Fraction(0), RATE, problems)
    heard = [(np.abs(block.numpy()).max(), block.shape[1]) for block in blocks]
    assert problems == []
    assert sum(length for _, length in heard) == pytest.approx(651 * RATE, abs=RATE / 10)
    assert max(peak for peak, _ in heard[:-1]) < 1e-3
