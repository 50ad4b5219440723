"""How far a dub runs before or behind the primary track, from the music and effects that both share.

A dub replaces the dialogue, which sits in the centre, and keeps the rest. The estimator therefore looks at the mid and
at the side (L - R, without the centre) signal of both tracks, in two steps. Coarse: the onset strengths of both over
the whole film are cross-correlated at the speeds that occur in practice (the same, NTSC's 1000/1001, PAL's 25/24 and
their inverses), which finds any offset up to minutes. Fine: the waveforms of short windows spread over the film are
cross-correlated with phase weighting (GCC-PHAT, Knapp and Carter 1976) around the coarse answer; a line through the
windows' lags gives the offset and the drift.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

SAMPLE_RATE = 48000
DECIMATION = 6
RATE = SAMPLE_RATE // DECIMATION  # 8 kHz: phase weighting needs bandwidth, not treble
HOP = 160  # of the onset strength: 50 a second
ONSET_RATE = RATE / HOP
BANDS_HZ = (60, 150, 300, 500, 800, 1200, 1800, 2600, 3800)
WINDOW_SECONDS = 12
SHORTEST_WINDOW_SECONDS = 3
WINDOW_EVERY_SECONDS = 60  # twice as far apart whenever there are too many: a long film needs no more memory
MOST_WINDOWS = 40
DENSE_SECONDS = 120  # a short film gives window after window up to here
FINE_SEARCH_SECONDS = 0.6
COARSE_SEARCH_SECONDS = 300
# On unrelated tracks the highest of all normalised correlations stays below 6 (coarse) and 6.5 (fine): see the tests.
COARSE_SCORE = 8.0
FINE_SCORE = 8.0
PART_SCORE = 5.0  # of a part of the film: what it suggests is believed only where waveforms agree with it
AGREE_SECONDS = 0.02
SPEEDS = tuple(
    Fraction(*pair) for pair in ((1, 1), (1001, 1000), (1000, 1001), (25, 24), (24, 25), (25025, 24000), (24000, 25025))
)


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """``status``: "ok", "off" or "unknown" (too little is shared to tell).

    ``lag_ms`` at the film's middle and ``max_lag_ms`` over all windows are positive where the dub comes late;
    ``drift_ppm`` is positive where it runs slow (its events come later and later). ``windows`` holds
    (start_seconds, lag_ms) of the windows that told something. ``unsteady_ms`` is how far a window lies from the
    steady lag and drift: much where the two are cut differently.
    """

    status: str
    lag_ms: float | None = None
    drift_ppm: float | None = None
    max_lag_ms: float | None = None
    unsteady_ms: float | None = None
    windows: tuple[tuple[float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For ``movie.json``."""
        return asdict(self)

    def lag_seconds(self, at_seconds: float, duration_seconds: float) -> float:
        """The fitted lag at an instant of a film of that length."""
        if self.lag_ms is None or self.drift_ppm is None:
            return 0.0
        return self.lag_ms / 1e3 + self.drift_ppm * 1e-6 * (at_seconds - duration_seconds / 2)


