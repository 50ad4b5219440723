"""A probing problem: features, labels and splits as numbers. Heads know nothing of files or datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("multiclass", "multilabel", "multioutput")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Numbers of the rows (int64) that train, validate and test.

    Attributes:
        name: of the split or fold.
        train: trained on.
        valid: chosen by; may be empty for protocols that choose nothing.
        test: scored.
    """

    name: str
    train: np.ndarray[Any, Any]
    valid: np.ndarray[Any, Any]
    test: np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a protocol is given.

    Attributes:
        name: of the task.
        features: float32 (n, dim).
        labels: int64 (n,) for multiclass, uint8 (n, classes) for multilabel, int64 (n, outputs) for multioutput.
        kind: ``multiclass``, ``multilabel`` or ``multioutput``.
        classes: names, in the order of the numbers; for multioutput a tuple of names per output.
        splits: each tested on its own.
        metrics: names in HEAR's spelling, the first one decides.

    Raises:
        ValueError: an unknown kind, or features and labels of different numbers of rows.
    """

    name: str
    features: np.ndarray[Any, Any]
    labels: np.ndarray[Any, Any]
    kind: str
    classes: tuple[str, ...] | tuple[tuple[str, ...], ...]
    splits: tuple[Split, ...]
    metrics: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; one of {', '.join(KINDS)}")
        if len(self.features) != len(self.labels):
            raise ValueError(f"{len(self.features)} features for {len(self.labels)} labels")
