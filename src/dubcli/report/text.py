"""Tables as Markdown and CSV."""

from __future__ import annotations

import csv
import io

from dubcli.report.tables import BEST, WORST, Cell, Table


def markdown(table: Table) -> str:
    """GitHub's tables: the best bold, the worst in italics, the paper's value in brackets."""
    lines = [f"## {table.title}", ""]
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("|" + "|".join(" --- " for _ in table.columns) + "|")
    lines += ["| " + " | ".join(_marked(cell) for cell in row) + " |" for row in table.rows]
    if table.note:
        lines += ["", table.note.replace("grey", "italics")]
    return "\n".join(lines) + "\n"


def _marked(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|")
    text = {BEST: f"**{text}**", WORST: f"*{text}*"}.get(cell.mark, text)
    return f"{text} ({cell.paper})" if cell.paper else text


def comma_separated(table: Table) -> str:
    """One line per row; the paper's values in columns of their own where there are any."""
    with_paper = [any(row[index].paper for row in table.rows) for index in range(len(table.columns))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header: list[str] = []
    for name, also in zip(table.columns, with_paper, strict=True):
        header += [name, f"{name} (paper)"] if also else [name]
    writer.writerow(header)
    for row in table.rows:
        cells: list[str] = []
        for cell, also in zip(row, with_paper, strict=True):
            cells += [cell.text, cell.paper] if also else [cell.text]
        writer.writerow(cells)
    return text.getvalue()
