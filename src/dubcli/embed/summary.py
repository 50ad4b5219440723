"""What became of the inputs, counted; only failures and warnings are kept, so that a million files cost nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import FAILED, OK, SKIPPED, JobSummary, Outcome
from dubcli.jobs.progress import Progress

_MOST_KEPT = 1000


@dataclass
class EmbedSummary(JobSummary):
    """Counts of inputs. ``outcomes`` holds the first thousand failures and warnings; ``items.csv`` has them all."""

    ok_inputs: int = 0
    skipped_inputs: int = 0
    failed_inputs: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> int:
        """Inputs whose features were made now."""
        return self.ok_inputs

    @property
    def skipped(self) -> int:
        """Inputs whose features were there."""
        return self.skipped_inputs

    @property
    def failed(self) -> int:
        """Inputs that could not be used."""
        return self.failed_inputs

    @property
    def exit_status(self) -> int:
        """0 all done, 1 some failed, 2 nothing could be done."""
        if not self.failed:
            return 0
        return 1 if self.ok + self.skipped else 2

    def add(self, record: dict[str, Any], *, before: bool) -> Outcome:
        """Count a row of ``items.csv``; ``before``: an earlier run made it."""
        failed = record["status"] == FAILED
        status = FAILED if failed else SKIPPED if before else OK
        details = {"warning": record["reason"]} if record["reason"] and not failed else {}
        outcome = Outcome(record["path"], status, record["reason"] if failed else None, details)
        self.ok_inputs += status == OK
        self.skipped_inputs += status == SKIPPED
        self.failed_inputs += failed
        if (failed or outcome.warning) and len(self.outcomes) < _MOST_KEPT:
            self.outcomes.append(outcome)
        return outcome


def tell_outcome(outcome: Outcome, summary: EmbedSummary, options: JobOptions, progress: Progress) -> None:
    """Show a failure or a warning, of those with the same reason the first; ``tell_repeated`` counts the others.

    Raises UserError when more inputs failed than ``options`` bear.
    """
    what, why = ("failed", outcome.reason) if outcome.status == FAILED else ("warning", outcome.warning)
    if why:
        summary.reasons[f"{what}: {why}"] += 1
        if summary.reasons[f"{what}: {why}"] == 1:
            progress.message(f"{what}: {outcome.key}: {why}")
    if not options.bear(summary.failed):
        raise options.given_up(summary.failed, f"{outcome.key}: {outcome.reason}")


def tell_repeated(summary: EmbedSummary, progress: Progress) -> None:
    """A line for each reason that several inputs had: what a dataset lacks is told once, not file by file."""
    for reason, count in summary.reasons.items():
        if count > 1:
            progress.message(f"{reason}: {count} files in all; items.csv names them")
