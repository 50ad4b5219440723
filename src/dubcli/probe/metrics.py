"""HEAR's scene metrics over test predictions: top-1, macro mAP, d', AUC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dubcli.probe.problem import Problem

Array = np.ndarray[Any, Any]


def score(problem: Problem, predictions: tuple[Array, ...], rows: Array) -> dict[str, float]:
    """Every metric of ``problem`` on ``rows``; NaN where it is not defined (a class without positives)."""
    labels = problem.labels[rows]
    found: dict[str, float] = {}
    for name in problem.metrics:
        if name in ("top1_acc", "pitch_acc"):
            found[name] = top1(labels, predictions, problem.kind)
        elif name == "chroma_acc":
            found[name] = chroma(labels, predictions, problem.classes)
        else:
            one_hot = labels if problem.kind == "multilabel" else np.eye(predictions[0].shape[1])[labels]
            found[name] = _MACRO[name](one_hot, predictions[0])
    return found


def top1(labels: Array, predictions: tuple[Array, ...], kind: str) -> float:
    """Share of rows whose best class is right: for multilabel one of theirs, for multioutput all outputs."""
    return float(right_answers(labels, predictions, kind).mean())


def chroma(labels: Array, predictions: tuple[Array, ...], classes: Sequence[Any]) -> float:
    """Share of rows whose best class is the right note in any octave; NaN where classes are no MIDI notes."""
    if labels.ndim != 1 or not all(str(name).isdecimal() for name in classes):
        return math.nan
    note = np.array([int(name) % 12 for name in classes])
    return float((note[predictions[0].argmax(axis=1)] == note[labels]).mean())


def right_answers(labels: Array, predictions: tuple[Array, ...], kind: str) -> Array:
    """(rows,) bool: where ``top1`` counts."""
    best = np.stack([part.argmax(axis=1) for part in predictions], axis=1)
    if kind == "multilabel":
        return np.asarray(labels[np.arange(len(labels)), best[:, 0]].astype(bool))
    return np.asarray((best == labels.reshape(len(labels), -1)).all(axis=1))


def per_class(problem: Problem, predictions: tuple[Array, ...], rows: Array) -> list[dict[str, Any]]:
    """Of each class its name, test clips and score: share found (multiclass), average precision (multilabel).

    Classes of several outputs stand one output after another. The score is None for a class without test clips.
    """
    labels = problem.labels[rows]
    names: Any = problem.classes if problem.kind == "multioutput" else (problem.classes,)
    found: list[dict[str, Any]] = []
    for output, classes in enumerate(names):
        best = predictions[output].argmax(axis=1)
        for number, name in enumerate(classes):
            if problem.kind == "multilabel":
                mine = labels[:, number].astype(bool)
                value = mean_average_precision(mine[:, None], predictions[0][:, [number]]) if mine.any() else None
            else:
                mine = labels.reshape(len(labels), -1)[:, output] == number
                value = float((best[mine] == number).mean()) if mine.any() else None
            found.append({"class": name, "test_clips": int(mine.sum()), "score": value})
    return found


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
            self._ranked.append((order, hits, ends[hits]))

    def __call__(self, weights: Array) -> Array:
        """(draws, clips) -> (classes that occur, draws); NaN for a class that a draw does not hold."""
        found = np.full((len(self._ranked), len(weights)), np.nan)
        for row, (order, hits, ends) in enumerate(self._ranked):
            drawn = weights[:, order]
            all_above = drawn.cumsum(axis=1)
            mine = drawn[:, hits]
            right_above = mine.cumsum(axis=1)
            # the last hit at or above the end of each hit's group of equal scores
            last = np.searchsorted(hits, ends, side="right") - 1
            with np.errstate(invalid="ignore", divide="ignore"):
                precision = np.where(all_above[:, ends] > 0, right_above[:, last] / all_above[:, ends], 0.0)
                found[row] = (precision * mine).sum(axis=1) / mine.sum(axis=1)
        return found


def mean_average_precision(labels: Array, scores: Array) -> float:
    """Macro mean over the classes that occur; NaN where none does. (clips, classes) both."""
    found = AveragePrecision(labels, scores)(np.ones((1, len(labels))))
    return float(found.mean()) if len(found) else math.nan


def _aucs(labels: Array, scores: Array) -> Array | None:
    from sklearn.metrics import roc_auc_score

    if (labels.any(axis=0) & ~labels.all(axis=0)).all():
        return np.atleast_1d(roc_auc_score(labels, scores, average=None))
    return None


def auc(labels: Array, scores: Array) -> float:
    """Macro AUC; NaN where a class has no positives or no negatives, as HEAR's."""
    found = _aucs(labels, scores)
    return math.nan if found is None else float(found.mean())


def d_prime(labels: Array, scores: Array) -> float:
    """sqrt(2) times the mean normal quantile of the per-class AUC; infinite when a class is separated perfectly."""
    from scipy.stats import norm

    found = _aucs(labels, scores)
    return math.nan if found is None else float(math.sqrt(2) * norm.ppf(found).mean())


_MACRO = {"mAP": mean_average_precision, "d_prime": d_prime, "aucroc": auc}