class SyncTrace:
    """What is kept of one track while it streams by: onset strengths of all of it, and some windows of waveform.

    12 MB of onsets and 15 MB of windows for a two-hour film.
    """

    def __init__(self) -> None:
        self._rest = np.zeros((2, 0), np.float32)  # at 48 kHz, less than a decimation step
        self._pending = np.zeros((2, 0), np.float32)  # at 8 kHz, not yet turned into onsets
        self._onsets: list[npt.NDArray[np.float16]] = []
        self._last_energy: Float | None = None
        self._position = 0  # in 8 kHz samples: the end of what has come
        self._window: list[Float] = []
        self._every_seconds = WINDOW_EVERY_SECONDS
        self.windows: dict[int, npt.NDArray[np.float16]] = {}  # start in 8 kHz samples -> (2, samples)

    def add(self, stereo: npt.NDArray[Any]) -> None:
        """Take the next samples, (2, samples) at 48 kHz, from the film's zero on and without holes."""
        left_right = np.concatenate([self._rest, np.asarray(stereo, np.float32)], axis=1)
        whole = left_right.shape[1] // DECIMATION * DECIMATION
        self._rest = left_right[:, whole:]
        # Not media.resample: a plain mean of six samples takes a fifth of its time (2.4 of 11.5 s for two hours).
        # What it lets alias is the same in both tracks, which are only compared with each other.
        mean = sum(left_right[:, first:whole:DECIMATION] for first in range(DECIMATION)) / np.float32(DECIMATION)
        mid_side = np.stack([mean[0] + mean[1], mean[0] - mean[1]])
        self._collect_windows(mid_side)
        self._pending = np.concatenate([self._pending, mid_side], axis=1)
        if self._pending.shape[1] >= 64 * HOP:
            self._add_onsets()

    @property
    def seconds(self) -> float:
        """How much has come."""
        return self._position / RATE

    def finish(self) -> None:
        """Call at the end of the track: keeps the last, shorter window (filled with silence) of a short film."""
        if self._window:
            last = np.concatenate(self._window, axis=1)
            if last.shape[1] >= SHORTEST_WINDOW_SECONDS * RATE:
                padding = ((0, 0), (0, WINDOW_SECONDS * RATE - last.shape[1]))
                start = self._position // (WINDOW_SECONDS * RATE) * WINDOW_SECONDS * RATE
                self.windows[start] = np.pad(last, padding).astype(np.float16)
            self._window = []
        if self._pending.shape[1] >= 2 * HOP:
            self._add_onsets()

    def onsets(self) -> Float:
        """(16, frames): half-wave rectified rises of log energy in 8 bands of mid and of side, 50 frames a second."""
        if not self._onsets:
            return np.zeros((2 * (len(BANDS_HZ) - 1), 0), np.float32)
        return np.concatenate(self._onsets, axis=1, dtype=np.float32)

    def _add_onsets(self) -> None:
        frames = self._pending.shape[1] // HOP - 1
        blocks = np.lib.stride_tricks.sliding_window_view(self._pending, 2 * HOP, axis=1)[:, ::HOP]
        spectrum = np.fft.rfft(blocks * np.hanning(2 * HOP).astype(np.float32), axis=2)
        power = spectrum.real**2 + spectrum.imag**2
        edges = np.searchsorted(np.fft.rfftfreq(2 * HOP, 1 / RATE), BANDS_HZ)
        bands = np.add.reduceat(power, edges[:-1], axis=2)
        energy = np.log(bands + 1e-7).transpose(0, 2, 1).reshape(-1, frames).astype(np.float32)
        before = energy[:, :1] if self._last_energy is None else self._last_energy
        self._onsets.append(np.maximum(np.diff(energy, axis=1, prepend=before), 0).astype(np.float16))
        self._last_energy = energy[:, -1:]
        self._pending = self._pending[:, frames * HOP :]

    def _collect_windows(self, mid_side: Float) -> None:
        length = WINDOW_SECONDS * RATE
        while mid_side.shape[1]:
            room = length - self._position % length
            part, mid_side = mid_side[:, :room], mid_side[:, room:]
            start = self._position // length * length
            if self._wanted(start):
                self._window.append(part)
            self._position += part.shape[1]
            if self._position % length == 0 and self._window:
                self.windows[start] = np.concatenate(self._window, axis=1).astype(np.float16)
                self._window = []
                if len(self.windows) > MOST_WINDOWS:
                    self._every_seconds *= 2
                    self.windows = {start: kept for start, kept in self.windows.items() if self._wanted(start)}

    def _wanted(self, start: int) -> bool:
        return start < DENSE_SECONDS * RATE or start % (self._every_seconds * RATE) == 0


def estimate_sync(primary: SyncTrace, dub: SyncTrace, *, max_lag_ms: float = 80.0) -> SyncReport:
    """Compare a dub's trace with the primary's; "off" where the lag exceeds ``max_lag_ms`` in any window."""
    speed, lag_seconds = _coarse(primary.onsets(), dub.onsets()) or (Fraction(1), 0.0)
    points = _fine(primary, dub, speed, lag_seconds, sorted(primary.windows))
    points = _without_outliers(points + _cut_differently(primary, dub, speed, points))
    # Onsets alone are not believed: unrelated music of one tempo correlates too. Waveforms do not lie.
    if len(points) < min(2, len(primary.windows)) or not points:
        return SyncReport(status="unknown")
    return _report(speed, points, max_lag_ms, primary.seconds)


