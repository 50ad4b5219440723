"""Training loops: until validation stops rising, with heads that have stopped taken out; or for a number of steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dubcli.core.schedule import warmup_cosine
from dubcli.errors import UserError
from dubcli.probe.heads.network import Blocks, Head, HeadBank
from dubcli.probe.heads.objective import Objective
from dubcli.probe.heads.optimizer import SGD, Adam
from dubcli.probe.heads.settings import EpochRecipe, StepRecipe

Tell = Callable[[int, int, int], None]
"""Hears (done, of how many, heads still in training)."""
_STEPS_BETWEEN_CHECKS = 1000
_SMALL_PRODUCT = 10_000_000
"""Floating-point operations: a tenth of a millisecond on one core."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Features (rows, dim) and targets of the rows that train, validate and test in one split, on the device."""

    train: Tensor
    train_targets: Tensor
    valid: Tensor
    valid_targets: Tensor
    test: Tensor


@dataclass
class Trained:
    """A head's end: its best validation score and the epoch (from 1) of it, and its test logits (rows, outputs)."""

    head: Head
    validation: float = -math.inf
    best_epoch: int = 0
    epochs: int = 0
    waited: int = 0
    saved: list[Tensor] | None = None
    logits: Tensor | None = None


def train_until_flat(
    heads: Sequence[Head], splits: Sequence[Rows], objective: Objective, recipe: EpochRecipe, tell: Tell
) -> list[Trained]:
    """Train all heads, those of equal depth and equally many rows as one bank; in the order given."""
    found = {id(head): Trained(head) for head in heads}
    ordered = sorted(heads, key=lambda head: (_group(head, splits), head.split))
    groups = [list(group) for _, group in itertools.groupby(ordered, key=lambda head: _group(head, splits))]
    for number, group in enumerate(groups):

        def tell_all(epoch: int, of: int, running: int, number: int = number) -> None:
            tell(number * of + epoch, len(groups) * of, running)

        _train_bank([found[id(head)] for head in group], splits, objective, recipe, tell_all)
    return list(found.values())


def _group(head: Head, splits: Sequence[Rows]) -> tuple[Any, ...]:
    point = head.point
    return point.layers, point.hidden, point.dropout, len(splits[head.split].train)


