"""How sure a score is: bootstrap over the test clips, of one result and of the difference of two.

Test clips are drawn with replacement within each split (Efron 1979) and the mean over splits is taken again; of two
results on the same clips the same draws are used, so that what both find hard or easy cancels (a paired bootstrap).
Average precision of a draw is too high on the mean, since a class's few clips come in it more than once: an interval is
moved by how far the draws' mean is from the score of the clips as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.core.atomic import read_json
from dubcli.errors import UserError
from dubcli.probe.metrics import AveragePrecision, right_answers

Array = np.ndarray[Any, Any]
Score = Callable[[Array], Array]
"""Weights (draws, clips), how often each clip was drawn -> score of each draw."""

DRAWS = 1000
_DRAWS_AT_ONCE = 50
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The second result's score minus the first's. ``interval``: 95 %. ``more_than_noise``: it does not hold 0."""

    task: str
    metric: str
    models: tuple[str, str]
    scores: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    more_than_noise: bool
    clips: int


@dataclass(frozen=True)
class _Scorer:
    """One split's test predictions of one model."""

    score: Score
    clips: int

    @property
    def plain(self) -> float:
        """The score of the clips as they are."""
        return float(self.score(np.ones((1, self.clips)))[0])


def interval(metric: str, kind: str, arrays: Mapping[str, Array], splits: Sequence[str]) -> tuple[float, float] | None:
    """95 % of the mean over ``splits`` of ``metric``; None for a metric that only counts beside others (d', AUC).

    ``arrays``: as in ``<model>.predictions.npz``.
    """
    if metric not in _SCORERS:
        return None
    scorers = _scorers(metric, kind, arrays, splits)
    draws = _mean_over_splits([[scorer] for scorer in scorers])[0]
    low, high = _middle(draws, float(np.mean([scorer.plain for scorer in scorers])))
    return max(low, 0.0), min(high, 1.0)


def compare(first: Path, second: Path) -> Comparison:
    """Compare two results files of one task on the same test clips. Raises UserError where they are not."""
    contents = [read_json(path) for path in (first, second)]
    for path, content in zip((first, second), contents, strict=True):
        if not {"task", "metric", "splits", "identity"} <= set(content):
            raise UserError(f"{path} is no results file; give two of results/TASK/MODEL.json")
    for name in ("task", "metric", "kind"):
        if contents[0][name] != contents[1][name]:
            differs = f"{first} has {name} {contents[0][name]}, {second} {contents[1][name]}"
            raise UserError(f"{differs}; compare two models on one task")
    metric, kind = contents[0]["metric"], contents[0]["kind"]
    if metric not in _SCORERS:
        raise UserError(f"{metric} cannot be compared clip by clip; {', '.join(_SCORERS)} can")
    names = [[split["name"] for split in content["splits"]] for content in contents]
    both = [_predictions(path) for path in (first, second)]
    if names[0] != names[1] or not all(
        np.array_equal(both[0][f"{split}.{part}"], both[1][f"{split}.{part}"])
        for split in names[0]
        for part in ("rows", "labels")
    ):
        raise UserError(f"{first} and {second} were tested on different clips; probe both on the same data and splits")
    scorers = [_scorers(metric, kind, arrays, names[0]) for arrays in both]
    draws = _mean_over_splits(list(zip(*scorers, strict=True)))
    scores = [float(np.mean([scorer.plain for scorer in side])) for side in scorers]
    low, high = _middle(draws[1] - draws[0], scores[1] - scores[0])
    return Comparison(
        task=contents[0]["task"],
        metric=metric,
        models=(contents[0]["model"], contents[1]["model"]),
        scores=(scores[0], scores[1]),
        difference=scores[1] - scores[0],
        interval=(low, high),
        more_than_noise=not low <= 0 <= high,
        clips=sum(scorer.clips for scorer in scorers[0]),
    )


def _predictions(path: Path) -> dict[str, Array]:
    file = path.with_suffix(".predictions.npz")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); it stands beside its results file") from None


def _scorers(metric: str, kind: str, arrays: Mapping[str, Array], splits: Sequence[str]) -> list[_Scorer]:
    made = []
    for split in splits:
        outputs = sorted(name for name in arrays if name.startswith(f"{split}.scores."))
        predictions = tuple(arrays[name] for name in outputs)
        labels = arrays[f"{split}.labels"]
        made.append(_Scorer(_SCORERS[metric](kind, labels, predictions), len(labels)))
    return made


def _mean_over_splits(scorers: Sequence[Sequence[_Scorer]]) -> Array:
    """(sides, draws): ``scorers`` holds for each split one scorer per side, which see the same draws."""
    random = np.random.default_rng(0)
    sides = len(scorers[0])
    total = np.zeros((sides, DRAWS))
    for split in scorers:
        clips = split[0].clips
        for low in range(0, DRAWS, _DRAWS_AT_ONCE):
            weights = random.multinomial(clips, np.full(clips, 1 / clips), _DRAWS_AT_ONCE).astype(np.float64)
            for side in range(sides):
                total[side, low : low + _DRAWS_AT_ONCE] += split[side].score(weights)
    return total / len(scorers)


def _middle(draws: Array, plain: float) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) + (plain - draws.mean())
    return round(float(low), 9), round(float(high), 9)  # a sum of equal shares is 0, not 1e-17


def _top1(kind: str, labels: Array, predictions: tuple[Array, ...]) -> Score:
    right = right_answers(labels, predictions, kind).astype(np.float64)

    def score(weights: Array) -> Array:
        return np.asarray((weights @ right) / weights.sum(axis=1))

    return score


def _mean_average_precision(kind: str, labels: Array, predictions: tuple[Array, ...]) -> Score:
    """Macro mean over the classes that a draw holds."""
    scores = predictions[0]
    one_hot = labels if kind == "multilabel" else np.eye(scores.shape[1], dtype=np.uint8)[labels]
    by_class = AveragePrecision(one_hot, scores)
    return lambda weights: np.asarray(np.nanmean(by_class(weights), axis=0))


_SCORERS: dict[str, Callable[[str, Array, tuple[Array, ...]], Score]] = {
    "top1_acc": _top1,
    "pitch_acc": _top1,
    "mAP": _mean_average_precision,
}