def _report(speed: Fraction, points: list[tuple[float, float]], max_lag_ms: float, duration: float) -> SyncReport:
    slope = float(speed - 1)
    if len(points) >= 2:
        fitted, _ = _line(points)
        spread = points[-1][0] - points[0][0]
        # a slope is believed where the line moves by more than the windows' own resolution
        slope = fitted if abs(fitted) * spread > 0.002 else 0.0
    offset = float(np.median([lag - slope * time for time, lag in points]))
    lags = [offset, offset + slope * duration, *(lag for _, lag in points)]
    worst = max(lags, key=abs)
    return SyncReport(
        status="off" if abs(worst) * 1e3 > max_lag_ms else "ok",
        lag_ms=round((offset + slope * duration / 2) * 1e3, 2),
        drift_ppm=round(slope * 1e6, 1),
        max_lag_ms=round(worst * 1e3, 2),
        unsteady_ms=round(max(abs(lag - offset - slope * time) for time, lag in points) * 1e3, 2),
        windows=tuple((round(time, 2), round(lag * 1e3, 2)) for time, lag in points),
    )


def _coarse(primary: Float, dub: Float) -> tuple[Fraction, float] | None:
    """(speed, lag in seconds at the film's start) with the highest score over all speeds, or None below the bar."""
    best: tuple[float, Fraction, float] | None = None
    for speed in SPEEDS:
        stretched = _stretch(dub, float(speed))
        score, lag = _correlate_onsets(primary, stretched)
        # the plain answer wins unless another is clearly better: a short film fits several speeds
        if best is None or score > best[0] * (1.15 if best[1] == 1 else 1.0):
            best = score, speed, lag
    if best is None or best[0] < COARSE_SCORE:
        return None
    return best[1], best[2] * float(best[1])


def _stretch(onsets: Float, speed: float) -> Float:
    """Undo a speed: ``speed`` > 1 means that the dub takes longer, so its frames are read in larger steps."""
    if speed == 1.0 or onsets.shape[1] == 0:
        return onsets
    times = np.arange(0, onsets.shape[1] - 1, speed)
    low = times.astype(np.int64)
    share = (times - low).astype(np.float32)
    return onsets[:, low] * (1 - share) + onsets[:, low + 1] * share


