"""``--frame-rule``: recorded in the cache, which holds one rule alone, and in what its clips show."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from dubcli.cache.reader import Cache
from helpers.containers import Track, make_film
from helpers.prepping import command_here


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Six seconds, 24 frames in each of them; the very first and last of a clip are white."""
    path = tmp_path_factory.mktemp("films") / "film.mkv"
    make_film(path, seconds=6, fps=24, flashes=(0, 71, 72, 143), tracks=[Track()])
    return path


def white(cache, clip):
    """Which of a clip's 16 frames are white."""
    (movie,) = Cache(cache).movies
    frames = [np.asarray(Image.open(io.BytesIO(data))) for data in movie.frame_bytes(clip)]
    return [number for number, frame in enumerate(frames) if frame.mean() > 200]


def test_from_the_first_frame_to_the_last_or_neither(film, tmp_path, monkeypatch):
    for rule in ("centres", "ends"):
        done = command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en", "--cache", rule, "--frame-rule", rule)
        assert done.returncode == 0, done.stderr
        assert json.loads((tmp_path / rule / "cache.json").read_text())["parameters"]["frame_rule"] == rule
    assert [white(tmp_path / "centres", clip) for clip in (0, 1)] == [[], []]
    assert [white(tmp_path / "ends", clip) for clip in (0, 1)] == [[0, 15], [0, 15]]


def test_a_cache_has_one_rule(film, tmp_path, monkeypatch):
    assert command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en", "--frame-rule", "ends").returncode == 0
    other = command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en")
    assert other.returncode == 2
    assert "was made with frame_rule ends, now it is centres" in other.stderr
    info = json.loads((tmp_path / "cache" / "cache.json").read_text())
    info["parameters"].pop("frame_rule")  # of an earlier version, which had no choice
    (tmp_path / "cache" / "cache.json").write_text(json.dumps(info))
    assert command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en").returncode == 0
    later = command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en", "--frame-rule", "ends")
    assert "was made with frame_rule centres, now it is ends" in later.stderr
    typo = command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en", "--frame-rule", "centers")
    assert typo.returncode == 2
    assert "did you mean centres" in typo.stderr


def test_a_cache_has_exact_frames_or_any_of_a_slot(film, tmp_path, monkeypatch):
    def prep(*options):
        return command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en", *options)

    assert prep("--frames", "slot").returncode == 0
    assert json.loads((tmp_path / "cache" / "cache.json").read_text())["parameters"]["frames"] == "slot"
    (movie,) = Cache(tmp_path / "cache").movies
    assert (movie.meta["frames"], movie.n_clips) == ("slot", 2)
    other = prep()
    assert (other.returncode, "was made with frames slot, now it is exact" in other.stderr) == (2, True)
    typo = prep("--frames", "slots")
    assert (typo.returncode, "did you mean slot" in typo.stderr) == (2, True)
    both = prep("--frames", "slot", "--frame-rule", "ends")
    assert (both.returncode, "leave --frame-rule ends away" in both.stderr) == (2, True)
    info = json.loads((tmp_path / "cache" / "cache.json").read_text())
    info["parameters"].pop("frames")  # of an earlier version
    (tmp_path / "cache" / "cache.json").write_text(json.dumps(info))
    assert "was made with frames exact, now it is slot" in prep("--frames", "slot").stderr


def test_pictures_are_as_large_as_asked_and_a_cache_has_one_size(film, tmp_path, monkeypatch):
    def prep(*options):
        return command_here(monkeypatch, tmp_path, "prep", film, "--lang", "en", *options)

    assert prep("--short-side", "72").returncode == 0
    (movie,) = Cache(tmp_path / "cache").movies
    with Image.open(io.BytesIO(movie.frame_bytes(0)[0])) as picture:
        assert picture.size == tuple(movie.meta["frame_size"])
        assert min(picture.size) == 72
    assert "was made with short_side 72, now it is 180" in prep().stderr
    for wrong in ("30", "73"):
        done = prep("--short-side", wrong, "--cache", "other")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"--short-side is {wrong}; give an even number of 32 or more" in done.stderr
    assert not (tmp_path / "other").exists()
