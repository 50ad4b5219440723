"""What is written is what is read, in plain numpy too; damage is named."""

import json
import pickle

import numpy as np
import pytest

from dubcli.cache import layout
from dubcli.cache.reader import Cache
from dubcli.cache.writer import added_mel, new_movie, open_cache, update_movie
from dubcli.errors import UserError

META = {"id": "film-0a", "primary": "en", "tracks": {"en": {"valid_clips": [0, 2]}, "fr": {"valid_clips": [1, 3]}}}


def write(cache, n_clips=3, extra=1):
    generator = np.random.default_rng(0)
    mels = generator.normal(size=layout.mel_shape(n_clips + extra)).astype(np.float16)
    frames = [bytes([i]) * (i + 1) for i in range((n_clips + extra) * 16)]
    with new_movie(cache, "film-0a") as movie:
        for frame in frames:
            movie.add_frame(frame)
        for language in ("en", "fr"):
            movie.add_mel(language, mels[:1])
            movie.add_mel(language, mels[1:])
        movie.finish({**META, "n_clips": n_clips})
    return frames, mels


@pytest.fixture
def cache(tmp_path):
    return open_cache(tmp_path / "cache", {"languages": ["en", "fr"], "quality": 3})


def test_roundtrip_cut_to_the_clips_announced(cache):
    frames, mels = write(cache)
    (movie,) = Cache(cache).movies
    assert movie.n_clips == 3
    assert movie.frame_bytes(2) == frames[32:48]
    assert np.array_equal(movie.mel("fr"), mels[:3])
    assert np.array_equal(np.load(movie.folder / "mel.en.npy"), mels[:3])
    assert movie.languages == ("en", "fr")
    assert movie.valid_range(["en"]) == (0, 2)
    assert movie.valid_range(["en", "fr"]) == (1, 2)
    with pytest.raises(IndexError):
        movie.frame_bytes(3)
    assert len(pickle.dumps(movie)) < 10_000


def test_a_failure_inside_the_block_leaves_nothing(cache):
    with pytest.raises(RuntimeError), new_movie(cache, "film-0a") as movie:
        movie.add_frame(b"x")
        raise RuntimeError
    with pytest.raises(ValueError, match="finish"), new_movie(cache, "film-0a"):
        pass
    with pytest.raises(ValueError, match="48 frames|clips announced"), new_movie(cache, "film-0a") as movie:
        movie.add_frame(b"x")
        movie.finish({**META, "n_clips": 3})
    assert Cache(cache).movies == []
    assert list((cache / "movies").iterdir()) == []


def test_added_mel_appears_after_its_array(cache):
    write(cache)
    (movie,) = Cache(cache).movies
    rows = np.ones(layout.mel_shape(3, "nospeech"), np.float16)
    with added_mel(movie.folder, "en-nospeech") as writer:
        writer.append(rows)
    assert not Cache(cache).movies[0].has("en-nospeech")
    update_movie(cache, movie.folder, lambda meta: meta.setdefault("nospeech", {}).update(en={}))
    assert np.array_equal(Cache(cache).movies[0].mel("en-nospeech"), rows)


def test_damage_is_named(cache):
    write(cache)
    folder = cache / "movies" / "film-0a"
    whole = (folder / "mel.en.npy").read_bytes()
    (folder / "mel.en.npy").write_bytes(whole[:5000])
    with pytest.raises(UserError, match=r"mel\.en\.npy cannot be read"):
        Cache(cache).movies[0].mel("en")
    np.save(folder / "mel.en.npy", np.zeros((2, 2, 96, 280), np.float16))
    with pytest.raises(UserError, match=r"\(2, 2, 96, 280\).*\(3, 2, 96, 280\)"):
        Cache(cache).movies[0].mel("en")
    (folder / "frames.jpgs").write_bytes(b"short")
    with pytest.raises(UserError, match=r"frames\.jpgs has 5 bytes"):
        Cache(cache).movies[0].frame_bytes(0)
    with pytest.raises(UserError, match=r"no mel\.de\.npy; it has en, fr"):
        Cache(cache).movies[0].mel("de")
    (folder / "movie.json").write_text("{}")
    with pytest.raises(UserError, match=r"movie\.json lacks 'id'"):
        Cache(cache)


def test_other_parameters_and_formats_are_refused_with_both_values(cache):
    open_cache(cache, {"languages": ["en", "fr"], "quality": 3})
    with pytest.raises(UserError, match="quality 3, now it is 5"):
        open_cache(cache, {"languages": ["en", "fr"], "quality": 5})
    (cache / "cache.json").write_text(json.dumps({"format": 2, "parameters": {}}))
    with pytest.raises(UserError, match="format 2"):
        open_cache(cache, {})
    with pytest.raises(UserError, match="format 2"):
        Cache(cache)
    with pytest.raises(UserError, match="no clip cache"):
        Cache(cache / "nowhere")