def _correlate_onsets(a: Float, b: Float) -> tuple[float, float]:
    """(peak over the standard deviation, lag of ``b`` behind ``a`` in seconds), bands and mid and side together."""
    length = min(a.shape[1], b.shape[1])
    if length < 4 * ONSET_RATE:
        return 0.0, 0.0
    size = 1 << int(np.ceil(np.log2(a.shape[1] + b.shape[1])))
    total = np.zeros(size)
    for row_a, row_b in zip(a, b, strict=True):
        if row_a.std() < 1e-6 or row_b.std() < 1e-6:
            continue
        spectrum = np.conj(np.fft.rfft(_normal(row_a), size)) * np.fft.rfft(_normal(row_b), size)
        total += np.fft.irfft(spectrum, size)
    reach = int(min(COARSE_SEARCH_SECONDS * ONSET_RATE, length // 2))
    lags = np.concatenate([total[-reach:], total[: reach + 1]])
    spread = lags.std()
    peak = int(lags.argmax())
    if spread == 0:
        return 0.0, 0.0
    return float((lags[peak] - lags.mean()) / spread), (peak - reach) / ONSET_RATE


def _normal(row: Float) -> Float:
    return np.asarray((row - row.mean()) / row.std(), np.float32)


def _fine(
    primary: SyncTrace, dub: SyncTrace, speed: Fraction, lag_seconds: float, starts: Sequence[int]
) -> list[tuple[float, float]]:
    """(middle of the window, lag) in seconds of every window of the primary whose match in the dub is beyond doubt."""
    points = []
    length = WINDOW_SECONDS * RATE
    for start in starts:
        window = primary.windows[start]
        middle = start / RATE + WINDOW_SECONDS / 2
        shift = lag_seconds + float(speed - 1) * middle
        other = _around(dub, start + round(shift * RATE), length)
        if other is None:
            continue
        lag = _phat_lag(window.astype(np.float32), _resampled(other, float(speed), length))
        if lag is not None:
            points.append((middle, round(shift * RATE) / RATE + lag))
    return points


def _cut_differently(
    primary: SyncTrace, dub: SyncTrace, speed: Fraction, points: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Points of runs of windows that found nothing near the film's lag: a scene more or less before them, perhaps."""
    told = {round(middle * RATE) - WINDOW_SECONDS * RATE // 2 for middle, _ in points}
    ours, theirs = primary.onsets(), _stretch(dub.onsets(), float(speed))
    found = []
    for silent, run in itertools.groupby(sorted(primary.windows), key=lambda start: start not in told):
        starts = list(run)
        if not silent or len(starts) < 2:
            continue
        first, stop = (round(at / HOP) for at in (starts[0], starts[-1] + WINDOW_SECONDS * RATE))
        score, lag = _correlate_onsets(ours[:, first:stop], theirs[:, first:stop])
        if score >= PART_SCORE:
            found += _fine(primary, dub, speed, lag * float(speed), starts)
    return sorted(found)


def _around(dub: SyncTrace, start: int, length: int) -> Float | None:
    """``length`` samples of the dub from ``start`` on, put together from its windows; None where few of them exist."""
    out = np.zeros((2, length), np.float32)
    covered = 0
    for other_start, window in dub.windows.items():
        low, high = max(start, other_start), min(start + length, other_start + window.shape[1])
        if low < high:
            out[:, low - start : high - start] = window[:, low - other_start : high - other_start]
            covered += high - low
    return out if covered >= length // 2 else None


def _resampled(window: Float, speed: float, length: int) -> Float:
    """Undo a speed inside a window, about its middle.

    Linear between samples, not media.resample: speeds are within a few percent of 1 and any real number, and the window
    is only correlated with another, whose peak a dull treble does not move.
    """
    if speed == 1.0:
        return window
    times = (np.arange(length) - length / 2) * speed + length / 2
    return np.stack([np.interp(times, np.arange(length), channel) for channel in window]).astype(np.float32)


def _phat_lag(a: Float, b: Float) -> float | None:
    """Seconds by which ``b`` is behind ``a`` ((2, samples) each), or None where no peak stands out alone."""
    size = 2 * a.shape[1]
    total = np.zeros(size)
    taper = np.hanning(a.shape[1]).astype(np.float32)
    for row_a, row_b in zip(a, b, strict=True):
        if min(float(np.abs(row_a).max()), float(np.abs(row_b).max())) < 1e-4:
            continue
        cross = np.conj(np.fft.rfft(row_a * taper, size)) * np.fft.rfft(row_b * taper, size)
        frequencies = np.fft.rfftfreq(size, 1 / RATE)
        magnitude = np.abs(cross)
        # bins at rounding noise (digital silence in a band) carry no phase worth a full vote
        weight = (frequencies > 60) / np.maximum(magnitude, magnitude.max() * np.float32(1e-6)) ** np.float32(0.9)
        total += _unit(np.fft.irfft(cross * weight, size))
    reach = int(FINE_SEARCH_SECONDS * RATE)
    lags = np.concatenate([total[-reach:], total[: reach + 1]])
    peak = int(lags.argmax())
    clear = np.abs(np.arange(lags.size) - peak) > 0.03 * RATE
    spread = float(lags[clear].std()) if clear.any() else 0.0
    if spread == 0 or lags[peak] / spread < FINE_SCORE or lags[clear].max() > 0.75 * lags[peak]:
        return None
    return (peak - reach + _vertex(lags, peak)) / RATE


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


def _without_outliers(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Drop windows far from the line through all that stand alone; two that agree tell of another cut, and are kept."""
    points = sorted(points)
    if len(points) < 4:
        return points
    slope, offset = _line(points)
    distance = np.array([abs(lag - offset - slope * time) for time, lag in points])
    near = distance <= max(0.01, 5 * float(np.median(distance)))
    lags = [lag for _, lag in points]
    agree = [abs(after - before) <= AGREE_SECONDS for before, after in itertools.pairwise(lags)]
    backed = [left or right for left, right in zip([False, *agree], [*agree, False], strict=True)]
    return [point for point, keep, known in zip(points, near, backed, strict=True) if keep or known]


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(slope, offset) by Theil and Sen: the median of all pairs' slopes bears outliers in a quarter of the points."""
    times, lags = np.array(points).T
    later, earlier = np.triu_indices(len(times), 1)
    steps = times[earlier] - times[later]
    slope = float(np.median((lags[earlier] - lags[later])[steps != 0] / steps[steps != 0]))
    return slope, float(np.median(lags - slope * times))
