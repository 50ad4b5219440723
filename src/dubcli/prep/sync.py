"""How far a dub runs before or behind the primary track, from the music and effects that both share.

A dub replaces the dialogue, which sits in the centre, and keeps the rest. The estimator therefore looks at the mid and
at the side (L - R, without the centre) signal of both tracks, in two steps. Coarse: the onset strengths of both over
the whole film are cross-correlated at the speeds that occur in practice (the same, NTSC's 1000/1001, PAL's 25/24 and
their inverses), which finds any offset up to minutes. Fine: the waveforms of short windows spread over the film are
cross-correlated with phase weighting around the coarse answer; a line through the windows' lags gives the offset and
the drift. Where no two waveforms agree (a speed that was changed with the pitch kept), the onsets of one stretch after
another have to agree on such a line by themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from dubcli.prep.config import OFF, OK, SAME, SILENT, UNKNOWN
from dubcli.prep.correlation import (
    COARSE_SEARCH_SECONDS,
    ONSET_SEARCH_SECONDS,
    Point,
    correlate_onsets,
    elsewhere,
    line,
    onset_lag,
    part_lag,
    phat,
    phat_lag,
    undo_speed,
    without_outliers,
)
from dubcli.prep.likeness import is_silent, pitch_kept, repeats
from dubcli.prep.onsets import Onsets
from dubcli.prep.trace import ONSET_RATE, RATE, WINDOW_SECONDS, SyncTrace

# On unrelated tracks the highest of all normalised correlations of whole films' onsets stays below 7.6; films of one
# minute that belong together reach 12 and more (bench_sync).
COARSE_SCORE = 8.0
PART_SEARCH_SECONDS = 8
PART_SCORE = 5.0  # of a part of the film: what it suggests is believed only where finer matches agree with it
SHORTEST_HALVED_SECONDS = 6
SEGMENT_SECONDS = 10  # of onsets
AGREEING_SHARE, LEAST_SEGMENTS = 2 / 3, 3  # of the segments that tell something
WAVEFORM_SECONDS, ONSET_SECONDS = 0.002, 0.02  # how sure a lag is
ELSEWHERE_SHARE = 0.6  # of the height of what was found
SCATTER_SECONDS = 0.06  # more is no scatter about a line
CLOCK_DRIFT = 0.002  # more than sound cards and rounded rates of frames make
AUDIBLE_SPEED = Fraction(1, 200)  # 9 cents; less is undone by resampling, whether or not the pitch was kept
SPEEDS = tuple(
    Fraction(*pair) for pair in ((1, 1), (1001, 1000), (1000, 1001), (25, 24), (24, 25), (25025, 24000), (24000, 25025))
)


@dataclass(frozen=True, kw_only=True)
class SyncReport:
    """``status``: "ok", "off", "unknown" (too little is shared to tell), "silent" or "same" (the primary once more).

    ``lag_ms`` at the film's middle and ``max_lag_ms`` over all windows are positive where the dub comes late;
    ``drift_ppm`` is positive where it runs slow (its events come later and later). ``windows`` holds
    (start_seconds, lag_ms) of the windows that told something. ``unsteady_ms`` is how far a window lies from the
    steady lag and drift: much where the two are cut differently. ``pitch_kept`` is None where the speed is the same.
    """

    status: str
    lag_ms: float | None = None
    drift_ppm: float | None = None
    max_lag_ms: float | None = None
    unsteady_ms: float | None = None
    windows: tuple[Point, ...] = ()
    pitch_kept: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """For ``movie.json``."""
        return asdict(self)

    def lag_seconds(self, at_seconds: float, duration_seconds: float) -> float:
        """The fitted lag at an instant of a film of that length."""
        if self.lag_ms is None or self.drift_ppm is None:
            return 0.0
        return self.lag_ms / 1e3 + self.drift_ppm * 1e-6 * (at_seconds - duration_seconds / 2)

    def is_off(self, max_lag_ms: float) -> bool:
        """Whether the lag exceeds the limit anywhere; what is not known does not."""
        return self.max_lag_ms is not None and abs(self.max_lag_ms) > max_lag_ms


@dataclass(frozen=True)
class _Matcher:
    """A way to tell lags: stretches of the film, and what finds each stretch in a dub of some speed and lag."""

    starts_seconds: Sequence[float]
    length_seconds: float
    points: Callable[[Fraction, float, Sequence[float]], list[Point]]
    resolution_seconds: float


def estimate_sync(primary: SyncTrace, dub: SyncTrace, *, max_lag_ms: float = 80.0) -> SyncReport:
    """Compare a dub's trace with the primary's; "off" where the lag exceeds ``max_lag_ms`` in any window."""
    if is_silent(primary, dub):
        return SyncReport(status=SILENT)
    report = _timing(primary, dub)
    if report is None:
        return SyncReport(status=SAME if repeats(primary, dub, lambda _: 0.0, 1.0) else UNKNOWN)
    speed = 1 + (report.drift_ppm or 0.0) * 1e-6

    lag_at = partial(report.lag_seconds, duration_seconds=primary.seconds)
    if abs(speed - 1) > AUDIBLE_SPEED:
        report = replace(report, pitch_kept=pitch_kept(primary, dub, lag_at, speed))
    if repeats(primary, dub, lag_at, speed):
        return replace(report, status=SAME)
    return replace(report, status=OFF if report.is_off(max_lag_ms) else OK)


def _timing(primary: SyncTrace, dub: SyncTrace) -> SyncReport | None:
    """Lag and drift, with no verdict yet; None where nothing agrees."""
    ours, at_speed = Onsets(primary), partial(Onsets, dub)
    coarse = _coarse(ours, at_speed)
    speed, lag_seconds = coarse or (Fraction(1), 0.0)
    waveforms = _waveforms(primary, dub)
    points = _matched(waveforms, ours, at_speed, speed, lag_seconds)
    # Unrelated music of one tempo correlates too. Waveforms do not lie.
    known = len(points) >= min(2, len(primary.windows)) and points
    if coarse is not None and len(points) <= len(primary.windows) // 2:
        onsets = _onsets(ours, at_speed)
        heard = _agreeing(_matched(onsets, ours, at_speed, speed, lag_seconds), speed)
        if len(heard) >= max(2, min(LEAST_SEGMENTS, len(onsets.starts_seconds))):
            return _report(speed, heard, onsets.resolution_seconds, primary.seconds)
    if not known or _fits_elsewhere(primary, dub, speed, points) or not _steady_alone(primary, dub, points):
        return None
    return _report(speed, points, waveforms.resolution_seconds, primary.seconds)


def _fits_elsewhere(primary: SyncTrace, dub: SyncTrace, speed: Fraction, points: list[Point]) -> bool:
    """Whether the windows that matched do so at another lag, too: beats of one tempo, and nothing else is shared."""
    total = np.zeros(2 * WINDOW_SECONDS * RATE)
    for middle, lag_seconds in points:
        start = round((middle - WINDOW_SECONDS / 2) * RATE)
        other = dub.around(start + round(lag_seconds * RATE), WINDOW_SECONDS * RATE)
        if start in primary.windows and other is not None:
            window = primary.windows[start].astype(np.float32)
            total += phat(window, undo_speed(other, float(speed), other.shape[1]))
    return bool(total.any()) and elsewhere(total) > ELSEWHERE_SHARE


def _steady_alone(primary: SyncTrace, dub: SyncTrace, points: list[Point]) -> bool:
    """Whether both halves of a film of one window have its lag: no other window tells another cut or speed."""
    if len(primary.windows) > 1 or primary.seconds < SHORTEST_HALVED_SECONDS:
        return True
    ((start, window),) = primary.windows.items()
    (_, lag_seconds) = points[0]
    half = round(min(primary.seconds, WINDOW_SECONDS) * RATE / 2)
    lags = []
    for first in (0, half):
        other = dub.around(start + first + round(lag_seconds * RATE), half)
        ours = window[:, first : first + half].astype(np.float32)
        lags.append(None if other is None else phat_lag(ours, other))
    return all(lag is not None and abs(lag) <= WAVEFORM_SECONDS for lag in lags)


def _agreeing(points: list[Point], speed: Fraction) -> list[Point]:
    """Points that another one beside them confirms at that speed; none where they are not most of all."""
    at_zero = [lag - float(speed - 1) * time for time, lag in points]
    near = [abs(after - before) <= 2 * ONSET_SECONDS for before, after in itertools.pairwise(at_zero)]
    kept = [point for point, *beside in zip(points, [False, *near], [*near, False], strict=bool(points)) if any(beside)]
    return kept if len(kept) >= AGREEING_SHARE * len(points) else []


def _report(speed: Fraction, points: list[Point], resolution_seconds: float, duration: float) -> SyncReport:
    slope = float(speed - 1)
    if len(points) >= 2:
        slope, at_zero = line(points)
        spread = points[-1][0] - points[0][0]
        # another slope than one of practice is believed where the line moves by more than the windows' own resolution,
        # or than they lie beside it (a phase vocoder moves what is heard by some 10 ms): twice the slope's error
        beside = np.array([lag - at_zero - slope * time for time, lag in points])
        error = float(np.sqrt(12 / len(points) * (beside**2).sum() / max(1, len(points) - 2)))
        usual = min((float(known - 1) for known in SPEEDS), key=lambda known: abs(known - slope))
        if abs(slope - usual) * spread <= max(resolution_seconds, min(2 * error, SCATTER_SECONDS)):
            slope = usual
        elif len(points) == 2 and abs(slope - usual) > CLOCK_DRIFT:
            slope = float(speed - 1)  # any two lags lie on a line: these are rather of another cut
    offset = float(np.median([lag - slope * time for time, lag in points]))
    lags = [offset, offset + slope * duration, *(lag for _, lag in points)]
    return SyncReport(
        status=UNKNOWN,
        lag_ms=round((offset + slope * duration / 2) * 1e3, 2),
        drift_ppm=round(slope * 1e6, 1),
        max_lag_ms=round(max(lags, key=abs) * 1e3, 2),
        unsteady_ms=round(max(abs(lag - offset - slope * time) for time, lag in points) * 1e3, 2),
        windows=tuple((round(time, 2), round(lag * 1e3, 2)) for time, lag in points),
    )


def _coarse(primary: Onsets, dub: Callable[[float], Onsets]) -> tuple[Fraction, float] | None:
    """(speed, lag in seconds at the film's start) with the highest score over all speeds, or None below the bar."""
    best: tuple[float, Fraction, float] | None = None
    for speed in SPEEDS:
        score, lag = correlate_onsets(primary, dub(float(speed)))
        # the plain answer wins unless another is clearly better: a short film fits several speeds
        if best is None or score > best[0] * (1.15 if best[1] == 1 else 1.0):
            best = score, speed, lag
    if best is None or best[0] < COARSE_SCORE:
        return None
    return best[1], best[2] * float(best[1])


def _waveforms(primary: SyncTrace, dub: SyncTrace) -> _Matcher:
    """The windows of the primary whose match in the dub's waveform is beyond doubt."""

    def points(speed: Fraction, lag_seconds: float, starts_seconds: Sequence[float]) -> list[Point]:
        found = []
        for start_seconds in starts_seconds:
            start, middle = round(start_seconds * RATE), start_seconds + WINDOW_SECONDS / 2
            shift = round((lag_seconds + float(speed - 1) * middle) * RATE)
            other = dub.around(start + shift, WINDOW_SECONDS * RATE)
            if other is None:
                continue
            window = primary.windows[start].astype(np.float32)
            lag = phat_lag(window, undo_speed(other, float(speed), other.shape[1]))
            if lag is not None:
                found.append((middle, shift / RATE + lag))
        return found

    starts = [start / RATE for start in sorted(primary.windows)]
    return _Matcher(starts, WINDOW_SECONDS, points, WAVEFORM_SECONDS)


def _onsets(ours: Onsets, theirs: Callable[[float], Onsets]) -> _Matcher:
    """All of the film, a segment after another, by its onsets; ``theirs`` of a speed, which is undone."""
    length, reach = round(SEGMENT_SECONDS * ONSET_RATE), round(ONSET_SEARCH_SECONDS * ONSET_RATE)

    def points(speed: Fraction, lag_seconds: float, starts_seconds: Sequence[float]) -> list[Point]:
        found = []
        stretched = theirs(float(speed))
        shift = round(lag_seconds / float(speed) * ONSET_RATE)
        for start_seconds in starts_seconds:
            first = round(start_seconds * ONSET_RATE)
            around = stretched.part(first + shift - reach, first + shift + length + reach)
            lag = onset_lag(ours.part(first, first + length), around)
            if lag is not None:
                middle = start_seconds + SEGMENT_SECONDS / 2
                found.append((middle, float(speed) * (middle + shift / ONSET_RATE + lag) - middle))
        return found

    starts = [float(first) for first in range(0, int(ours.frames / ONSET_RATE) - SEGMENT_SECONDS + 1, SEGMENT_SECONDS)]
    return _Matcher(starts, SEGMENT_SECONDS, points, ONSET_SECONDS)


def _matched(
    matcher: _Matcher, ours: Onsets, theirs: Callable[[float], Onsets], speed: Fraction, lag_seconds: float
) -> list[Point]:
    """Points near the film's lag, and of runs of stretches that found nothing there: a scene more before them, perhaps.

    Those that stand alone are left out.
    """
    points = matcher.points(speed, lag_seconds, matcher.starts_seconds)
    told = {round(middle - matcher.length_seconds / 2, 3) for middle, _ in points}
    stretched = theirs(float(speed))
    shift = lag_seconds / float(speed)
    for silent, run in itertools.groupby(matcher.starts_seconds, key=lambda start: round(start, 3) not in told):
        starts = list(run)
        if not silent:
            continue
        first = round(starts[0] * ONSET_RATE)
        part = ours.part(first, min(ours.frames, round((starts[-1] + matcher.length_seconds) * ONSET_RATE)))
        reach = round(min(COARSE_SEARCH_SECONDS * ONSET_RATE, max(PART_SEARCH_SECONDS * ONSET_RATE, part.frames / 2)))
        around = first + round(shift * ONSET_RATE) - reach
        score, lag = part_lag(part, stretched.part(around, around + part.frames + 2 * reach))
        if score >= PART_SCORE:
            found = matcher.points(speed, (lag + shift) * float(speed), starts)
            points += found if 2 * len(found) >= len(starts) else []
    return without_outliers(points, float(speed - 1))
