"""The log of a job: one JSON line per input, ok | skipped | failed, with the reason."""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubcli.core.atomic import json_bytes

OK, SKIPPED, FAILED = "ok", "skipped", "failed"
LACKS = "lacks"  # begins a warning that names languages
_EACH = "warnings"  # of details: those that "warning" joins


@dataclass(frozen=True)
class Outcome:
    """What became of one input. ``details`` is what the stage's function returned, ``reason`` why it failed."""

    key: str
    status: str
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``key`` for a screen: one line, whatever newlines and escape sequences a file's name holds."""
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in self.key)

    @property
    def recorded(self) -> dict[str, Any]:
        """``details`` for the log."""
        return {key: value for key, value in self.details.items() if key != _EACH}

    @property
    def warning(self) -> str | None:
        """A reason to look at an input that did not fail."""
        return self.details.get("warning")

    @property
    def complaints(self) -> tuple[str, ...]:
        """Why it failed, or each of the warnings."""
        if self.status == FAILED:
            return (self.reason or "",)
        return tuple(self.details.get(_EACH, ())) or ((self.warning,) if self.warning else ())


def warned(details: dict[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """A function's details with ``warnings`` before those that it has: a text for the log, each apart for counting."""
    each = [*warnings, *details.get(_EACH, ())]
    return details | ({"warning": "; ".join(each), _EACH: each} if each else {})


@dataclass(frozen=True)
class Kind:
    """Complaints that differ in names and numbers alone: what is said of one of them, and the inputs."""

    text: str
    names: tuple[str, ...]


def complaint_kind(complaint: str) -> str:
    """What complaints of one kind have in common."""
    return re.sub(r"[-+]?\d[\d.,:]*", "…", re.sub(r" ?\([^()]*\)", "", complaint))


def by_kind(outcomes: Iterable[Outcome]) -> list[Kind]:
    """The complaints of outcomes by their kinds, the most frequent first; each language that lacks is one."""
    names: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for outcome in outcomes:
        for complaint in outcome.complaints:
            for text in _apart(complaint):
                kind = complaint_kind(text)
                texts[kind] = text if kind not in texts or texts[kind] == text else kind
                names.setdefault(kind, []).append(outcome.name)
    kinds = [Kind(texts[kind], tuple(dict.fromkeys(found))) for kind, found in names.items()]
    return sorted(kinds, key=lambda kind: -len(kind.names))


def _apart(complaint: str) -> list[str]:
    word, _, rest = complaint.partition(" ")
    return [f"{word} {language}" for language in rest.split(", ")] if word == LACKS else [complaint]


@dataclass
class JobSummary:
    """Counts and outcomes of a run over all inputs, in the order in which they ended.

    ``notes``: of the run as a whole; ``unit``: what the inputs are.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    elapsed_seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    unit: str = "inputs"

    def _of(self, status: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status == status]

    @property
    def ok(self) -> int:
        """Inputs that were worked on and are done."""
        return len(self._of(OK))

    @property
    def skipped(self) -> int:
        """Inputs that had been done before."""
        return len(self._of(SKIPPED))

    @property
    def failed(self) -> int:
        """Inputs that could not be used."""
        return len(self.failures)

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes of the inputs that could not be used."""
        return self._of(FAILED)

    @property
    def warnings(self) -> list[Outcome]:
        """The outcomes that are no failures but have something to say."""
        return [outcome for outcome in self.outcomes if outcome.status != FAILED and outcome.warning]

    @property
    def exit_status(self) -> int:
        """0 all done, 1 some failed, 2 nothing could be done (DESIGN: exit status)."""
        if not self.failures:
            return 0
        return 1 if self.ok + self.skipped else 2


class OutcomeLog:
    """Appends outcomes to a ``.jsonl`` file; whole lines in one write, so that several processes can share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, outcome: Outcome) -> None:
        """Write one line. Raises OSError (a full disk)."""
        line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "source": outcome.key, "status": outcome.status}
        if outcome.reason is not None:
            line["reason"] = outcome.reason
        text = (
            json.dumps({**line, **outcome.recorded, "status": outcome.status}, ensure_ascii=False, default=str) + "\n"
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            data = json_bytes(text)
            written = os.write(descriptor, data)
            if written < len(data):  # the disk is full now: half a line would spoil the next one
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        finally:
            os.close(descriptor)
