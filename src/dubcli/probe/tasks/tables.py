"""Small text tables, read with errors that name the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from dubcli.errors import UserError


def read_table(path: Path, *columns: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a table with a header line. Raises UserError when it cannot be read or lacks one of ``columns``."""
    rows = read_rows(path, delimiter)
    header = next(rows, [])
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise UserError(f"{path} has no column {', '.join(lacking)} (it has {', '.join(header) or 'nothing'})")
    for number, row in enumerate(rows, start=2):
        if len(row) < len(header):
            raise UserError(f"{path}, line {number}: {len(row)} cells instead of {len(header)}")
        yield dict(zip(header, row, strict=False))


def read_rows(path: Path, delimiter: str = ",") -> Iterator[list[str]]:
    """The rows of a table without a header line; empty lines are passed over."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for row in csv.reader(file, delimiter=delimiter):
                if row:
                    yield [cell.strip() for cell in row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table: {getattr(error, 'strerror', None) or error}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without spaces at their ends, empty ones left out."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]
