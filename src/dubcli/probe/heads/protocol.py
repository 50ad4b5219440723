"""The protocols that train with gradients, from a problem to its scores."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from dubcli.core.machine import choose_device
from dubcli.core.memory import keep_freed_memory
from dubcli.core.precision import fast_products
from dubcli.errors import UserError
from dubcli.jobs.progress import Progress
from dubcli.probe.heads.network import Head
from dubcli.probe.heads.objective import Objective
from dubcli.probe.heads.settings import EpochRecipe, Point, StepRecipe
from dubcli.probe.heads.train import Rows, Tell, Trained, train_steps, train_until_flat
from dubcli.probe.problem import Problem, Split
from dubcli.probe.training import Fitted, Predictions, Training


def run_heads(
    problem: Problem,
    recipe: EpochRecipe | StepRecipe,
    training: Training,
    *,
    dtype: torch.dtype = torch.float32,
) -> list[Fitted]:
    """Train the recipe's heads on every split. Raises UserError where they diverge or the device cannot be used."""
    keep_freed_memory()
    where = choose_device(training.device)
    seed, progress = training.seed, training.progress
    objective = Objective(problem)
    try:
        splits = [_rows(problem, split, objective, dtype, where) for split in problem.splits]
        with torch.inference_mode(), fast_products() if training.fast else nullcontext():
            if isinstance(recipe, StepRecipe):
                return _by_steps(splits, objective, recipe, seed, progress)
            return _by_grid(splits, objective, recipe, seed, progress)
    except torch.OutOfMemoryError:
        raise UserError(f"out of memory on {where}: heads train on all features at once; give --device cpu") from None


def _by_grid(
    splits: Sequence[Rows], objective: Objective, recipe: EpochRecipe, seed: int, progress: Progress
) -> list[Fitted]:
    """All points on the first split; the best one on the others (hear-eval-kit's order)."""
    heads = [Head(point=point, split=0, key=(seed, 0, number)) for number, point in enumerate(recipe.points)]
    tried = train_until_flat(heads, splits, objective, recipe, _teller(progress, "heads: grid", "epochs"))
    progress.finish("heads: grid")
    best = max(tried, key=lambda one: one.validation)
    number = recipe.points.index(best.head.point)
    others = [Head(point=best.head.point, split=split, key=(seed, split, number)) for split in range(1, len(splits))]
    trained = [best]
    if others:
        task = "heads: other splits"
        trained += train_until_flat(others, splits, objective, recipe, _teller(progress, task, "epochs"))
        progress.finish(task)
    grid = {"grid": [_chosen(one) for one in tried]}
    if any(one.logits is None or not one.logits.isfinite().all() for one in trained):
        raise UserError(
            "the best heads diverged: the features are too large; --protocol logreg or knn takes them at any scale"
        )
    return [(_predictions(one, objective), _chosen(one) | (grid if one is best else {})) for one in trained]


def _chosen(one: Trained) -> dict[str, Any]:
    """A head's point, its best validation score, the epoch of it, and how many epochs it trained for."""
    point = asdict(one.head.point)
    return {"point": point, "validation": one.validation, "epoch": one.best_epoch, "epochs": one.epochs}


def _by_steps(
    splits: Sequence[Rows], objective: Objective, recipe: StepRecipe, seed: int, progress: Progress
) -> list[Fitted]:
    point = Point(layers=0, lr=recipe.lr, init="default", dropout=0.0)
    heads = [Head(point=point, split=split, key=(seed, split, 0)) for split in range(len(splits))]
    trained = train_steps(heads, splits, objective, recipe, _teller(progress, "heads", "steps"))
    progress.finish("heads")
    return [(_predictions(one, objective), {}) for one in sorted(trained, key=lambda one: one.head.split)]


def _teller(progress: Progress, task: str, unit: str) -> Tell:
    begun: list[bool] = []

    def tell(done: int, of: int, running: int) -> None:
        if not begun:
            progress.start(task, of, unit)
            begun.append(True)
        progress.update(task, done, heads=str(running))

    return tell


def _predictions(one: Trained, objective: Objective) -> Predictions:
    assert one.logits is not None
    return tuple(part.float().cpu().numpy() for part in objective.probabilities(one.logits))


def _rows(problem: Problem, split: Split, objective: Objective, dtype: torch.dtype, device: torch.device) -> Rows:
    # The kit's embedding step writes sounds in one random order that every epoch follows; data sets are often sorted by
    # class, and a batch of few classes would spoil BatchNorm's statistics.
    split = replace(split, train=np.random.default_rng(0).permutation(split.train))

    def features(rows: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.from_numpy(problem.features[rows]).to(device, dtype)

    def targets(rows: np.ndarray[Any, Any]) -> torch.Tensor:
        labels = torch.from_numpy(problem.labels[rows]).to(device)
        return objective.targets(labels.to(dtype) if problem.kind == "multilabel" else labels)

    return Rows(
        train=features(split.train),
        train_targets=targets(split.train),
        valid=features(split.valid),
        valid_targets=targets(split.valid),
        test=features(split.test),
    )
