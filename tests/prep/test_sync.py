"""Dubs shifted and stretched by known amounts over the same background, with different speech on top."""

import numpy as np
import pytest

from dubcli.prep.sync import SyncTrace, estimate_sync

RATE = 48000
SECONDS = 66


def smoothed(noise, memory):
    """A one-pole low pass, as a weighted sum of delayed copies."""
    out = np.zeros_like(noise)
    for delay in range(24):
        out[..., delay:] += noise[..., : noise.shape[-1] - delay] * memory**delay * (1 - memory)
    return out


def background(seed, seconds=SECONDS + 20):
    """Stereo noise whose loudness changes at irregular instants: music and effects."""
    generator = np.random.default_rng(seed)
    noise = smoothed(generator.normal(size=(2, seconds * RATE)).astype(np.float32), 0.8)
    steps = np.cumsum(generator.uniform(0.1, 0.6, size=seconds * 4))
    loudness = generator.uniform(0, 1, size=steps.size + 1) ** 2
    return noise * loudness[np.searchsorted(steps, np.arange(seconds * RATE) / RATE)].astype(np.float32)


def speech(seed, seconds=SECONDS):
    """Syllables in the centre: alike in both channels."""
    generator = np.random.default_rng(seed)
    voice = smoothed(generator.normal(size=seconds * RATE).astype(np.float32), 0.6)
    syllables = np.repeat(generator.uniform(size=seconds * 8) > 0.5, RATE // 8)
    return np.stack([voice * syllables] * 2)


def trace(stereo):
    out = SyncTrace()
    for start in range(0, stereo.shape[1], 70_001):
        out.add(stereo[:, start : start + 70_001])
    out.finish()
    return out


@pytest.fixture(scope="module")
def scene():
    """(the background from 10 s before the film to 10 s after it, the primary track's trace)."""
    sound = background(1)
    return sound, trace(0.3 * sound[:, 10 * RATE : (10 + SECONDS) * RATE] + 0.3 * speech(2))


def dub(sound, lag_seconds, ppm, seed=3):
    """The same background later by the lag and slower by ``ppm``, under other speech."""
    film_time = (np.arange(SECONDS * RATE) / RATE - lag_seconds) / (1 + ppm * 1e-6)
    at = (film_time + 10) * RATE
    moved = np.stack([np.interp(at, np.arange(sound.shape[1]), channel) for channel in sound])
    return trace((0.3 * moved).astype(np.float32) + 0.3 * speech(seed))


@pytest.mark.parametrize("lag_seconds", [0.0, 0.0375, -0.061, 0.25, -3.2, 7.3])
def test_a_constant_lag_is_found_within_a_millisecond(scene, lag_seconds):
    report = estimate_sync(scene[1], dub(scene[0], lag_seconds, 0))
    assert report.lag_ms == pytest.approx(lag_seconds * 1e3, abs=1.0)
    assert report.drift_ppm == pytest.approx(0, abs=20)
    assert report.status == ("off" if abs(lag_seconds) > 0.08 else "ok")


@pytest.mark.parametrize("ppm", [300, -1000, 1001, 41_667, -40_000])
def test_drift_is_found_and_counts_in_every_window(scene, ppm):
    report = estimate_sync(scene[1], dub(scene[0], 0.02, ppm))
    assert report.drift_ppm == pytest.approx(ppm, abs=max(20, abs(ppm) * 0.005))
    at_end = 20 + ppm * 1e-3 * SECONDS
    assert report.max_lag_ms == pytest.approx(max(20, at_end, key=abs), rel=0.01, abs=3)
    assert report.status == ("ok" if abs(at_end) <= 80 else "off")
    assert report.lag_seconds(0, SECONDS) == pytest.approx(0.02, abs=0.02)


def test_unrelated_sound_is_unknown_and_never_a_made_up_lag(scene):
    for seed in range(4):
        other = background(100 + seed, SECONDS) * 0.3 + speech(200 + seed) * 0.3
        assert estimate_sync(scene[1], trace(other)).status == "unknown"


def test_silence_mono_and_very_short_tracks_are_unknown(scene):
    silence = np.zeros((2, SECONDS * RATE), np.float32)
    assert estimate_sync(scene[1], trace(silence)).status == "unknown"
    assert estimate_sync(trace(silence), trace(silence)).status == "unknown"
    assert estimate_sync(SyncTrace(), SyncTrace()).status == "unknown"
    assert estimate_sync(trace(silence[:, :RATE]), trace(silence[:, :RATE])).status == "unknown"


def test_a_film_shorter_than_a_window_and_mono_sound_still_tell(scene):
    short = scene[0][:, : 8 * RATE]
    mono = np.stack([short.mean(axis=0)] * 2)
    later = np.concatenate([np.zeros((2, RATE // 10), np.float32), mono], axis=1)[:, : 8 * RATE]
    report = estimate_sync(trace(mono), trace(later))
    assert report.status == "off"
    assert report.lag_ms == pytest.approx(100, abs=1)


def test_the_limit_is_an_argument(scene):
    track = dub(scene[0], 0.05, 0)
    assert estimate_sync(scene[1], track, max_lag_ms=80).status == "ok"
    assert estimate_sync(scene[1], track, max_lag_ms=40).status == "off"
