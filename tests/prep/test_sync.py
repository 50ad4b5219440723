"""Dubs shifted and stretched by known amounts over the same background, with different speech on top."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torchaudio

from dubcli.prep.correlation import without_outliers
from dubcli.prep.sync import ONSET_SECONDS, _report, estimate_sync
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


@pytest.mark.parametrize("seconds", [3.5, 8])
def test_films_of_one_window_are_told_by_what_they_share(seconds):
    """Both end at the film's end, which is nothing that they share; within the only window all has to fit."""
    samples = round(seconds * RATE)
    beds = [0.3 * background(20 + number, 10)[:, :samples] for number in range(2)]
    lines = [0.3 * speech(30 + number, 10)[..., :samples] for number in range(3)]
    original = trace(beds[0] + lines[0])
    assert estimate_sync(original, trace(beds[0] + lines[1])).status == "ok"
    assert estimate_sync(original, trace(beds[1] + lines[2])).status == "unknown"
    cut = np.concatenate([beds[0][:, : samples // 2], beds[0][:, samples // 2 + 9600 :], beds[1][:, :9600]], axis=1)
    if seconds > 6:
        assert estimate_sync(original, trace(cut + lines[1])).status == "unknown"


def test_tones_that_fit_each_other_are_not_the_same():
    times = np.arange(4 * RATE) / RATE
    tones = {hz: trace(np.tile(np.sin(2 * np.pi * hz * times), (2, 1)) / 4) for hz in (500, 1500, 3520, 7040)}
    for first, second in ((500, 1500), (1500, 500), (3520, 7040)):
        assert estimate_sync(tones[first], tones[second]).status == "unknown"
        assert estimate_sync(tones[first], tones[first]).status == "same"


def test_silent_dubs_are_silent_whatever_hisses_or_beeps(scene):
    silence = np.zeros((2, SECONDS * RATE), np.float32)
    hiss = np.random.default_rng(0).normal(size=silence.shape).astype(np.float32)
    beep = silence.copy()
    beep[:, : RATE // 2] = 0.3 * np.sin(np.arange(RATE // 2))
    for sound in (silence, hiss * 10**-4.5, hiss * 10**-3.4, beep):
        assert estimate_sync(scene[1], trace(sound)).status == "silent"
    assert estimate_sync(scene[1], dub(scene[0] * 0.01, 0, 0)).status != "silent"


def test_the_original_again_is_the_same_at_any_level_lag_and_speed(scene):
    original = 0.3 * moved(scene[0], 0, 0) + 0.3 * speech(2)
    noisy = original + 1e-3 * np.random.default_rng(0).normal(size=original.shape).astype(np.float32)
    for sound in (0.1 * original, noisy, np.stack([original.mean(axis=0)] * 2)):
        assert estimate_sync(scene[1], trace(sound)).status == "same"
    late = np.pad(original, ((0, 0), (RATE // 3, 0)))[:, : SECONDS * RATE]
    report = estimate_sync(scene[1], trace(late))
    assert report.status == "same"
    assert report.is_off(80)
    assert report.lag_ms == pytest.approx(1000 / 3, abs=1)


def test_a_late_copy_is_the_same_also_where_only_some_windows_are_kept(scene):
    original = np.concatenate([0.3 * moved(scene[0], 0, 0) + 0.3 * speech(seed) for seed in (2, 4, 6, 8)], axis=1)
    late = np.pad(original, ((0, 0), (RATE // 3, 0)))[:, : original.shape[1]]
    report = estimate_sync(trace(original), trace(late))
    assert report.status == "same"
    assert report.lag_ms == pytest.approx(1000 / 3, abs=1)


def test_a_film_in_which_two_seconds_are_dubbed_is_no_copy(scene):
    sound = 0.3 * moved(scene[0], 0, 0) + 0.3 * speech(2)
    sound[:, 40 * RATE : 42 * RATE] += 0.3 * (speech(3) - speech(2))[:, 40 * RATE : 42 * RATE]
    assert estimate_sync(scene[1], trace(sound)).status == "ok"


@pytest.fixture(scope="module")
def music():
    """(notes over noise, 10 s longer than the film, the primary track's trace)."""
    sound = melody(SECONDS + 10) + 0.1 * background(1, SECONDS + 10)
    return sound, trace(0.3 * sound[:, : SECONDS * RATE] + 0.1 * speech(2))


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("late_seconds", "speed"),
    [
        (0.0, 1001 / 1000),
        (1.2, 25 / 24),
        (0.0, 24 / 25),
        pytest.param(1.2, 1001 / 1000, marks=SLOW),
        pytest.param(0.0, 25 / 24, marks=SLOW),
        pytest.param(1.2, 24 / 25, marks=SLOW),
    ],
)
def test_another_speed_with_the_pitch_kept_is_told_by_the_onsets(music, late_seconds, speed):
    stretched = vocoder(0.3 * music[0] + 0.1 * speech(3, SECONDS + 10), speed)
    sound = np.pad(stretched, ((0, 0), (round(late_seconds * RATE), 0)))[:, : SECONDS * RATE]
    report = estimate_sync(music[1], trace(sound), max_lag_ms=100)
    for at_seconds in (0, SECONDS / 2, SECONDS):  # the vocoder smears what it moves
        true = late_seconds + (speed - 1) * at_seconds
        assert report.lag_seconds(at_seconds, SECONDS) == pytest.approx(true, abs=ONSET_SECONDS)
    assert report.status == ("ok" if speed == 1001 / 1000 and not late_seconds else "off")
    if speed != 1001 / 1000:
        assert report.drift_ppm == pytest.approx(1e6 * (speed - 1), abs=60)
        assert report.pitch_kept is True


@pytest.mark.parametrize("speed", [pytest.param(25 / 24, marks=SLOW), 24 / 25])
def test_noise_without_onsets_at_another_speed_is_unknown_rather_than_wrong(scene, speed):
    whole = 0.3 * scene[0][:, 10 * RATE :] + 0.3 * np.pad(speech(3), ((0, 0), (0, 10 * RATE)))
    report = estimate_sync(scene[1], trace(vocoder(whole, speed)[:, : SECONDS * RATE]))
    assert report.status in ("unknown", "off")
    assert report.drift_ppm is None or report.drift_ppm == pytest.approx(1e6 * (speed - 1), abs=60)


def vocoder(sound, speed, size=2048):
    """Slower by ``speed`` with its pitch kept, as a phase vocoder does it, whose waveforms are not the source's."""
    window, hop = torch.hann_window(size), size // 4
    spectrum = torch.stft(torch.from_numpy(sound), size, hop, window=window, return_complex=True)
    advance = torch.linspace(0, np.pi * hop, size // 2 + 1)[:, None]
    stretched = torchaudio.functional.phase_vocoder(spectrum, 1 / speed, advance)
    return torch.istft(stretched, size, hop, window=window).numpy()


@pytest.mark.parametrize("speed", [25 / 24, 24 / 25])
def test_whether_the_pitch_was_kept_is_heard_in_what_has_a_pitch(speed):
    notes = melody(SECONDS + 10)
    original = trace((notes + 0.1 * speech(2, SECONDS + 10))[:, : SECONDS * RATE])
    dubbed = notes + 0.1 * speech(3, SECONDS + 10)
    kept = vocoder(dubbed, speed)[:, : SECONDS * RATE]
    with_it = moved(dubbed, 0, 1e6 * (speed - 1), before_seconds=0)
    for sound, pitch_kept in ((kept, True), (with_it, False)):
        report = estimate_sync(original, trace(sound))
        assert report.drift_ppm == pytest.approx(1e6 * (speed - 1), abs=60)
        assert report.pitch_kept is pitch_kept


def melody(seconds):
    """Notes with overtones, of irregular lengths, in both channels at changing levels."""
    generator, time = np.random.default_rng(8), np.arange(seconds * RATE) / RATE
    out, place = np.zeros((2, seconds * RATE), np.float32), 0
    while place < out.shape[1]:
        length = int(generator.uniform(0.15, 0.6) * RATE)
        part = time[: min(length, out.shape[1] - place)]
        pitch = 110 * 2 ** (generator.integers(36) / 12)
        note = sum(np.sin(2 * np.pi * pitch * k * part) / k for k in range(1, 6)) * np.exp(-4 * part)
        out[:, place : place + part.size] = generator.uniform(0.05, 0.3, size=(2, 1)) * note
        place += length
    return out


def test_mono_and_very_short_tracks_are_unknown(scene):
    silence = np.zeros((2, SECONDS * RATE), np.float32)
    assert estimate_sync(trace(silence), trace(silence)).status == "unknown"
    assert estimate_sync(SyncTrace(), SyncTrace()).status == "unknown"
    assert estimate_sync(trace(silence[:, :RATE]), trace(silence[:, :RATE])).status == "unknown"


def test_a_film_shorter_than_a_window_and_mono_sound_still_tell(scene):
    short = scene[0][:, : 8 * RATE]
    mono = np.stack([short.mean(axis=0)] * 2)
    later = np.concatenate([np.zeros((2, RATE // 10), np.float32), mono], axis=1)[:, : 8 * RATE]
    report = estimate_sync(trace(mono), trace(later))
    assert report.status == "same"
    assert report.is_off(80)
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


@pytest.mark.parametrize(("cut_seconds", "lag_seconds"), [(46, 2.9), (50, -4.0)])
def test_a_cut_near_the_end_is_off_though_most_of_the_film_is_not(scene, cut_seconds, lag_seconds):
    sound = moved(scene[0], 0, 0)
    sound[:, cut_seconds * RATE :] = moved(scene[0], lag_seconds, 0)[:, cut_seconds * RATE :]
    report = estimate_sync(scene[1], trace(0.3 * sound + 0.3 * speech(5)))
    assert report.status == "off"
    assert report.max_lag_ms == pytest.approx(lag_seconds * 1e3, abs=1)


def test_music_that_comes_again_at_another_place_is_no_cut(scene):
    sound = moved(scene[0], 0, 0)
    for first, stop in ((12, 24), (24, 36)):
        sound[:, first * RATE : stop * RATE] = moved(scene[0], 0.42, 0)[:, first * RATE : stop * RATE]
        report = estimate_sync(scene[1], trace(0.3 * sound + 0.3 * speech(5)))
        assert (report.status, report.max_lag_ms) == ("ok", pytest.approx(0, abs=1))


def test_half_of_the_windows_may_have_heard_music_that_comes_again():
    for slope in (0.0, 1 / 24):
        points = [(time, lag + slope * time) for time, lag in [(6, 0.0), (18, -4.473), (30, -4.473), (54, 0.001)]]
        assert without_outliers(points, slope) == [points[0], points[3]]
    cut = [(6.0, 0.0), (18.0, 0.0), (30.0, -4.473), (54.0, -4.473)]
    assert without_outliers(cut) == cut


def test_two_films_with_one_beat_are_unknown():
    def beats(seed):
        generator, out = np.random.default_rng(seed), np.zeros((2, SECONDS * RATE), np.float32)
        hit = generator.normal(size=RATE // 8) * np.exp(-np.arange(RATE // 8) / 1500)
        for at in range(0, out.shape[1] - hit.size, RATE // 2):  # one pattern, as of one machine
            for step in (0, 3):
                out[:, at + step * RATE // 16 :][:, : hit.size] += hit[: out.shape[1] - at - step * RATE // 16]
        return out

    for seed in range(3):
        films = [trace(0.3 * beats(10 * seed + number) + 0.1 * speech(20 * seed + number)) for number in range(2)]
        assert estimate_sync(*films).status == "unknown"
    loop = beats(1)  # of one film, in which it is not all that is heard
    original, dubbed = (trace(0.1 * loop + 0.3 * moved(background(1), 0, 0) + 0.1 * speech(n)) for n in (1, 2))
    assert estimate_sync(original, dubbed).status == "ok"


def test_lags_that_scatter_do_not_make_a_speed_up():
    generator = np.random.default_rng(0)
    for speed in (Fraction(1), Fraction(1001, 1000)):
        for _ in range(20):
            lags = [(at, float(speed - 1) * at + float(generator.uniform(-0.01, 0.01))) for at in range(6, 60, 12)]
            report = _report(speed, lags, 0.002, 60.0)
            assert report.drift_ppm in (0, 1000, -999)
            assert abs(report.lag_seconds(60.0, 60.0) - 60 * float(speed - 1)) < 0.065
