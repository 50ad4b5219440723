"""How a run goes: clips and seconds counted between lines of the log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tally:
    """Clips and seconds since the last line of the log."""

    clips: int = 0
    waited: float = 0.0
    took: float = 0.0

    def add(self, clips: int, waited: float, took: float) -> None:
        self.clips, self.waited, self.took = self.clips + clips, self.waited + waited, self.took + took

    def take(self) -> dict[str, float]:
        """{"clips_per_second", "data_wait" (share of the time)}, and begin anew."""
        took = max(self.took, 1e-9)
        found = {"clips_per_second": self.clips / took, "data_wait": self.waited / took}
        self.clips, self.waited, self.took = 0, 0.0, 0.0
        return found
