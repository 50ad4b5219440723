"""What a command prints: tables, results, and errors in one line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dubcli.core.atomic import strict
from dubcli.jobs.outcomes import LACKS, Kind, by_kind
from dubcli.jobs.terminal import make_progress as make_progress

if TYPE_CHECKING:
    from dubcli.jobs.outcomes import JobSummary

_NAMED_AT_MOST = 3


def warn(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr)


def open_in_browser(address: str) -> None:
    """Open a page; where there is no browser, say its address."""
    import webbrowser

    if not webbrowser.open(address):
        warn(f"no browser was found; open {address}")


def print_json(content: Any) -> None:
    """Strict JSON on standard output; a number that is none (NaN) becomes null."""
    print(json.dumps(strict(content), ensure_ascii=False, indent=2, allow_nan=False))


_LONG_WORD = 24


def print_table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output: numbers to the right, as wide as its content where that is not a terminal.

    In a terminal so narrow that words would be cut into columns of a few letters, a row is a block of lines.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, highlight=False)
    content = [[str(cell) for cell in row] for row in rows]
    if console.is_terminal and _narrowest(columns, content) > console.width:
        _print_blocks(title, columns, content)
        return
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(content) and all(_is_number(row[index]) for row in content)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in content:
        table.add_row(*row)
    if not console.is_terminal:
        console.width = max(80, 4 + sum(max(len(c), *(len(row[i]) for row in content), 0) + 3
                                        for i, c in enumerate(columns)))  # fmt: skip
    console.print(table)


def _narrowest(columns: Sequence[str], content: Sequence[Sequence[str]]) -> int:
    """Letters that a table needs so that words stay whole, but those longer than ``_LONG_WORD``: paths, mostly."""
    words = ([word for text in (name, *(row[index] for row in content)) for word in text.split()]
             for index, name in enumerate(columns))  # fmt: skip
    return 1 + sum(3 + min(_LONG_WORD, max(map(len, own), default=0)) for own in words)


def _print_blocks(title: str | None, columns: Sequence[str], content: Sequence[Sequence[str]]) -> None:
    """Each row's first cell, and below it what the others hold, by their columns' names."""
    if title:
        print(f"\n{title}")
    width = max(map(len, columns[1:]), default=0)
    for first, *others in content:
        print(f"{columns[0]} {first}" if _is_number(first) else first)
        for name, text in zip(columns[1:], others, strict=True):
            if text:
                print(f"  {name:{width}}  {text}".rstrip())


def print_summary(
    summary: JobSummary,
    *,
    what: str,
    log: object,
    as_json: bool,
    quiet: bool,
    extra: Mapping[str, Any],
) -> None:
    """The end of a long job: counts, complaints by their kinds with how many, and where all of them are.

    Where each was told as it came they are not said again; with ``quiet`` nothing was.
    """
    if as_json:
        counts = {"ok": summary.ok, "skipped": summary.skipped, "failed": summary.failed}
        outcomes = [
            {"source": o.key, "status": o.status, "reason": o.reason, **o.recorded} for o in summary.outcomes
        ]  # fmt: skip
        notes = {"notes": summary.notes} if summary.notes else {}
        print_json({**counts, **extra, "seconds": round(summary.elapsed_seconds, 1), **notes, "outcomes": outcomes})
        return
    parts = [f"{summary.ok} done", f"{summary.skipped} already there", f"{summary.failed} failed"]
    print(f"{what}: {', '.join(parts)}" + "".join(f"; {name} {value}" for name, value in extra.items()))
    for word, complaining in (("failed", summary.failures), ("warning", summary.warnings)):
        kinds = by_kind(complaining)
        if quiet or any(len(kind.names) > 1 for kind in kinds):
            for line in _lines(kinds, summary.unit):
                print(f"  {word}: {line}")
    for outcome in summary.outcomes:
        if "note" in outcome.details:
            print(f"  note: {outcome.name}: {outcome.details['note']}")
    for note in summary.notes:
        print(f"  {note}")
    if summary.failures:
        print(f"  all reasons are in {log}")


def _lines(kinds: Sequence[Kind], unit: str) -> Iterator[str]:
    lacking = [kind for kind in kinds if kind.text.startswith(f"{LACKS} ")]
    if lacking:
        counts = [f"{kind.text.removeprefix(LACKS).strip()}: {_count(kind, unit)}" for kind in lacking]
        yield f"{LACKS} {', '.join(counts)}" + (f" ({_few(lacking[0])})" if len(lacking) == 1 else "")
    for kind in kinds:
        if len(kind.names) == 1 and kind not in lacking:
            yield f"{kind.names[0]}: {kind.text}"
        elif kind not in lacking:
            yield f"{kind.text}: {_count(kind, unit)} ({_few(kind)})"


def _count(kind: Kind, unit: str) -> str:
    return f"{len(kind.names)} {unit if len(kind.names) != 1 else unit.removesuffix('s')}"


def _few(kind: Kind) -> str:
    names = [os.path.basename(name) for name in kind.names[:_NAMED_AT_MOST]]
    return ", ".join(names) + (f" and {len(kind.names) - len(names)} more" if len(kind.names) > len(names) else "")


def _is_number(text: str) -> bool:
    return text.strip(" %±x-–.").replace(".", "").replace(",", "").isdigit() or text in ("", "-", "–")
