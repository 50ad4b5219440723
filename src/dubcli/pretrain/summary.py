"""How a run of pretraining ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended.

    Attributes:
        folder: the run's.
        step: the last that was done.
        total_steps: of the whole run.
        stopped_by: the signal's number; None where all steps are done.
        metrics: the last of each name.
        bad_clips: how many did not decode and were replaced.
    """

    folder: Path
    step: int
    total_steps: int
    stopped_by: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    bad_clips: int = 0
