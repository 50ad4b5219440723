"""Tables as Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from dubcli.report.belief import BEST, TIED, WORST
from dubcli.report.tables import Cell, Table


def markdown(table: Table) -> str:
    """GitHub's tables: the best bold, the worst in italics, ties marked, interval and the paper's value behind."""
    lines = [f"## {table.title}", ""]
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("|" + "|".join(" --- " for _ in table.columns) + "|")
    lines += ["| " + " | ".join(_marked(cell) for cell in row) + " |" for row in table.rows]
    if table.note:
        lines += ["", table.note.replace("Grey", "Italics").replace("Small:", "In square brackets:")]
    return "\n".join(lines) + "\n"


def _marked(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    text = {BEST: f"**{text}**", TIED: f"{text} =", WORST: f"*{text}*"}.get(cell.mark, text)
    between = f" [{cell.between}]" if cell.between else ""
    return text + between + (f" ({cell.paper})" if cell.paper else "")


def comma_separated(table: Table) -> str:
    """One line per row; marks, the ends of intervals and the paper's values in columns of their own where there are
    any."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    beside = [[name for name, of in _BESIDE.items() if any(of(row[index]) for row in table.rows)]
              for index in range(len(table.columns))]  # fmt: skip
    writer.writerow(
        head for column, names in zip(table.columns, beside, strict=True)
        for head in (column, *(f"{column} ({name})" for name in names))
    )  # fmt: skip
    for row in table.rows:
        writer.writerow(
            value for cell, names in zip(row, beside, strict=True)
            for value in (cell.text, *(_BESIDE[name](cell) for name in names))
        )  # fmt: skip
    return text.getvalue()


_BESIDE: dict[str, Callable[[Cell], str]] = {
    "paper": lambda cell: cell.paper,
    "95 % from": lambda cell: "" if cell.interval is None else f"{cell.interval[0]:.4f}",
    "95 % to": lambda cell: "" if cell.interval is None else f"{cell.interval[1]:.4f}",
    "mark": lambda cell: cell.mark,
}
