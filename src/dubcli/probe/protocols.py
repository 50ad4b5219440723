"""Training protocols: a problem in, test predictions and scores per split out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dubcli.jobs.progress import SILENT, Progress
from dubcli.probe.heads.settings import RECIPES, StepRecipe
from dubcli.probe.metrics import score
from dubcli.probe.problem import Problem, Split

Array = np.ndarray[Any, Any]

LOGREG_C = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
KNN_K = (1, 5, 10, 20)


@dataclass(frozen=True, kw_only=True)
class SplitScores:
    """One split: ``metrics`` by name, the test rows, their predicted scores, what was chosen on validation.

    ``predictions``: float32 (test rows, classes); a tuple of one array per output for multioutput.
    """

    name: str
    metrics: dict[str, float]
    test: Array
    predictions: tuple[Array, ...]
    chosen: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ProbeScores:
    """What a protocol gives. ``protocol``: its name and every parameter."""

    protocol: dict[str, Any]
    splits: tuple[SplitScores, ...]


def run_protocol(
    problem: Problem,
    protocol: str,
    *,
    seed: int = 0,
    device: str | None = None,
    fast: bool = False,
    progress: Progress = SILENT,
) -> ProbeScores:
    """Train and test heads on every split of ``problem``. Raises UserError where heads diverge."""
    if protocol in RECIPES:
        return _with_gradients(problem, protocol, seed, device, fast, progress)
    fitters: dict[str, tuple[Callable[..., Any], str, tuple[float, ...]]] = {
        "logreg": (_logreg, "C", LOGREG_C),
        "knn": (_knn, "k", KNN_K),
    }
    fit, name, values = fitters[protocol]
    progress.start("probe", len(problem.splits), "splits")
    splits = []
    for number, split in enumerate(problem.splits, start=1):
        splits.append(_choose(problem, split, fit, name, values, seed))
        progress.update("probe", number)
    progress.finish("probe")
    parameters = {"name": protocol, f"{name}_tried": list(values), "standardised": True, "seed": seed}
    return ProbeScores(protocol=parameters, splits=tuple(splits))


def _with_gradients(
    problem: Problem, protocol: str, seed: int, device: str | None, fast: bool, progress: Progress
) -> ProbeScores:
    from dubcli.probe.heads.protocol import run_heads

    recipe = RECIPES[protocol]
    found = run_heads(problem, recipe, seed=seed, device=device, progress=progress, fast=fast)
    splits = [
        SplitScores(
            name=split.name,
            metrics=score(problem, predictions, split.test),
            test=split.test,
            predictions=predictions,
            chosen=chosen,
        )
        for split, (predictions, chosen) in zip(problem.splits, found, strict=True)
    ]
    shuffled = isinstance(recipe, StepRecipe)
    parameters = {
        "name": protocol,
        **asdict(recipe),
        "seed": seed,
        "shuffled": shuffled,
        "standardised": False,
        "fast_products": fast,
    }
    return ProbeScores(protocol=parameters, splits=tuple(splits))


def _choose(
    problem: Problem, split: Split, fit: Callable[..., Any], name: str, values: tuple[float, ...], seed: int
) -> SplitScores:
    """The value with the best first metric on validation; it is tested as it was trained, without validation rows."""
    mean = problem.features[split.train].mean(axis=0)
    std = problem.features[split.train].std(axis=0) + 1e-8
    scaled = (problem.features - mean) / std
    best: tuple[float, float, Any] | None = None
    for value in values:
        predict = fit(scaled[split.train], problem.labels[split.train], value, problem, seed)
        found = score(problem, predict(scaled[split.valid]), split.valid)[problem.metrics[0]]
        if best is None or found > best[0]:
            best = (found, value, predict)
    assert best is not None
    predictions = best[2](scaled[split.test])
    return SplitScores(
        name=split.name,
        metrics=score(problem, predictions, split.test),
        test=split.test,
        predictions=predictions,
        chosen={name: best[1], "validation": best[0]},
    )


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
