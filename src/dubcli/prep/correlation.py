"""By how much one signal is behind another, and how sure that is: onsets, waveforms, lines through many lags."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from dubcli.prep.onsets import Onsets
from dubcli.prep.trace import ONSET_RATE, RATE, Float

Point = tuple[float, float]  # (seconds of the film, seconds by which the dub is late there)

COARSE_SEARCH_SECONDS = 300
FINE_SEARCH_SECONDS = 0.6
ONSET_SEARCH_SECONDS = 1.5
# On unrelated tracks the highest of all normalised correlations stays below 6.5 between waveforms: see the tests.
# Between 10 s of onsets it stays below 5, but for music of one beat, which has as high a peak at every beat.
FINE_SCORE = 8.0
ONSET_SCORE = 5.0
ALONE_SHARE = 0.75  # of the highest peak, which every other one has to stay below
AGREE_SECONDS = 0.02
END_SHARE = 0.1  # of the windows: in a long film the credits may run otherwise


def correlate_onsets(a: Onsets, b: Onsets) -> Point:
    """(peak over the standard deviation, lag of ``b`` behind ``a`` in seconds), bands and mid and side together."""
    length = min(a.frames, b.frames)
    if length < 4 * ONSET_RATE:
        return 0.0, 0.0
    reach = int(min(COARSE_SEARCH_SECONDS * ONSET_RATE, length // 2))
    lags = _slid(a, b, -reach, reach, centred=True)
    spread = lags.std()
    peak = int(lags.argmax())
    if spread == 0:
        return 0.0, 0.0
    return float((lags[peak] - lags.mean()) / spread), (peak - reach) / ONSET_RATE


def onset_lag(a: Onsets, b: Onsets) -> float | None:
    """Seconds by which ``a`` lies late in ``b``, which has as much more at each side as is searched.

    Counted from the middle of that; None where no peak stands out alone.
    """
    total = _slid(a, b, 0, b.frames - a.frames, centred=False)
    peak = int(total.argmax())
    rest = total[np.abs(np.arange(total.size) - peak) > 0.08 * ONSET_RATE]
    if not alone(float(total[peak]), rest, ONSET_SCORE):
        return None
    return float(peak - total.size // 2 + _vertex(total, peak)) / ONSET_RATE


def part_lag(a: Onsets, b: Onsets) -> Point:
    """(peak over the standard deviation, lag in seconds) of the same, with no claim that the peak stands out."""
    total = _slid(a, b, 0, b.frames - a.frames, centred=False)
    spread, peak = float(total.std()), int(total.argmax())
    return (float(total[peak] - total.mean()) / spread if spread else 0.0), (peak - total.size // 2) / ONSET_RATE


def _slid(a: Onsets, b: Onsets, lowest: int, highest: int, *, centred: bool) -> npt.NDArray[np.float64]:
    """The correlation of ``a`` with ``b`` at each lag from ``lowest`` to ``highest`` frames, all bands together.

    Each band over its own spread, and less its mean; of ``b`` only where it is ``centred``. What is sought lies within
    minutes, so some minutes after others are transformed: a long film needs no more memory.
    """
    total = np.zeros(highest - lowest + 1)
    (mean_a, spread_a), (mean_b, spread_b) = a.mean_and_spread, b.mean_and_spread
    told = np.flatnonzero((spread_a > 0) & (spread_b > 0))
    for first, stop in a.pieces():
        low, high = first + lowest, stop + highest
        rows_a, rows_b = a.values(first, stop), b.values(low, high)
        size = 1 << int(np.ceil(np.log2(max(2, high - low))))
        spectrum = np.zeros(size // 2 + 1, np.complex128)
        for band in told:
            if centred:
                rows_b[band, max(0, -low) : max(0, b.frames - low)] -= mean_b[band]
            row_a, row_b = (rows_a[band] - mean_a[band]) / spread_a[band], rows_b[band] / spread_b[band]
            spectrum += np.conj(np.fft.rfft(row_a, size)) * np.fft.rfft(row_b, size)
        total += np.fft.irfft(spectrum, size)[: total.size]
    return total


def alone(peak: float, rest: npt.NDArray[np.float64], score: float) -> bool:
    """Whether a peak is so many standard deviations of the rest above its mean, and no other one is nearly as high."""
    spread = float(rest.std()) if rest.size else 0.0
    return spread > 0 and (peak - float(rest.mean())) / spread >= score and float(rest.max()) <= ALONE_SHARE * peak


def phat_lag(a: Float, b: Float) -> float | None:
    """Seconds by which ``b`` is behind ``a`` ((2, samples) each), or None where no peak stands out alone.

    Nor where the two fit better at a lag beyond those searched: music repeats itself, and nearly the same is not it.
    """
    total = phat(a, b)
    reach = int(FINE_SEARCH_SECONDS * RATE)
    lags = np.concatenate([total[-reach:], total[: reach + 1]])
    peak = int(lags.argmax())
    rest = lags[np.abs(np.arange(lags.size) - peak) > 0.03 * RATE]
    if not alone(float(lags[peak]), rest, FINE_SCORE) or total.max() > lags[peak]:
        return None
    return (peak - reach + _vertex(lags, peak)) / RATE


def phat(a: Float, b: Float) -> npt.NDArray[np.float64]:
    """The cross-correlation of ``a`` and ``b`` ((2, samples) each) with phase weighting, at twice as many lags.

    GCC-PHAT, Knapp and Carter 1976; the second half are negative lags.
    """
    size = 2 * a.shape[1]
    total = np.zeros(size)
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    for row_a, row_b in zip(_tapered(a), _tapered(b), strict=True):
        if min(float(np.abs(row_a).max()), float(np.abs(row_b).max())) < 1e-4:
            continue
        cross = np.conj(np.fft.rfft(row_a, size)) * np.fft.rfft(row_b, size)
        magnitude = np.abs(cross)
        # bins at rounding noise (digital silence in a band) carry no phase worth a full vote
        weight = (frequencies > 60) / np.maximum(magnitude, magnitude.max() * np.float32(1e-6)) ** np.float32(0.9)
        total += _unit(np.fft.irfft(cross * weight, size))
    return total


def _tapered(window: Float) -> Float:
    """A window that fades in and out, from where it sounds to where it does: all films end at their end."""
    sounding = np.flatnonzero(window.any(axis=0))
    tapered = np.zeros(window.shape, np.float32)
    if sounding.size:
        inside = slice(sounding[0], sounding[-1] + 1)
        tapered[:, inside] = window[:, inside] * np.hanning(inside.stop - inside.start).astype(np.float32)
    return tapered


def elsewhere(total: npt.NDArray[np.float64]) -> float:
    """How high a correlation is at another lag, as a share of its height at 0.

    ``total``: of ``phat``, or the sum of several windows', turned so that what was found is at 0. Two windows overlap
    less at a lag; that is made up for, as far as most of them overlaps (some 3 of 12 s).
    """
    lags, overlap = _overlap(total.size)
    other = (lags > 0.1 * RATE) & (overlap > 0.7)
    return float((total[other] / overlap[other]).max() / max(float(total[lags < 0.03 * RATE].max()), 1e-9))


@cache
def _overlap(size: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(size,) each: lags in samples, and how much of two windows overlaps there, both under Hann's window."""
    power = np.abs(np.fft.rfft(np.hanning(size // 2), size)) ** 2
    overlap = np.fft.irfft(power, size)
    return np.abs(np.fft.fftfreq(size, 1 / size)), overlap / overlap[0]


def undo_speed(window: Float, speed: float, length: int) -> Float:
    """Undo a speed inside a window, about its middle.

    Linear between samples, not media.resample: speeds are within a few percent of 1 and any real number, and the window
    is only correlated with another, whose peak a dull treble does not move.
    """
    if speed == 1.0:
        return window
    times = (np.arange(length) - length / 2) * speed + length / 2
    return np.stack([np.interp(times, np.arange(length), channel) for channel in window]).astype(np.float32)


def _unit(correlation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    spread = correlation.std()
    return correlation / spread if spread > 0 else correlation


def _vertex(values: npt.NDArray[np.float64], peak: int) -> float:
    """Where between the samples the parabola through the peak and its neighbours is highest."""
    if not 0 < peak < values.size - 1:
        return 0.0
    left, middle, right = values[peak - 1 : peak + 2]
    bend = left - 2 * middle + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0


def without_outliers(points: list[Point], slope_there: float = 0.0) -> list[Point]:
    """Drop windows far from the line through all that do not tell of another cut.

    A cut lasts to the film's end. Those in the middle, after which the line goes on, heard music that comes again, be
    it half of all: where the windows at both ends have one lag at the film's speed (1 + ``slope_there``).
    Of those at an end, two that agree are kept, and one alone where it stands for more than ``END_SHARE``.
    """
    points = sorted(points)
    if len(points) < 3:
        return points
    slope, offset = line(points)
    distance = np.array([abs(lag - offset - slope * time) for time, lag in points])
    near = distance <= max(0.01, 5 * float(np.median(distance)))
    at_zero = np.array([lag - slope_there * time for time, lag in points])
    if np.median(distance) > AGREE_SECONDS and abs(at_zero[0] - at_zero[-1]) <= AGREE_SECONDS:
        near = np.abs(at_zero - (at_zero[0] + at_zero[-1]) / 2) <= AGREE_SECONDS
    first, last = (int(at) for at in np.flatnonzero(near)[[0, -1]])
    lags = [lag for _, lag in points]
    agree = [abs(after - before) <= AGREE_SECONDS for before, after in itertools.pairwise(lags)]
    backed = [left or right for left, right in zip([False, *agree], [*agree, False], strict=True)]
    heavy = END_SHARE * len(points) < 1
    return [
        point
        for number, point in enumerate(points)
        if near[number] or ((backed[number] or heavy) and not first < number < last)
    ]


def line(points: Sequence[Point]) -> Point:
    """(slope, offset) by Theil and Sen: the median of all pairs' slopes bears outliers in a quarter of the points."""
    times, lags = np.array(points).T
    later, earlier = np.triu_indices(len(times), 1)
    steps = times[earlier] - times[later]
    slope = float(np.median((lags[earlier] - lags[later])[steps != 0] / steps[steps != 0]))
    return slope, float(np.median(lags - slope * times))
