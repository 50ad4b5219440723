"""HEAR's scene metrics over test predictions: top-1, macro mAP, d', AUC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dubcli.core.answers import mean_average_precision, right_answers
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
    if found is None:
        return math.nan
    with np.errstate(invalid="ignore"):  # one class separated perfectly, another one the wrong way round
        return float(math.sqrt(2) * norm.ppf(found).mean())


_MACRO = {"mAP": mean_average_precision, "d_prime": d_prime, "aucroc": auc}
