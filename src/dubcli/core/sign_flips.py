"""Whether two results differ in their answers to the same clips: a test by flipped signs, and an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LEVEL = 0.95
EQUAL = 1e-9
_MOST_ENUMERATED = 14
_FLIPS = 2**_MOST_ENUMERATED


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The second result's mean score minus the first's, its 95 % interval, p two-sided, and of which test."""

    value: float
    interval: tuple[float, float]
    p_value: float
    test: str


def quantile(sources: Sequence[tuple[float, float]]) -> float:
    """Student's t of a sum of (variance, degrees of freedom), whose own freedom is Satterthwaite's."""
    from scipy.stats import t

    variance = sum(part for part, _ in sources)
    squares = sum(part**2 / own for part, own in sources)
    freedom = variance**2 / squares if squares > 0 else sources[0][1]
    return float(t.ppf((1 + LEVEL) / 2, freedom))


def _with_a_clip_for_each(per_clip: Array, spread: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Wald's interval of the difference with two clips more, one won by each side: it has a width where none differs.

    ``per_clip`` as in ``sign_flips``. With one split it is Bonett and Price's (2012). Where no clip differs it is as
    wide as the share of clips that may differ all the same, by Clopper and Pearson (1934).
    """
    clips = per_clip.shape[1]
    more = np.array([[1.0, -1.0], [1.0, 1.0]]) / clips
    shares, weights = np.concatenate([per_clip, more], axis=1)
    value, whole = shares.sum() / weights.sum(), weights.sum()
    variance = float(((shares - value * weights) ** 2).sum()) / whole**2
    sources = [(variance, max(1, clips - 1)), *((error**2, freedom) for error, freedom in spread)]
    half = quantile(sources) * sum(part for part, _ in sources) ** 0.5
    if not per_clip[0].any():
        half = max(half, 1 - ((1 - LEVEL) / 2) ** (1 / clips))
    return float(value - half), float(value + half)


def sign_flips(value: float, per_clip: Array, spread: Sequence[tuple[float, int]]) -> Difference:
    """``per_clip``: (2, clips), each clip's share of the difference and its weight, which sum up to ``value`` and 1.

    Of a difference d that is supposed, the test's statistic is |value - d|, and under flipped signs |a - d b|, where a
    and b are the sums of the two rows with these signs. So for each flip the d that it does not speak against lie
    between the two solutions of an equation.
    """
    random = np.random.default_rng(0)
    differing = int((per_clip[0] != 0).sum())
    exact = differing <= _MOST_ENUMERATED and not spread
    sums = _flipped(per_clip, random)
    for error, freedom in spread:
        sums[0] += error * random.standard_t(freedom, _FLIPS)
    as_far = int((np.abs(sums[0]) >= abs(value) - EQUAL).sum())
    over, of = np.stack([value + sums[0], value - sums[0]]), np.stack([1 + sums[1], 1 - sums[1]])
    bounded = of > EQUAL  # all signs as they are, or all flipped, speak against no d
    ends = np.divide(over, of, out=np.zeros_like(over), where=bounded)
    below = int((1 - LEVEL) * _FLIPS)
    low = float(np.sort(np.where(bounded, ends, -np.inf).min(axis=0))[below])
    high = float(np.sort(np.where(bounded, ends, np.inf).max(axis=0))[-1 - below])
    wald = _with_a_clip_for_each(per_clip, spread)
    if not (low > 0 >= wald[0]):  # the interval holds 0 just where the test cannot tell the two apart
        low = min(low, wald[0])
    if not (high < 0 <= wald[1]):
        high = max(high, wald[1])
    return Difference(
        value=value,
        interval=rounded(max(low, -1.0), min(high, 1.0)),
        p_value=as_far / _FLIPS if exact else (as_far + 1) / (_FLIPS + 1),
        test=f"{'exact ' if exact else ''}sign-flip test; clips that differ: {differing}",
    )


def _flipped(per_clip: Array, random: np.random.Generator) -> Array:
    """(2, flips): the sums over clips under all signs of those that differ where they are few, else random signs."""
    sums = np.zeros((2, _FLIPS))
    differs = per_clip[0] != 0
    if differs.sum() <= _MOST_ENUMERATED:
        flips = np.arange(_FLIPS)
        for place, clip in enumerate(per_clip[:, differs].T):
            sums += np.outer(clip, 1 - 2 * (flips >> place & 1))
        per_clip = per_clip[:, ~differs]
    alike, counts = np.unique(per_clip, axis=1, return_counts=True)
    for clip, count in zip(alike.T, counts, strict=True):
        sums += np.outer(clip, 2 * random.binomial(count, 0.5, _FLIPS) - count)
    return sums


def rounded(low: float, high: float) -> tuple[float, float]:
    """A sum of equal shares is 0, not 1e-17."""
    return round(low, 9) + 0.0, round(high, 9) + 0.0
