"""Dubs shifted and stretched by known amounts over the same background, with different speech on top."""

import numpy as np
import pytest

from dubcli.prep.sync import estimate_sync
from dubcli.prep.trace import SyncTrace
from helpers.dubs import RATE, SECONDS, background, moved, speech


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
    return trace(0.3 * moved(sound, lag_seconds, ppm) + 0.3 * speech(seed))


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
    for seed in range(3):
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


@pytest.mark.parametrize(("cut_seconds", "lag_seconds"), [(36, 0.3), (24, -0.2), (36, 2.0)])
def test_another_cut_from_some_scene_on_is_off(scene, cut_seconds, lag_seconds):
    sound = moved(scene[0], 0, 0)
    sound[:, cut_seconds * RATE :] = moved(scene[0], lag_seconds, 0)[:, cut_seconds * RATE :]
    report = estimate_sync(scene[1], trace(0.3 * sound + 0.3 * speech(5)))
    assert report.status == "off"
    assert abs(report.max_lag_ms) >= abs(lag_seconds) * 1e3 - 1
    assert report.unsteady_ms > 80
    lags = {round(lag) for _, lag in report.windows}
    assert lags == {0, round(lag_seconds * 1e3)}


def test_a_steady_lag_is_steady(scene):
    for lag_seconds, ppm in ((0.25, 0), (0.02, -1000)):
        assert estimate_sync(scene[1], dub(scene[0], lag_seconds, ppm)).unsteady_ms < 2
