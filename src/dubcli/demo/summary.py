"""What the demo made, as it stands in ``summary.json``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.demo.likeness import Likeness
from dubcli.demo.questions import Question, verdict


@dataclass(frozen=True, kw_only=True)
class DemoSummary:
    """What the walk made. ``seconds``: {step: wall time}.

    ``learnt``, ``kept``: of clips of the films that were trained on, and of those that were not, a ``Likeness`` each.
    """

    folder: Path
    page: Path
    picture: Path
    films: int
    clips: int
    learnt: tuple[Likeness, ...]
    kept: tuple[Likeness, ...]
    questions: tuple[Question, ...]
    seconds: dict[str, float]

    @property
    def verdict(self) -> str:
        """One line: in what the last two models differ by more than noise."""
        return verdict(self.questions)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        plain = dataclasses.asdict(self)
        return {**plain, **{name: str(plain[name]) for name in ("folder", "page", "picture")}}
