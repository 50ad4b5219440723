"""How sure a score is, of one result and of the difference of two.

Chance is in which clips are tested. A clip is drawn as a whole, with all of its answers: splits that share test clips
(the draws of few-shot, HMDB51's three) are not so many tests. Splits of the same test clips differ in their training
clips alone; the spread between them is a second source of chance: their mean is as uncertain as Student's t says of so
many draws.

* top-1, one result: the variance over clips, residuals summed by clip, gives the number of independent clips that it is
  worth, and that gives Wilson's interval (1927), which keeps its width where all answers are right.
* top-1, two results: a sign-flip test of the clips' differences (Fisher 1935). If the two are equally good, the answers
  of either to a clip could as well have been the other's. Where up to 14 clips differ all signs are tried: with one
  split that is McNemar's exact test. The interval holds the differences that the same test does not reject, and those
  of Wald's interval with two clips more, one won by each result (Bonett and Price 2012): where few clips differ, or
  none, the test says little of how many would among others.
* mAP: clips are drawn with replacement (Efron 1979), the same ones for both results. Average precision of a draw is too
  high on the mean, since a class's few clips come in it more than once: an interval is moved by how far the draws' mean
  is from the score of the clips as they are. That of a difference has two clips more, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from dubcli.core.answers import AveragePrecision, right_answers
from dubcli.core.sign_flips import EQUAL, LEVEL, Difference, quantile, rounded, sign_flips

Array = np.ndarray[Any, Any]
Score = Callable[[Array], Array]
"""Weights (draws, clips), how often each clip was drawn -> score of each draw, (draws,) or (classes, draws)."""

DRAWS = 1000
_DRAWS_AT_ONCE = 50
_NORMAL = NormalDist().inv_cdf((1 + LEVEL) / 2)

METRICS = ("top1_acc", "pitch_acc", "mAP")
"""Those that come clip by clip; d' and AUC are of all clips at once."""


@dataclass(frozen=True)
class Tested:
    """What one result answered. ``rows``: per split the clips' numbers; ``scorers``: per split its score by weights."""

    rows: tuple[Array, ...]
    scorers: tuple[Score, ...]

    @property
    def scores(self) -> Array:
        """(splits,): of the clips as they are."""
        found = [score(np.ones((1, len(rows)))) for rows, score in zip(self.rows, self.scorers, strict=True)]
        return np.array([value[0] for value in found], dtype=np.float64)


def interval(metric: str, kind: str, arrays: Mapping[str, Array], splits: Sequence[str]) -> tuple[float, float] | None:
    """95 % of the mean over ``splits`` of ``metric``; None for one that only counts beside others (d', AUC), or that
    these clips do not define.

    ``arrays``: as in ``<model>.predictions.npz``.
    """
    if metric not in METRICS:
        return None
    one = tested(metric, kind, arrays, splits)
    if not np.isfinite(one.scores).all():
        return None
    if metric == "mAP":
        low, high = _of_draws(one)
        if high - low < EQUAL:  # every draw has the same score, as where all answers are right
            low, high = _wilson_ends(float(one.scores.mean()), _NORMAL**2 / _worth(kind, arrays, splits))
    else:
        low, high = _wilson(one.rows, _right(kind, arrays, splits))
    return round(max(low, 0.0), 9), round(min(high, 1.0), 9)


def score_difference(metric: str, kind: str, both: Sequence[Mapping[str, Array]], splits: Sequence[str]) -> Difference:
    """Of two results whose arrays have the same clips in the same order. Scores must be defined on each split."""
    sides = [tested(metric, kind, arrays, splits) for arrays in both]
    by_split = sides[1].scores - sides[0].scores
    value = float(by_split.mean())
    spread = _spreads(sides[0].rows, by_split)
    if metric == "mAP":
        return _difference_of_draws(sides, value, spread, _worth(kind, both[0], splits))
    right = [_right(kind, arrays, splits) for arrays in both]
    per_clip = np.stack(
        [
            _by_clip(sides[0].rows, [second - first for first, second in zip(*right, strict=True)]),
            _by_clip(sides[0].rows, [np.ones(len(rows)) for rows in sides[0].rows]),
        ]
    )
    return sign_flips(value, per_clip, spread)


