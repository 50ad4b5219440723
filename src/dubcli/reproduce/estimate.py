"""How long what is left of a plan takes, by what was measured: its own steps, and a few steps of training."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.core.atomic import read_json, read_json_lines
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.pretrain.config import LaunchConfig
from dubcli.reproduce.plan import Plan
from dubcli.reproduce.steps import CHANGED, DONE, MISSING, PlannedModel, State, run_folder, training_config


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """``seconds``: what is left of the steps that something was measured for; ``unknown``: the others, by kind.

    ``missing``: how many steps wait for what a person has to bring.
    """

    seconds: float
    unknown: Mapping[str, int]
    missing: int = 0

    def __str__(self) -> str:
        text = f"{_time(self.seconds)} by what was measured here" if self.seconds else ""
        rest = ", ".join(f"{count} of {kind}" for kind, count in self.unknown.items())
        waits = f"waiting for what is missing: {self.missing} steps" if self.missing else ""
        known = (text, f"not measured yet: {rest}" if rest else "", waits)
        return "; ".join(filter(None, known)) or "nothing"


def estimate(plan: Plan, states: Sequence[State], measure: Callable[[PlannedModel], float | None]) -> Estimate:
    """What is left, one step after another on this machine; of what is missing nothing can be said.

    ``measure``: seconds that a model's training takes from its start, of a model like it; ``measured_training``.
    """
    seconds = 0.0
    unknown: dict[str, int] = {}
    likes: dict[tuple[Any, ...], float | None] = {}
    for state in states:
        if state.state in (DONE, MISSING):
            continue
        left = _left(plan, state, states, measure, likes)
        if left is None:
            unknown[state.step.kind] = unknown.get(state.step.kind, 0) + 1
        else:
            seconds += left
    return Estimate(seconds=seconds, unknown=unknown, missing=sum(state.state == MISSING for state in states))


def _left(
    plan: Plan,
    state: State,
    states: Sequence[State],
    measure: Callable[[PlannedModel], float | None],
    likes: dict[tuple[Any, ...], float | None],
) -> float | None:
    step = state.step
    if step.kind == "pretrain" and step.model is not None:
        begun = left_of_run(run_folder(plan, step.model)) if state.state != CHANGED else None
        if begun is not None:
            return begun
        key = _alike(plan, step.model)
        if key not in likes:
            likes[key] = _like(plan, states, key) or measure(step.model)
        return likes[key]
    done = [
        other.mark.seconds
        for other in states
        if other.state == DONE and other.mark is not None and other.mark.seconds is not None
        and other.step.kind == step.kind and other.step.task == step.task
    ]  # fmt: skip
    return statistics.median(done) if done else None


def _alike(plan: Plan, model: PlannedModel) -> tuple[Any, ...]:
    """What decides how long a training step takes: which backbones run how often."""
    languages = list(plan.films.languages)
    found = parse_variant(model.variant, languages[0], languages)
    return found.uses_video, len(found.heads)


def _like(plan: Plan, states: Sequence[State], key: tuple[Any, ...]) -> float | None:
    for state in states:
        model, mark = state.step.model, state.mark
        trained = state.state == DONE and state.step.kind == "pretrain" and mark is not None
        if trained and model is not None and mark is not None and _alike(plan, model) == key:
            return mark.seconds
    return None


def left_of_run(folder: Path) -> float | None:
    """Seconds that a run which was begun still takes, by the speed in its own log; None where it says none."""
    with suppress(UserError, KeyError, IndexError, ValueError, TypeError, ZeroDivisionError):
        config = read_json(folder / "config.json")
        lines = read_json_lines(folder / "metrics.jsonl")
        speeds = [line["clips_per_second"] for line in lines if line.get("clips_per_second")]
        clips = config["batch_size"] * config.get("accumulate", 1) * config["world_size"]
        return float((config["steps"] - lines[-1]["step"]) * clips / statistics.median(speeds))
    return None


def measured_training(plan: Plan, gpus: int) -> Callable[[PlannedModel], float | None]:
    """Measures a few steps of a model's training, in this process, where its films are there."""

    def measure(model: PlannedModel) -> float | None:
        from dubcli.pretrain.dry_run import dry_run

        where = LaunchConfig(gpus=None if gpus < 0 else gpus, procs=plan.pretrain.procs)
        try:
            summary = dry_run(training_config(plan, model), where)["summary"]
        except UserError:
            return None
        return float(summary["steps"] * summary["seconds per step"])

    return measure


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} seconds" if seconds >= 1.5 else "a second"
    if seconds < 5400:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
