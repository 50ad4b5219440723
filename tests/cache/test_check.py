"""The deep check names every kind of damage, and a sound cache passes."""

import io

import numpy as np
import pytest
from PIL import Image

from dubcli.cache import layout
from dubcli.cache.check import check_movie
from dubcli.cache.reader import Cache
from dubcli.cache.writer import new_movie, open_cache

CLIPS = 2


def jpeg(shade, size=(32, 18)):
    file = io.BytesIO()
    Image.new("RGB", size, (shade, 0, 0)).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def cache(tmp_path):
    path = open_cache(tmp_path / "cache", {})
    with new_movie(path, "film-0a") as movie:
        for number in range(CLIPS * 16):
            movie.add_frame(jpeg(number))
        movie.add_mel("en", np.zeros(layout.mel_shape(CLIPS), np.float16))
        tracks = {"en": {"valid_clips": [0, CLIPS]}}
        movie.finish({"id": "film-0a", "n_clips": CLIPS, "primary": "en", "tracks": tracks, "frame_size": [32, 18]})
    return path


def findings(cache):
    (movie,) = Cache(cache).movies
    return list(check_movie(movie))


def test_a_sound_cache_passes(cache):
    assert findings(cache) == []


def test_nan_and_impossible_levels_are_found(cache):
    mel = np.load(cache / "movies/film-0a/mel.en.npy")
    mel[1, 0, 3, 4] = np.nan
    mel[0, 1, 0, 0] = 60
    np.save(cache / "movies/film-0a/mel.en.npy", mel)
    first, second = findings(cache)
    assert "clip 0: values from 0 to 60" in first
    assert "clip 1: NaN" in second


def test_every_jpeg_is_decoded(cache):
    path = cache / "movies/film-0a/frames.jpgs"
    data = bytearray(path.read_bytes())
    offsets = np.load(cache / "movies/film-0a/frames.idx.npy")
    data[offsets[17] : offsets[17] + 40] = bytes(40)
    path.write_bytes(data)
    (finding,) = findings(cache)
    assert "clip 1, frame 1: does not decode" in finding


def test_cut_files_and_leftovers_are_found(cache):
    folder = cache / "movies/film-0a"
    (folder / "frames.jpgs").write_bytes(b"short")
    (folder / "mel.en.npy").write_bytes((folder / "mel.en.npy").read_bytes()[:-10])
    (folder / ".tmp-host-1-0badf00d-mel").touch()
    found = findings(cache)
    assert len(found) == 3
    assert all(word in " ".join(found) for word in ("frames.jpgs has 5 bytes", "mel.en.npy", "left by a process"))