def class_differences(
    metric: str, kind: str, both: Sequence[Mapping[str, Array]], splits: Sequence[str], count: int
) -> list[tuple[tuple[float, float], Difference] | None]:
    """Of each of ``count`` classes both scores and their difference; None for one that no split tests.

    Its score is, of top-1, the share of its clips whose answer is right, of mAP its average precision. ``both`` as for
    ``score_difference``, of one output.
    """
    if metric == "mAP":
        return _precisions_of_classes(kind, both, splits, count)
    found: list[tuple[tuple[float, float], Difference] | None] = []
    for number in range(count):
        parts = [_clips_of_class(arrays, splits, number) for arrays in both]
        there = [split for split in splits if len(parts[0][f"{split}.rows"])]
        if not there:
            found.append(None)
            continue
        one, other = (float(tested(metric, kind, part, there).scores.mean()) for part in parts)
        found.append(((one, other), score_difference(metric, kind, parts, there)))
    return found


def _clips_of_class(arrays: Mapping[str, Array], splits: Sequence[str], number: int) -> dict[str, Array]:
    kept = {}
    for split in splits:
        keep, _ = _of_class(arrays, split, number)
        for name in ("rows", "labels", *(f"scores.{output}" for output in range(len(outputs(arrays, split))))):
            kept[f"{split}.{name}"] = arrays[f"{split}.{name}"][keep]
    return kept


def _of_class(arrays: Mapping[str, Array], split: str, number: int) -> tuple[Array, Array]:
    """Which test clips of a split are of a class, and their numbers."""
    labels = arrays[f"{split}.labels"]
    keep = labels == number if labels.ndim == 1 else labels[:, number].astype(bool)
    return keep, arrays[f"{split}.rows"][keep]


def _precisions_of_classes(
    kind: str, both: Sequence[Mapping[str, Array]], splits: Sequence[str], count: int
) -> list[tuple[tuple[float, float], Difference] | None]:
    sides = []
    for arrays in both:
        scorers = [_precisions(kind, arrays[f"{split}.labels"], outputs(arrays, split)[0], count) for split in splits]
        sides.append(Tested(tested("mAP", kind, arrays, splits).rows, tuple(scorers)))
    as_they_are = []
    for side in sides:
        by_split = np.stack([
            score(np.ones((1, len(rows))))[:, 0] for rows, score in zip(side.rows, side.scorers, strict=True)
        ])  # fmt: skip
        tests = ~np.isnan(by_split)
        as_they_are.append(_ratio(np.nansum(by_split, axis=0), tests.sum(axis=0)))
    draws = _means(sides, ())
    found: list[tuple[tuple[float, float], Difference] | None] = []
    for number in range(count):
        one, other = (float(side[number]) for side in as_they_are)
        if np.isnan(one):
            found.append(None)
        else:
            of_class = draws[1, number] - draws[0, number]
            error = float(np.std(of_class[~np.isnan(of_class)]))
            clips = len(np.unique(np.concatenate([_of_class(both[0], split, number)[1] for split in splits])))
            found.append(((one, other), _normal_difference(other - one, error, clips)))
    return found


def _precisions(kind: str, labels: Array, scores: Array, count: int) -> Score:
    """(classes, draws): each class's average precision; NaN where it does not occur."""
    one_hot = labels if kind == "multilabel" else np.eye(count, dtype=np.uint8)[labels]
    occur = np.flatnonzero(one_hot.any(axis=0))
    by_class = AveragePrecision(one_hot, scores)

    def score(weights: Array) -> Array:
        found = np.full((count, len(weights)), np.nan)
        found[occur] = by_class(weights)
        return found

    return score


