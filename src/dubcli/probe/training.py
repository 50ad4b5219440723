"""What protocols are told, whatever they are, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dubcli.jobs.progress import SILENT, Progress

if TYPE_CHECKING:
    import numpy as np

Predictions = tuple["np.ndarray[Any, Any]", ...]
"""Scores of a split's test clips: float (test rows, classes), one array per output (one but for multioutput)."""
Fitted = tuple[Predictions, dict[str, Any]]
"""A split's predictions, and what was chosen for it on validation clips."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How heads train, whatever the protocol.

    Attributes:
        seed: of initial weights and the order of rows.
        device: torch's name; None is CUDA where there is one.
        fast: products round to bfloat16 or TF32 inside.
        max_steps: a head trains for at most so many steps, for trial runs.
        progress: takes bars.
    """

    seed: int = 0
    device: str | None = None
    fast: bool = False
    max_steps: int | None = None
    progress: Progress = SILENT
