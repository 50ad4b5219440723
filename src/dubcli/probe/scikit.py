"""scikit-learn's protocols, which take seconds: the value of one hyperparameter is chosen on validation clips."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dubcli.probe.metrics import score
from dubcli.probe.problem import Problem, Split
from dubcli.probe.training import Fitted, Training

Array = np.ndarray[Any, Any]
Fit = Callable[[Array, Array, float, Problem, int], Callable[[Array], tuple[Array, ...]]]
"""(features, labels, value, problem, seed) -> features to scores, one array per output."""

_COLUMNS_AT_ONCE = 256  # float64 of all features at once would be several times their memory
_ROUNDING = 8 * float(np.finfo(np.float32).eps)
"""What varies by no more than this share of its size varies by float32's rounding alone."""


def run_logreg(problem: Problem, training: Training, values: tuple[float, ...]) -> list[Fitted]:
    """Logistic regression; ``values`` are its C."""
    return _each_split(problem, training, partial(_choose, fit=_logreg, name="C", values=values))


def run_knn(problem: Problem, training: Training, values: tuple[float, ...]) -> list[Fitted]:
    """The share of the classes among the ``k`` nearest by cosine; ``values`` are its k."""
    return _each_split(problem, training, partial(_choose, fit=_knn, name="k", values=values))


def _each_split(problem: Problem, training: Training, choose: Callable[[Problem, Split, int], Fitted]) -> list[Fitted]:
    progress = training.progress
    progress.start("probe", len(problem.splits), "splits")
    found = []
    for number, split in enumerate(problem.splits, start=1):
        found.append(choose(problem, split, training.seed))
        progress.update("probe", number)
    progress.finish("probe")
    return found


def _choose(problem: Problem, split: Split, seed: int, *, fit: Fit, name: str, values: tuple[float, ...]) -> Fitted:
    """The value with the best first metric on validation; it is tested as it was trained, without validation rows."""
    scaled = standardised(problem.features, split.train)
    best: tuple[float, float, Any] | None = None
    for value in values:
        predict = fit(scaled[split.train], problem.labels[split.train], value, problem, seed)
        found = score(problem, predict(scaled[split.valid]), split.valid)[problem.metrics[0]]
        if best is None or found > best[0] or math.isnan(best[0]):  # not every metric is defined on few clips
            best = (found, value, predict)
    assert best is not None
    return best[2](scaled[split.test]), {name: best[1], "validation": best[0]}


def standardised(features: Array, train: Array) -> Array:
    """``features`` (clips, dim) of any finite scale in standard deviations from the mean of rows ``train``, float32.

    A feature that those rows do not vary in tells nothing of them and becomes 0, whatever it is in other rows: divided
    by next to nothing it would drown all others. For the same reason no row is taken to be further out than a training
    row can be, which is the square root of their number.
    """
    out = np.empty(features.shape, dtype=np.float32)
    furthest = math.sqrt(len(train))
    for low in range(0, features.shape[1], _COLUMNS_AT_ONCE):
        columns = features[:, low : low + _COLUMNS_AT_ONCE].astype(np.float64)
        size = np.abs(columns[train]).max(axis=0)
        columns /= np.where(size > 0, size, 1)
        known = columns[train]
        varies = np.ptp(known, axis=0) > _ROUNDING
        columns -= known.mean(axis=0)
        columns /= np.where(varies, known.std(axis=0), np.inf)
        out[:, low : low + _COLUMNS_AT_ONCE] = columns.clip(-furthest, furthest)
    return out


def _logreg(features: Array, labels: Array, c: float, problem: Problem, seed: int) -> Callable[[Array], Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    def one(target: Array, classes: int) -> Callable[[Array], Array]:
        present = np.unique(target)
        if len(present) == 1:
            constant = np.zeros((1, classes), dtype=np.float32)
            constant[0, present[0]] = 1
            return lambda rows: np.repeat(constant, len(rows), axis=0)
        model = LogisticRegression(C=c, max_iter=200, tol=1e-3, random_state=seed)
        with warnings.catch_warnings():
            # with little regularisation 200 steps need not converge; validation chooses among what they reach
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, target)

        def predict(rows: Array) -> Array:
            out = np.zeros((len(rows), classes), dtype=np.float32)
            out[:, model.classes_] = model.predict_proba(rows)
            return out

        return predict

    return _by_kind(one, labels, problem)


def _knn(features: Array, labels: Array, k: float, problem: Problem, seed: int) -> Callable[[Array], Any]:
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=min(int(k), len(features)), metric="cosine").fit(features)

    def one(target: Array, classes: int) -> Callable[[Array], Array]:
        one_hot = np.eye(classes, dtype=np.float32)[target]
        return lambda rows: one_hot[index.kneighbors(rows, return_distance=False)].mean(axis=1)

    return _by_kind(one, labels, problem)


def _by_kind(
    one: Callable[[Array, int], Callable[[Array], Array]], labels: Array, problem: Problem
) -> Callable[[Array], tuple[Array, ...]]:
    """One multiclass predictor, one per output, or one per label (its score is the probability of 1)."""
    if problem.kind == "multiclass":
        single = one(labels, len(problem.classes))
        return lambda rows: (single(rows),)
    if problem.kind == "multioutput":
        outputs = [one(labels[:, i], len(names)) for i, names in enumerate(problem.classes)]
        return lambda rows: tuple(predict(rows) for predict in outputs)
    binary = [one(labels[:, i].astype(np.int64), 2) for i in range(len(problem.classes))]
    return lambda rows: (np.stack([predict(rows)[:, 1] for predict in binary], axis=1),)
