"""What a stage tells of its progress, whoever listens: a terminal, a log, a notebook, nobody."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Named tasks with an amount of work in a unit, and lines of text between them."""

    def start(self, task: str, total: float | None, unit: str) -> None:
        """Begin (or begin again) the task named ``task``; ``total`` None where the amount is not known."""

    def update(self, task: str, completed: float, **fields: str | float) -> None:
        """``completed`` of the total is done; ``fields`` are shown beside (speed, loss, the film's name)."""

    def finish(self, task: str) -> None:
        """The task is over and its bar can go."""

    def message(self, text: str) -> None:
        """A line for the user (a warning, a failure), kept above the bars."""


class SilentProgress:
    """Tells nobody."""

    def start(self, task: str, total: float | None, unit: str) -> None:
        """Say nothing."""

    def update(self, task: str, completed: float, **fields: str | float) -> None:
        """Say nothing."""

    def finish(self, task: str) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""


SILENT: Progress = SilentProgress()
