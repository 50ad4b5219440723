"""Run one function over many inputs: on local processes or on a Dask cluster, with a log, a limit and progress.

The function is the same for both engines. It is called as ``function(item, report)`` in a worker process, where
``report(fraction, **fields)`` tells how much of the item is done, and returns a dict of details for the log (which may
hold ``"status": "skipped"`` and ``"warning"``). What it raises decides: InputError is that input's failure and the job
goes on; UserError, a full disk or a read-only target end the job; anything else is the input's failure too, with its
traceback in the log, because one strange film must not cost the other 747.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dubcli.jobs.call import Report, no_room
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import FAILED, LACKS, JobSummary, Outcome, OutcomeLog, complaint_kind
from dubcli.jobs.progress import SILENT, Progress

Item = TypeVar("Item")
_FAILURES_TOLD = 3  # of a kind, as they come


@dataclass(frozen=True, kw_only=True)
class JobNames:
    """What a job is called on screen, in which unit it counts, and by which ``key`` an item is known in the log."""

    task: str = "films"
    unit: str = "films"
    key: Callable[[Any], str] = str


def run_jobs(
    function: Callable[[Item, Report], dict[str, Any]],
    items: Sequence[Item],
    named: JobNames = JobNames(),
    *,
    options: JobOptions = JobOptions(),
    log: Path,
    progress: Progress = SILENT,
) -> JobSummary:
    """Run ``function`` over ``items`` (or over this process's shard of them) and return what became of each.

    ``log`` is a ``.jsonl`` file that gets a line per item. Raises UserError when the job as a whole cannot go on, or
    when more inputs failed than ``options`` bear; what was done by then stays done. Ctrl-C ends the workers and raises
    KeyboardInterrupt.
    """
    chosen = take_shard(items, options.shard)
    summary, writer, begun = JobSummary(unit=named.unit), OutcomeLog(log), time.monotonic()
    told: Counter[str] = Counter()
    progress.start(named.task, len(chosen), named.unit)
    try:
        # closed here and not when it is collected: what workers leave is swept up once they have ended
        with closing(_engine(function, chosen, named.key, options, progress)) as outcomes:
            for outcome in outcomes:
                _log(writer, outcome)
                summary.outcomes.append(outcome)
                summary.elapsed_seconds = time.monotonic() - begun
                _tell(progress, named.task, outcome, summary, told)
                if not options.bear(summary.failed):
                    last = summary.failures[-1]
                    raise options.given_up(summary.failed, f"{last.name}: {last.reason}", str(log))
    finally:
        progress.finish(named.task)
    summary.elapsed_seconds = time.monotonic() - begun
    return summary


def take_shard(items: Sequence[Item], shard: tuple[int, int] | None) -> list[Item]:
    """Every n-th of ``items`` beginning with the i-th, for shard (i, n); the shards are disjoint and cover all."""
    return list(items) if shard is None else list(items[shard[0] - 1 :: shard[1]])


def _engine(
    function: Callable[[Item, Report], dict[str, Any]],
    items: list[Item],
    key: Callable[[Item], str],
    options: JobOptions,
    progress: Progress,
) -> Generator[Outcome]:
    if options.scheduler is not None:
        from dubcli.jobs.cluster import run_on_cluster  # its extra may not be installed

        return run_on_cluster(function, items, key, options.scheduler)
    from dubcli.jobs.local import run_in_processes

    return run_in_processes(function, items, key, options.worker_count, progress)


def _log(writer: OutcomeLog, outcome: Outcome) -> None:
    try:
        writer.append(outcome)
    except OSError as error:
        raise no_room(writer.path, error) from None


def _tell(progress: Progress, task: str, outcome: Outcome, summary: JobSummary, told: Counter[str]) -> None:
    """The first few of each kind of complaint as they come; how many there are of a kind stands at the end."""
    failed = outcome.status == FAILED
    new = [text for text in outcome.complaints if told[_kind(text)] < (_FAILURES_TOLD if failed else 1)]
    told.update(map(_kind, new))
    if new:
        progress.message(f"{'failed' if failed else 'warning'}: {outcome.name}: {'; '.join(new)}")
    progress.update(task, len(summary.outcomes), failed=summary.failed)


def _kind(complaint: str) -> str:
    return LACKS if complaint.startswith(f"{LACKS} ") else complaint_kind(complaint)