def _train_bank(
    trained: list[Trained], splits: Sequence[Rows], objective: Objective, recipe: EpochRecipe, tell: Tell
) -> None:
    bank = _bank([one.head for one in trained], splits, objective)
    optimizer = Adam(bank.parameters, _rates(bank))
    batches = batch_bounds(len(splits[bank.heads[0].split].train), recipe.batch_size)
    running = list(trained)
    epochs = recipe.max_epochs
    if recipe.max_steps is not None:
        epochs = min(epochs, -(-recipe.max_steps // len(batches)))
    for epoch in range(1, epochs + 1):
        for low, high in batches:
            rows = _blocks(bank.heads, splits, lambda split: split.train[low:high])  # noqa: B023 - called at once
            wanted = _blocks(bank.heads, splits, lambda split: split.train_targets[low:high])  # noqa: B023
            logits, caches = bank.forward(rows)
            gradients = bank.backward(rows, caches, objective.gradient(logits, wanted))
            optimizer.step(bank.parameters, gradients)
        tell(epoch, epochs, len(running))
        if epoch % recipe.validate_every:
            continue
        going = _validate(bank, running, splits, objective, epoch, recipe.patience)
        if not going:
            break
        if len(going) < len(running):
            which = torch.tensor(going, device=splits[0].train.device)
            bank.keep(which)
            optimizer.keep(which)
            running = [running[i] for i in going]
    _test(trained, bank, running, splits)


def _validate(
    bank: HeadBank, running: list[Trained], splits: Sequence[Rows], objective: Objective, epoch: int, patience: int
) -> list[int]:
    """Note each head's score and keep its state where it rose. Returns the places of the heads that go on."""
    going = []
    for first, stop, split in _spans(bank.heads):
        scores = objective.scores(bank.predict([(0, stop - first, splits[split].valid)], first, stop),
                                  splits[split].valid_targets).tolist()  # fmt: skip
        for place, score in zip(range(first, stop), scores, strict=True):
            one = running[place]
            one.epochs = epoch
            if score > one.validation or one.saved is None:  # the first score may be NaN
                score = -math.inf if math.isnan(score) else score
                one.validation, one.best_epoch, one.waited = score, epoch, 0
                one.saved = bank.copy_of(place)
            else:
                one.waited += 1
            if one.waited < patience:
                going.append(place)
    return going


def _test(trained: list[Trained], bank: HeadBank, running: list[Trained], splits: Sequence[Rows]) -> None:
    for one in trained:
        if one.saved is None:  # no epoch was validated
            one.saved = bank.copy_of(running.index(one))
        single = bank.like(one.head, one.saved)
        one.logits = single.predict([(0, 1, splits[one.head.split].test)])[0]
        one.saved = None


def train_steps(
    heads: Sequence[Head], splits: Sequence[Rows], objective: Objective, recipe: StepRecipe, tell: Tell
) -> list[Trained]:
    """Train one head per split for the recipe's steps; heads with equally many rows as one bank."""
    found = []
    ordered = sorted(heads, key=lambda head: len(splits[head.split].train))
    groups = itertools.groupby(ordered, key=lambda head: len(splits[head.split].train))
    for rows, group in groups:
        bank = _bank(list(group), splits, objective)
        products = 2 * min(rows, recipe.batch_size) * bank.layers[0].weight[0].numel()
        with _one_thread() if products < _SMALL_PRODUCT else nullcontext():
            _run_steps(bank, splits, objective, recipe, rows, tell)
        for place, head in enumerate(bank.heads):
            single = bank.like(head, bank.copy_of(place))
            found.append(Trained(head, logits=single.predict([(0, 1, splits[head.split].test)])[0]))
    return found


@contextmanager
def _one_thread() -> Iterator[None]:
    """Small products gain nothing from more threads, which on a busy machine wait for each other in every one of them:
    400 000 steps then take an hour."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run_steps(
    bank: HeadBank, splits: Sequence[Rows], objective: Objective, recipe: StepRecipe, rows: int, tell: Tell
) -> None:
    batches = batch_bounds(rows, recipe.batch_size)
    steps = recipe.steps if recipe.steps is not None else (recipe.epochs or 0) * len(batches)
    if recipe.max_steps is not None and recipe.max_steps < steps:
        warmup_steps = recipe.warmup_steps * recipe.max_steps // steps
        steps, recipe = recipe.max_steps, replace(recipe, warmup_steps=warmup_steps)
    optimizer = (Adam if recipe.optimizer == "adam" else SGD)(bank.parameters, _rates(bank))
    shuffles = [np.random.Generator(np.random.SFC64([*head.key, 2])) for head in bank.heads]
    device = splits[bank.heads[0].split].train.device
    step = 0
    while step < steps:
        orders = [torch.from_numpy(shuffle.permutation(rows)).to(device) for shuffle in shuffles]
        features = [splits[head.split].train[order] for head, order in zip(bank.heads, orders, strict=True)]
        targets = [splits[head.split].train_targets[order] for head, order in zip(bank.heads, orders, strict=True)]
        for low, high in batches[: steps - step]:
            blocks = [(i, i + 1, one[low:high]) for i, one in enumerate(features)]
            logits, caches = bank.forward(blocks)
            gradient = objective.gradient(logits, [(i, i + 1, one[low:high]) for i, one in enumerate(targets)])
            rate = warmup_cosine(step, steps, recipe.warmup_steps)
            optimizer.step(bank.parameters, bank.backward(blocks, caches, gradient), rate)
            step += 1
            if step % _STEPS_BETWEEN_CHECKS == 0 or step == steps:
                _check(bank, step, recipe)
                tell(step, steps, len(bank.heads))


def _check(bank: HeadBank, step: int, recipe: StepRecipe) -> None:
    if not all(bool(part.isfinite().all()) for part in bank.parameters):
        raise UserError(
            f"the heads diverged before step {step} at learning rate {recipe.lr:g}: the features are too large for it; "
            "--protocol logreg or knn takes them at any scale"
        )


def batch_bounds(rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Bounds of all batches of an epoch. A last row alone joins the batch before it: BatchNorm cannot take one row."""
    bounds = [(low, min(low + batch_size, rows)) for low in range(0, rows, batch_size)]
    if len(bounds) > 1 and bounds[-1][1] - bounds[-1][0] == 1:
        bounds[-2:] = [(bounds[-2][0], rows)]
    return bounds


def _bank(heads: Sequence[Head], splits: Sequence[Rows], objective: Objective) -> HeadBank:
    some = splits[heads[0].split].train
    return HeadBank(heads, some.shape[1], objective.outputs, dtype=some.dtype, device=str(some.device))


def _rates(bank: HeadBank) -> Tensor:
    weight = bank.layers[0].weight
    return torch.tensor([head.point.lr for head in bank.heads], dtype=weight.dtype, device=weight.device)


def _spans(heads: Sequence[Head]) -> Iterator[tuple[int, int, int]]:
    """(first, one past the last, split) of heads of one split beside each other."""
    first = 0
    for split, group in itertools.groupby(heads, key=lambda head: head.split):
        stop = first + len(list(group))
        yield first, stop, split
        first = stop


def _blocks(heads: Sequence[Head], splits: Sequence[Rows], part: Callable[[Rows], Tensor]) -> Blocks:
    return [(first, stop, part(splits[split])) for first, stop, split in _spans(heads)]
