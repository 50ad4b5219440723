"""Small real containers with flipped bits, holes and cuts: prep never crashes, hangs or writes a bad cache."""

import contextlib
import shutil
import signal

import numpy as np
import pytest

from helpers.containers import Track, make_film
from helpers.prepping import findings, prepare_here

KINDS = {
    "h264-ac3.mkv": ("libx264", ("ac3", "flac")),
    "h264-aac.mp4": ("libx264", ("aac", "aac")),
    "mpeg2-ac3.ts": ("mpeg2video", ("ac3", "mp2")),
    "mpeg4-pcm.avi": ("mpeg4", ("pcm_s16le",)),  # AVI names no languages
    "vp8-vorbis.webm": ("libvpx", ("vorbis", "libopus")),
    "mjpeg-pcm.mov": ("mjpeg", ("pcm_f32le", "pcm_s24le")),
}
SECONDS_PER_FILM = 30  # each takes about 0.1 s


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """Whole small films, one of each kind."""
    folder = tmp_path_factory.mktemp("originals")
    for name, (video, sounds) in KINDS.items():
        experimental = {"strict": "-2"}  # FFmpeg's own Vorbis
        tracks = [Track(language, codec=codec, seed=ord(language[0]), options=experimental)
                  for language, codec in zip(("eng", "spa"), sounds, strict=False)]  # fmt: skip
        options = {"deadline": "realtime", "cpu-used": "8"} if video == "libvpx" else {}
        pixels = "yuvj420p" if video == "mjpeg" else "yuv420p"
        make_film(folder / name, seconds=3.6, fps=24, size=(48, 32), gop=12, video_codec=video, pix_fmt=pixels,
                  tracks=tracks, video_options=options)  # fmt: skip
    return folder


def damaged(data, generator):
    """The bytes with one of five kinds of damage; headers, which are small, are hit as often as the rest."""
    out = bytearray(data)
    kind = generator.choice(["bits", "header bits", "cut", "hole", "noise", "swap"])
    where = int(generator.integers(0, len(out)))
    length = int(generator.integers(1, 1 + len(out) // 8))
    if kind in ("bits", "header bits"):
        reach = len(out) if kind == "bits" else min(4096, len(out))
        for _ in range(int(2 ** generator.uniform(0, 6))):
            out[int(generator.integers(0, reach))] ^= 1 << int(generator.integers(0, 8))
    elif kind == "cut":
        del out[where:]
    elif kind == "hole":
        del out[where : where + length]
    elif kind == "noise":
        out[where : where + length] = generator.bytes(len(out[where : where + length]))
    else:
        other = int(generator.integers(0, len(out)))
        out[where : where + length] = out[other : other + length]
    return bytes(out), kind


@contextlib.contextmanager
def at_most(seconds, what):
    """Raise where the block takes longer: a hang."""

    def ring(*_):
        raise TimeoutError(f"{what} hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def try_cases(originals, folder, monkeypatch, seeds):
    """Outcomes of damaged films, each in a cache of its own that must be sound whatever happened."""
    counts = {"ok": 0, "failed": 0}
    for seed in seeds:
        generator = np.random.default_rng(seed)
        name = sorted(KINDS)[seed % len(KINDS)]
        data, kind = damaged((originals / name).read_bytes(), generator)
        film, cache = folder / name, folder / "cache"
        film.write_bytes(data)
        what = f"seed {seed}: {name}, {kind}"
        with at_most(SECONDS_PER_FILM, what):
            (outcome,) = prepare_here(monkeypatch, [film], cache, "en,es", assume_primary=True).values()
        counts[outcome.status] += 1
        assert "traceback" not in outcome.details, f"{what}: {outcome.details['traceback']}"
        assert outcome.status == "ok" or outcome.reason, what
        assert findings(cache) == [], what
        assert not list(cache.rglob(".tmp-*")), what
        size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        assert size < 300e6, f"{what}: a film of 3.6 s, 90 frames of at most a minute each, became {size} bytes"
        shutil.rmtree(cache)
    return counts


def test_damaged_films_never_crash_hang_or_spoil_the_cache(originals, tmp_path, monkeypatch):
    counts = try_cases(originals, tmp_path, monkeypatch, range(60))
    # both must occur, or the damage is too small or too great to tell anything
    assert min(counts.values()) >= 5


@pytest.mark.slow
def test_many_more_damaged_films(originals, tmp_path, monkeypatch):
    counts = try_cases(originals, tmp_path, monkeypatch, range(1000, 1400))
    assert min(counts.values()) >= 40