def tested(metric: str, kind: str, arrays: Mapping[str, Array], splits: Sequence[str]) -> Tested:
    """The answers in ``arrays``."""
    make = _mean_average_precision if metric == "mAP" else _top1
    scorers = [make(kind, arrays[f"{split}.labels"], outputs(arrays, split)) for split in splits]
    _, number = np.unique(np.concatenate([arrays[f"{split}.rows"] for split in splits]), return_inverse=True)
    ends = np.cumsum([len(arrays[f"{split}.rows"]) for split in splits])
    return Tested(tuple(np.split(number, ends[:-1])), tuple(scorers))


def outputs(arrays: Mapping[str, Array], split: str) -> tuple[Array, ...]:
    """The predicted scores of a split, one array per output."""
    count = sum(name.startswith(f"{split}.scores.") for name in arrays)
    return tuple(arrays[f"{split}.scores.{number}"] for number in range(count))


def _right(kind: str, arrays: Mapping[str, Array], splits: Sequence[str]) -> list[Array]:
    """Per split 1.0 for each clip whose answer is right, else 0.0."""
    return [
        right_answers(arrays[f"{split}.labels"], outputs(arrays, split), kind).astype(np.float64) for split in splits
    ]


def _top1(kind: str, labels: Array, predictions: tuple[Array, ...]) -> Score:
    right = right_answers(labels, predictions, kind).astype(np.float64)
    return lambda weights: _ratio(weights @ right, weights.sum(axis=1))


def _mean_average_precision(kind: str, labels: Array, predictions: tuple[Array, ...]) -> Score:
    """Macro mean over the classes that a draw holds."""
    scores = predictions[0]
    one_hot = labels if kind == "multilabel" else np.eye(scores.shape[1], dtype=np.uint8)[labels]
    by_class = AveragePrecision(one_hot, scores)

    def score(weights: Array) -> Array:
        found = by_class(weights)
        return _ratio(np.nansum(found, axis=0), (~np.isnan(found)).sum(axis=0))

    return score


def _ratio(of: Array, by: Array) -> Array:
    """NaN where there is nothing to divide by."""
    return np.asarray(np.divide(of, by, out=np.full(len(by), np.nan), where=by > 0))


def _by_clip(rows: Sequence[Array], values: Sequence[Array]) -> Array:
    """(clips,): what each clip adds to the mean over splits of the splits' means."""
    found = np.zeros(1 + max(int(own.max()) for own in rows))
    for own, value in zip(rows, values, strict=True):
        np.add.at(found, own, value / (len(own) * len(rows)))
    return found


def _spreads(rows: Sequence[Array], scores: Array) -> list[tuple[float, int]]:
    """(standard error, degrees of freedom) that each group of splits with the same test clips adds to the mean."""
    groups: dict[bytes, list[float]] = {}
    for own, score in zip(rows, scores, strict=True):
        groups.setdefault(np.sort(own).tobytes(), []).append(float(score))
    return [
        (float(np.std(group, ddof=1)) * len(group) ** 0.5 / len(rows), len(group) - 1)
        for group in groups.values()
        if len(group) > 1
    ]


def _wilson(rows: Sequence[Array], right: Sequence[Array]) -> tuple[float, float]:
    """Of the mean over splits of the share of right answers."""
    shares = np.array([answers.mean() for answers in right])
    share = float(shares.mean())
    residuals = _by_clip(rows, [answers - own for answers, own in zip(right, shares, strict=True)])
    clips = len(residuals)
    sources = [(float((residuals**2).sum()) * clips / max(1, clips - 1), max(1, clips - 1))]
    sources += [(error**2, freedom) for error, freedom in _spreads(rows, shares)]
    variance = sum(part for part, _ in sources)
    worth = min(share * (1 - share) / variance, float(sum(map(len, rows)))) if variance > 0 else float(clips)
    return _wilson_ends(share, quantile(sources) ** 2 / worth)


def _wilson_ends(share: float, factor: float) -> tuple[float, float]:
    """``factor``: the quantile's square by the number of clips."""
    middle = (share + factor / 2) / (1 + factor)
    half = (factor * share * (1 - share) + factor**2 / 4) ** 0.5 / (1 + factor)
    return middle - half, middle + half


