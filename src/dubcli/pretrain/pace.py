"""How a run goes, between lines of the log: clips and seconds counted, losses kept until they are looked at."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Tally:
    """Clips and seconds since the last line of the log."""

    clips: int = 0
    waited: float = 0.0
    took: float = 0.0

    def add(self, clips: int, waited: float, took: float) -> None:
        """Count a step: its clips on all ranks, the seconds it waited for its batch, and those it took in all."""
        self.clips, self.waited, self.took = self.clips + clips, self.waited + waited, self.took + took

    def take(self) -> dict[str, float]:
        """{"clips_per_second", "data_wait" (share of the time)}, and begin anew."""
        took = max(self.took, 1e-9)
        found = {"clips_per_second": self.clips / took, "data_wait": self.waited / took}
        self.clips, self.waited, self.took = 0, 0.0, 0.0
        return found


@dataclass(frozen=True)
class StepLoss:
    """The loss of a step, a tensor of no dimensions that may be still on its way, and the clips it is of."""

    step: int
    clips: tuple[int, ...]
    loss: Tensor


class RecentLosses:
    """The losses of the last ``most`` steps, left on their device: to ask after each step would wait for it."""

    def __init__(self, most: int) -> None:
        self._recent: deque[StepLoss] = deque(maxlen=max(most, 1))

    def add(self, step: int, clips: tuple[int, ...], loss: Tensor) -> None:
        """Keep the loss of a step."""
        self._recent.append(StepLoss(step, clips, loss))

    def first_not_finite(self) -> StepLoss | None:
        """The first that is no number, if any; the others are forgotten. The device is waited for once."""
        recent = list(self._recent)
        self._recent.clear()
        losses = torch.stack([one.loss for one in recent]).tolist() if recent else []
        return next((one for one, loss in zip(recent, losses, strict=True) if not math.isfinite(loss)), None)
