"""Small text tables, read with errors that name the file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from dubcli.errors import UserError

_DELIMITERS = (",", ";", "\t")
_MOST_SHOWN = 200
"""Characters of a header: a quote too many makes one of a whole table."""


def read_table(path: Path, *columns: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """The rows of a published table with a header line, also where it was saved again with other delimiters, or names
    in another case.

    Args:
        path: of the table.
        columns: that it must have.
        delimiter: as published; others are tried too.

    Yields:
        Each row's cells by the names of the columns.

    Raises:
        UserError: it cannot be read, lacks one of ``columns``, or a row has nothing (or NaN) in one of them.

    >>> _ = Path("clips.csv").write_text("file,class\\n0.wav,low\\n")
    >>> [row["class"] for row in read_table(Path("clips.csv"), "file", "class")]
    ['low']
    """
    signs = (delimiter, *(sign for sign in _DELIMITERS if sign != delimiter))
    headers = {sign: _in_their_case(next(read_rows(path, sign), []), columns) for sign in signs}
    sign = next((sign for sign in signs if set(columns) <= set(headers[sign])), delimiter)
    header = headers[sign]
    lacking = [column for column in columns if column not in header]
    if lacking:
        there = " ".join(", ".join(header).split())[:_MOST_SHOWN] or "nothing"
        raise UserError(f"{path} has no column {', '.join(lacking)} (it has {there})")
    for number, cells in enumerate(read_rows(path, sign), start=1):
        if number == 1:
            continue
        if len(cells) < len(header):
            raise UserError(f"{path}, line {number}: {len(cells)} cells instead of {len(header)}")
        row = dict(zip(header, cells, strict=False))
        blank = [column for column in columns if is_blank(row[column])]
        if blank:
            raise UserError(
                f"{path}, line {number} has no {blank[0]} ({row[blank[0]]!r}); get the dataset's list again"
            )
        yield row


def _in_their_case(header: list[str], columns: tuple[str, ...]) -> list[str]:
    """The header with the names of ``columns`` as these are written, but for those that it has."""
    wanted = {column.casefold(): column for column in columns if column not in header}
    return [wanted.get(name.casefold(), name) for name in header]


def read_rows(path: Path, delimiter: str = ",") -> Iterator[list[str]]:
    """The rows of a table without a header line; empty lines are passed over.

    Args:
        path: of the table.
        delimiter: between cells.

    Yields:
        Each row's cells, without spaces at their ends.

    Raises:
        UserError: it cannot be read.

    >>> _ = Path("list.txt").write_text("0.wav low\\n1.wav high\\n")
    >>> dict(read_rows(Path("list.txt"), " "))
    {'0.wav': 'low', '1.wav': 'high'}
    """
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


def is_blank(cell: str) -> bool:
    """Whether a cell says nothing: empty, or NaN as libraries write a lacking value."""
    return cell.strip().lower() in ("", "nan")


def whole_number(cell: str, path: Path, what: str) -> int:
    """A cell as a number that is not below 0; ``5.0`` is what libraries make of 5. Raises UserError for others."""
    try:
        number = float(cell)
    except ValueError:
        number = -1.0
    if not (number >= 0 and number.is_integer()):
        raise UserError(
            f"{path} holds the {what} {cell[:40]!r}, which is no whole number; get the dataset's list again"
        )
    return int(number)
