"""The one learning-rate schedule: of pretraining and of the probe's heads."""

from __future__ import annotations

import math


def warmup_cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Share of the highest learning rate at ``step``, from 0: linear over the warm-up, then half a cosine to 0 at
    ``steps`` (paper section 3.4)."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
