"""What a command prints: tables, results, and errors in one line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dubcli.core.atomic import strict
from dubcli.jobs.terminal import make_progress as make_progress

if TYPE_CHECKING:
    from dubcli.jobs.outcomes import JobSummary


def warn(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr)


def print_json(content: Any) -> None:
    """Strict JSON on standard output; a number that is none (NaN) becomes null."""
    print(json.dumps(strict(content), ensure_ascii=False, indent=2, allow_nan=False))


def print_table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output: numbers to the right, as wide as its content where that is not a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    content = [[str(cell) for cell in row] for row in rows]
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(content) and all(_is_number(row[index]) for row in content)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in content:
        table.add_row(*row)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = max(80, 4 + sum(max(len(c), *(len(row[i]) for row in content), 0) + 3
                                        for i, c in enumerate(columns)))  # fmt: skip
    console.print(table)


def print_summary(
    summary: JobSummary, *, what: str, log: object, as_json: bool, quiet: bool, extra: Mapping[str, Any]
) -> None:
    """The end of a long job: counts, and where the reasons are; with ``quiet`` the reasons too, not said before."""
    if as_json:
        counts = {"ok": summary.ok, "skipped": summary.skipped, "failed": summary.failed}
        outcomes = [
            {"source": o.key, "status": o.status, "reason": o.reason, **o.details} for o in summary.outcomes
        ]  # fmt: skip
        print_json({**counts, **extra, "seconds": round(summary.elapsed_seconds, 1), "outcomes": outcomes})
        return
    parts = [f"{summary.ok} done", f"{summary.skipped} already there", f"{summary.failed} failed"]
    print(f"{what}: {', '.join(parts)}" + "".join(f"; {name} {value}" for name, value in extra.items()))
    for outcome in summary.failures if quiet else ():
        print(f"  failed: {outcome.name}: {outcome.reason}")
    for outcome in summary.warnings if quiet else ():
        print(f"  warning: {outcome.name}: {outcome.warning}")
    for outcome in summary.outcomes:
        if "note" in outcome.details:
            print(f"  note: {outcome.name}: {outcome.details['note']}")
    if summary.failures:
        print(f"  all reasons are in {log}")


def _is_number(text: str) -> bool:
    return text.strip(" %±x-–.").replace(".", "").replace(",", "").isdigit() or text in ("", "-", "–")
