"""Predictions held against labels, clip by clip: what scores are made of, when they are measured and when compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def right_answers(labels: Array, predictions: tuple[Array, ...], kind: str) -> Array:
    """(rows,) bool: where ``top1`` counts."""
    best = np.stack([part.argmax(axis=1) for part in predictions], axis=1)
    if kind == "multilabel":
        return np.asarray(labels[np.arange(len(labels)), best[:, 0]].astype(bool))
    return np.asarray((best == labels.reshape(len(labels), -1)).all(axis=1))


class AveragePrecision:
    """Average precision of the classes that occur, each clip counted as often as a weight says.

    labels: (clips, classes) 0 and 1; scores: (clips, classes). Clips of equal score count together, as scikit-learn's
    average_precision_score has it.
    """

    def __init__(self, labels: Array, scores: Array) -> None:
        self._ranked = []
        for number in np.flatnonzero(labels.any(axis=0)):
            order = np.argsort(-scores[:, number], kind="stable")
            ranked = scores[order, number]
            ends = np.searchsorted(-ranked, -ranked, side="right") - 1
            hits = np.flatnonzero(labels[order, number])
            # the last hit at or above the end of each hit's group of equal scores
            last = np.searchsorted(hits, ends[hits], side="right") - 1
            groups, group = np.unique(ends[hits], return_inverse=True)
            self._ranked.append((order, hits, last, groups, group))

    def __call__(self, weights: Array) -> Array:
        """(draws, clips) -> (classes that occur, draws); NaN for a class that a draw does not hold."""
        found = np.full((len(self._ranked), len(weights)), np.nan)
        by_clip = np.ascontiguousarray(weights.T)
        for row, (order, hits, last, groups, group) in enumerate(self._ranked):
            drawn = by_clip[order]
            # only the ends of groups that hold a hit are asked for: their parts are summed, not every place
            all_above = np.add.reduceat(drawn[: groups[-1] + 1], [0, *(groups[:-1] + 1)], axis=0).cumsum(axis=0)[group]
            mine = drawn[hits]
            right_above = mine.cumsum(axis=0)
            with np.errstate(invalid="ignore", divide="ignore"):
                precision = np.where(all_above > 0, right_above[last] / all_above, 0.0)
                found[row] = (precision * mine).sum(axis=0) / mine.sum(axis=0)
        return found


def mean_average_precision(labels: Array, scores: Array) -> float:
    """Macro mean over the classes that occur; NaN where none does. (clips, classes) both."""
    found = AveragePrecision(labels, scores)(np.ones((1, len(labels))))
    return float(found.mean()) if len(found) else math.nan