def _of_draws(one: Tested) -> tuple[float, float]:
    draws = _means([one], _spreads(one.rows, one.scores))[0]
    low, high = np.nanquantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) + (one.scores.mean() - np.nanmean(draws))
    return float(low), float(high)


def _difference_of_draws(
    sides: Sequence[Tested], value: float, spread: Sequence[tuple[float, int]], worth: float
) -> Difference:
    draws = _means(sides, ())
    error = float((np.nanvar(draws[1] - draws[0]) + sum(own**2 for own, _ in spread)) ** 0.5)
    return _normal_difference(value, error, worth)


def _worth(kind: str, arrays: Mapping[str, Array], splits: Sequence[str]) -> float:
    """As many clips of equal weight say as much of mAP as these (Kish 1965), where classes count alike."""
    shares = []
    for split in splits:
        labels = arrays[f"{split}.labels"]
        one_hot = labels.astype(np.float64) if kind == "multilabel" else np.eye(int(labels.max()) + 1)[labels]
        one_hot = one_hot[:, one_hot.any(axis=0)]
        shares.append((one_hot / one_hot.sum(axis=0)).mean(axis=1))
    weights = _by_clip([arrays[f"{split}.rows"] for split in splits], [own * len(own) for own in shares])
    return float(weights.sum() ** 2 / (weights**2).sum())


def _normal_difference(value: float, error: float, clips: float) -> Difference:
    """``clips``: how many count. Two more, one won by each side, give the interval a width where none differs."""
    from scipy.stats import norm

    known = error > EQUAL  # else no clip speaks against any other: nothing is known but what these few say
    error = (error**2 + 2 / (clips + 2) ** 2) ** 0.5
    half = _NORMAL * error
    low, high = max(value - half, -1.0), min(value + half, 1.0)
    return Difference(
        value=value,
        interval=rounded(low, high) if known else rounded(min(low, 0.0), max(high, 0.0)),
        p_value=float(2 * norm.sf(abs(value) / error)) if known else 1.0,
        test="paired bootstrap",
    )


def _means(sides: Sequence[Tested], spread: Sequence[tuple[float, int]]) -> Array:
    """(sides, draws), or (sides, classes, draws): means over splits of clips drawn with replacement, the same for all
    sides.

    Clips are drawn among those of the splits that share any, so that folds keep their sizes.
    """
    random = np.random.default_rng(0)
    rows = sides[0].rows
    shape = sides[0].scorers[0](np.ones((1, len(rows[0])))).shape[:-1]
    total = np.zeros((len(sides), *shape, DRAWS))
    found = np.zeros_like(total)
    for group in _sharing(rows):
        clips, number = np.unique(np.concatenate([rows[split] for split in group]), return_inverse=True)
        places = np.split(number, np.cumsum([len(rows[split]) for split in group])[:-1])
        for low in range(0, DRAWS, _DRAWS_AT_ONCE):
            part = slice(low, low + _DRAWS_AT_ONCE)
            weights = random.multinomial(len(clips), np.full(len(clips), 1 / len(clips)), _DRAWS_AT_ONCE)
            for split, own in zip(group, places, strict=True):
                for side, answers in enumerate(sides):
                    scores = answers.scorers[split](weights[:, own].astype(np.float64))
                    total[side, ..., part] += np.nan_to_num(scores)
                    found[side, ..., part] += ~np.isnan(scores)
    for error, freedom in spread:
        total += len(rows) * error * random.standard_t(freedom, DRAWS)
    return np.divide(total, found, out=np.full_like(total, np.nan), where=found > 0)


def _sharing(rows: Sequence[Array]) -> list[list[int]]:
    """The splits' numbers, those together that share test clips, directly or by others."""
    groups: list[tuple[set[int], list[int]]] = []
    for split, own in enumerate(rows):
        clips, members = set(own.tolist()), [split]
        for group in [group for group in groups if group[0] & clips]:
            groups.remove(group)
            clips, members = clips | group[0], group[1] + members
        groups.append((clips, members))
    return [sorted(members) for _, members in groups]
