"""Results files: ``results/<task>/<model>.json`` and ``<model>.predictions.npz`` beside it (``core.results``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.core.atomic import atomic_write, read_json, strict, write_json
from dubcli.core.bootstrap import interval
from dubcli.core.results import FORMAT, named, number
from dubcli.core.same import require_same
from dubcli.probe.metrics import per_class
from dubcli.probe.problem import Problem
from dubcli.probe.protocols import ProbeScores

_BEFORE_OPTIONS = {"splits": "all", "chunks": "half"}
"""What results of earlier versions were made with, which could not be told otherwise."""


@dataclass(frozen=True, kw_only=True)
class ProbeResult:
    """One model's scores on one task.

    Attributes:
        path: of the results file.
        content: the whole of it.
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.content["task"])

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.content["model"])

    @property
    def metric(self) -> str:
        """The metric that decides."""
        return str(self.content["metric"])

    @property
    def protocol(self) -> str:
        """The protocol's name."""
        return str(self.content["protocol"]["name"])

    @property
    def mean(self) -> float:
        """Mean of ``metric`` over the splits: infinite where one is (d' of a perfect split), NaN where one has none."""
        return number(self.content["mean"])

    @property
    def std(self) -> float | None:
        """Standard deviation over the splits (ddof 1); None for a single one."""
        return None if self.content["std"] is None else float(self.content["std"])

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % bootstrap interval over the test predictions, where it was computed."""
        found = self.content.get("interval")
        return None if found is None else (float(found[0]), float(found[1]))


def existing(path: Path, identity: Mapping[str, Any]) -> ProbeResult | None:
    """The result in ``path`` if it is there and was made of the same. Raises UserError where something differs."""
    if not path.exists():
        return None
    content = read_json(path)
    advice = "--again replaces it, another --out keeps both"
    made_with = {**_BEFORE_OPTIONS, **content.get("identity", {})}
    names_differ = content.get("format", 1) >= FORMAT  # earlier ones did not know them all
    require_same(made_with, identity, f"{path} was made with", advice, new_names_differ=names_differ)
    return ProbeResult(path=path, content=content)


def score_summary(problem: Problem, scores: ProbeScores) -> dict[str, Any]:
    """The scores part of a results file: mean and std (ddof 1, over the splits where it is defined) of every metric."""
    metrics = {}
    for name in problem.metrics:
        values = np.array([split.metrics[name] for split in scores.splits], dtype=np.float64)
        metrics[name] = {
            "mean": named(_mean(values)),
            "std": values.std(ddof=1) if len(values) > 1 and np.isfinite(values).all() else None,
            "scores": [named(value) for value in values],
            "undefined_splits": int(np.isnan(values).sum()),
            "infinite_splits": int(np.isinf(values).sum()),
        }
    first = metrics[problem.metrics[0]]
    names = [split.name for split in scores.splits]
    return {
        "metric": problem.metrics[0],
        "mean": first["mean"],
        "std": first["std"],
        "scores": first["scores"],
        "interval": interval(problem.metrics[0], problem.kind, prediction_arrays(problem, scores), names),
        "metrics": metrics,
        "per_class": _pooled_classes(problem, scores),
        "splits": [
            {
                "name": split.name,
                "metrics": {name: named(value) for name, value in split.metrics.items()},
                "test_clips": len(split.test),
                "chosen": split.chosen,
            }
            for split in scores.splits
        ],
        "protocol": scores.protocol,
        "kind": problem.kind,
        "classes": problem.classes,
    }


def _mean(values: np.ndarray[Any, Any]) -> float:
    with np.errstate(invalid="ignore"):  # of infinite d' of both signs
        return float(values.mean())


def _pooled_classes(problem: Problem, scores: ProbeScores) -> list[dict[str, Any]]:
    """Per class over the test clips of all splits."""
    rows = np.concatenate([split.test for split in scores.splits])
    outputs = zip(*(split.predictions for split in scores.splits), strict=True)
    return per_class(problem, tuple(np.concatenate(parts) for parts in outputs), rows)


def prediction_arrays(
    problem: Problem, scores: ProbeScores, clips: Sequence[str] = ()
) -> dict[str, np.ndarray[Any, Any]]:
    """The names of all clips, per split the test rows, their labels and the predicted scores, one array per output."""
    arrays: dict[str, np.ndarray[Any, Any]] = {"clips": np.array(clips, dtype=np.str_)} if clips else {}
    for split in scores.splits:
        arrays[f"{split.name}.rows"] = split.test
        arrays[f"{split.name}.labels"] = problem.labels[split.test]
        for output, part in enumerate(split.predictions):
            arrays[f"{split.name}.scores.{output}"] = part
    return arrays


def save_result(path: Path, content: Mapping[str, Any], predictions: Mapping[str, np.ndarray[Any, Any]]) -> ProbeResult:
    """Write predictions, then the results file, each atomically; numbers that are none become null."""
    with atomic_write(path.with_suffix(".predictions.npz")) as file:
        np.savez_compressed(file, **dict(predictions))  # type: ignore[arg-type]
    written = strict({"format": FORMAT, **content})
    write_json(path, written)
    return ProbeResult(path=path, content=written)
