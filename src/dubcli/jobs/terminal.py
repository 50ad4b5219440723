"""Progress for people: bars on a terminal, lines in a log. All of it goes to standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dubcli.jobs.progress import SilentProgress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from dubcli.jobs.progress import Progress

SECONDS_BETWEEN_LINES = 30.0


def make_progress(*, quiet: bool = False) -> Progress:
    """Bars with an ETA on a terminal, a line now and then into a log, nothing with ``quiet``. All on stderr."""
    if quiet:
        return SilentProgress()
    return RichProgress() if sys.stderr.isatty() else LineProgress()


class RichProgress:
    """Bars on a terminal, drawn while at least one task is running."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def start(self, task: str, total: float | None, unit: str) -> None:
        """Show a bar."""
        with self._lock:
            if self._bars is None:
                self._bars = _bars()
                self._bars.start()
            if task in self._tasks:
                self._bars.remove_task(self._tasks[task])
            self._tasks[task] = self._bars.add_task(_shorten(task), total=total, unit=unit, fields="")

    def update(self, task: str, completed: float, **fields: str | float) -> None:
        """Move a bar and show the fields beside it."""
        with self._lock:
            if self._bars is not None and task in self._tasks:
                self._bars.update(self._tasks[task], completed=completed, fields=_show(fields))

    def finish(self, task: str) -> None:
        """Take a bar away."""
        with self._lock:
            if self._bars is not None and task in self._tasks:
                self._bars.remove_task(self._tasks.pop(task))
                if not self._tasks:
                    self._bars.stop()
                    self._bars = None

    def message(self, text: str) -> None:
        """A line above the bars."""
        with self._lock:
            if self._bars is not None:
                self._bars.console.print(text, markup=False, highlight=False)
            else:
                _print(text)


class LineProgress:
    """For logs: a line for a task about every half minute and one at its end; nothing for tasks shorter than that."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[float | None, str, float, float]] = {}
        self._lock = threading.Lock()

    def start(self, task: str, total: float | None, unit: str) -> None:
        """Remember when it began."""
        with self._lock:
            now = time.monotonic()
            self._tasks[task] = (total, unit, now, now)

    def update(self, task: str, completed: float, **fields: str | float) -> None:
        """Print a line when the last one is long ago."""
        with self._lock:
            if task not in self._tasks:
                return
            total, unit, begun, last = self._tasks[task]
            now = time.monotonic()
            if now - last < SECONDS_BETWEEN_LINES:
                return
            self._tasks[task] = (total, unit, begun, now)
        share = f" of {total:g}" if total else ""
        eta = f", {_duration((now - begun) * (total - completed) / completed)} left" if total and completed else ""
        _print(f"{task}: {completed:.4g}{share} {unit}{eta} {_show(fields)}".rstrip())

    def finish(self, task: str) -> None:
        """Forget it."""
        with self._lock:
            self._tasks.pop(task, None)

    def message(self, text: str) -> None:
        """A line."""
        _print(text)


def _print(text: str) -> None:
    print(text, file=sys.stderr)


def _bars() -> Bars:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[fields]}", style="dim", markup=False),
        console=Console(stderr=True),
        transient=True,
    )


def _show(fields: Mapping[str, str | float]) -> str:
    return " ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in fields.items()
    )


def _shorten(text: str, width: int = 40) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else "…" + line[-width + 1 :]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
