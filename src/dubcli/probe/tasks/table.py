"""Users' own tasks as a table of labels: CSV, TSV or JSON lines with a row per clip.

Columns: ``path`` (relative to the table's folder); ``label`` (one) or ``labels`` (several, separated by ``;`` or ``|``,
else by commas: multilabel, measured by mAP); ``split`` (train, valid, test) or ``fold`` (tested in turn) or neither
(seeded folds); optionally ``start`` and ``duration`` in seconds, for clips that are parts of longer sounds. Other
columns are left aside. A row that cannot be used is counted and named in the task's notes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dubcli.errors import UserError, did_you_mean
from dubcli.probe.tasks.data import MAP_FIRST, TOP1_FIRST, Clip, ClipSplit, TaskData, labelled_task
from dubcli.probe.tasks.folder import PART_NAMES, SEEDED_FOLDS, file_name_part
from dubcli.probe.tasks.splits import by_fold, by_part, by_seed
from dubcli.probe.tasks.tables import read_lines, read_rows

LAYOUT = "table of labels (path, label or labels, split or fold, start, duration)"
COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath"),
    "label": ("label", "class", "category"),
    "labels": ("labels",),
    "split": ("split", "subset", "part"),
    "fold": ("fold",),
    "start": ("start", "start_seconds"),
    "duration": ("duration", "duration_seconds", "seconds"),
}
"""What is read, and under which names."""
SEPARATORS = (";", "|", ",")
_SUFFIXES = (".csv", ".tsv", ".jsonl")
_SHOWN = 3


@dataclass
class _Rows:
    """Clips by what part of which file they are, and why rows gave none."""

    clips: dict[tuple[Path, float, float | None], Clip] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    repeated: int = 0
    joined: int = 0

    def add(self, clip: Clip, line: int) -> None:
        """Keep a clip; of several rows of one clip the labels are joined, if they agree on its part."""
        key = (clip.path, clip.start_seconds, clip.seconds)
        there = self.clips.get(key)
        if there is None:
            self.clips[key] = clip
        elif there.part != clip.part:
            self.refused.append(f"line {line}: {clip.path.name} was in {there.part!r} before, now in {clip.part!r}")
        elif set(clip.labels) <= set(there.labels):
            self.repeated += 1
        else:
            self.joined += 1
            self.clips[key] = replace(there, labels=tuple(dict.fromkeys((*there.labels, *clip.labels))))

    def notes(self, total: int) -> list[str]:
        """A line for each thing that was not as one would think."""
        notes = []
        if self.refused:
            more = len(self.refused) - _SHOWN
            shown = "; ".join(self.refused[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
            notes.append(f"{len(self.refused)} of {total} rows cannot be used: {shown}")
        if self.repeated:
            notes.append(f"{self.repeated} of {total} rows say again what is there already")
        if self.joined:
            notes.append(f"{self.joined} of {total} rows give a clip one more label: the task is multilabel")
        return notes


def read_own(path: Path) -> TaskData:
    """The task in a table that a user names, or in the only table of a folder. Raises UserError."""
    if path.is_dir():
        tables = [file for file in sorted(path.iterdir()) if file.suffix.lower() in _SUFFIXES and file.name[0] != "."]
        if len(tables) != 1:
            found = ", ".join(file.name for file in tables) or "none"
            raise UserError(f"{path} is a folder; give the table of labels itself with --data (in it: {found})")
        path = tables[0]
    if not path.is_file():
        raise UserError(f"{path} is not there; give a table of labels ({', '.join(_SUFFIXES)}) with --data")
    return read(path)


def read(path: Path) -> TaskData:
    """The task that a table describes.

    Raises:
        UserError: the table cannot be read, lacks a column, or no row of it (or none of a part) can be used.
    """
    header, rows = _cells(path)
    names = _columns(path, header)
    given = list(rows)
    separate = _separator(given, names)
    found = _Rows()
    for line, row in given:
        clip = _clip(path.parent, {name: row.get(column) for name, column in names.items()}, separate)
        if isinstance(clip, str):
            found.refused.append(f"line {line}: {clip}")
        else:
            found.add(clip, line)
    notes = found.notes(len(given))
    clips = list(found.clips.values())
    if not clips:
        raise UserError(f"{path} has no usable row ({'; '.join(notes) or 'it is empty'})")
    split, note = _split(path, clips, names)
    multilabel = "labels" in names or found.joined > 0
    return labelled_task(
        path.parent,
        clips,
        split,
        name=f"table-{file_name_part(path.resolve().parent.name)}-{file_name_part(path.stem)}",
        kind="multilabel" if multilabel else "multiclass",
        layout=LAYOUT,
        metrics=MAP_FIRST if multilabel else TOP1_FIRST,
        official=not note,
        notes=(*notes, *filter(None, [note])),
    )


def _cells(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, Any]]]]:
    """The header and the rows by its names, with their line numbers (those of the file for JSON lines)."""
    if path.suffix.lower() == ".jsonl":
        objects = [(number, _json(path, number, text)) for number, text in enumerate(read_lines(path), start=1)]
        header = list(dict.fromkeys(name for _, row in objects for name in row))
        return header, iter(objects)
    first = next(read_rows(path, "\t"), [""])
    delimiter = "\t" if len(first) > 1 else ";" if ";" in first[0] and "," not in first[0] else ","
    rows = read_rows(path, delimiter)
    header = next(rows, [])
    return header, ((number, dict(zip(header, row, strict=False))) for number, row in enumerate(rows, start=2))


def _json(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise UserError(f"{path}, line {number}: {text[:60]!r} is no JSON object; give one a line")
    return row


def _columns(path: Path, header: Sequence[str]) -> dict[str, str]:
    """What is read -> the table's own name of that column. Raises UserError that says what was found."""
    by_name = {name.strip().lower(): name for name in header}
    names: dict[str, str] = {}
    for meaning, known in COLUMNS.items():
        there = [by_name[name] for name in known if name in by_name]
        if len(there) > 1:
            raise UserError(f"{path} has {' and '.join(there)}, which both mean {meaning}; name one of them otherwise")
        if there:
            names[meaning] = there[0]
    for one, other in (("label", "labels"), ("split", "fold")):
        if one in names and other in names:
            raise UserError(f"{path} has both {names[one]} and {names[other]}; leave one out, or name it otherwise")
    lacking = "path" if "path" not in names else "label or labels" if not {"label", "labels"} & set(names) else ""
    if lacking:
        near = did_you_mean(lacking.split()[0], by_name)
        found = ", ".join(header[:12]) or "nothing"
        raise UserError(f"{path} has no column {lacking} (its first line holds: {found}){near}; a {LAYOUT}")
    return names


def _separator(rows: Sequence[tuple[int, dict[str, Any]]], names: dict[str, str]) -> Callable[[Any], tuple[str, ...]]:
    """How a cell becomes labels: the same separator for the whole column, so that labels may hold commas."""
    if "labels" not in names:
        return lambda cell: tuple(filter(None, [_text(cell)]))
    texts = [row.get(names["labels"]) for _, row in rows]
    separator = next(
        (sign for sign in SEPARATORS if any(isinstance(cell, str) and sign in cell for cell in texts)), ","
    )

    def several(cell: Any) -> tuple[str, ...]:
        parts = cell if isinstance(cell, list) else _text(cell).split(separator)
        return tuple(dict.fromkeys(filter(None, map(_text, parts))))

    return several


def _clip(folder: Path, row: dict[str, Any], separate: Callable[[Any], tuple[str, ...]]) -> Clip | str:
    """The clip of a row (cells by meaning), or why it is none."""
    path = _text(row["path"])
    if not path:
        return "no path"
    labels = separate(row.get("labels", row.get("label")))
    if not labels and "label" in row:
        return f"{path} has no label"
    part = _text(row.get("split", row.get("fold")))
    if "split" in row:
        if part.lower() not in PART_NAMES:
            return f"{path} is in {part!r}, which is none of train, valid, test"
        part = PART_NAMES[part.lower()]
    elif "fold" in row and not part:
        return f"{path} has no fold"
    start, duration = (_seconds(row.get(name)) for name in ("start", "duration"))
    if isinstance(start, str) or isinstance(duration, str) or duration == 0:
        return f"{path} has start {row.get('start')!r} and duration {row.get('duration')!r}; give seconds"
    return Clip(path=folder / path, labels=labels, start_seconds=start or 0.0, seconds=duration, part=part)


def _seconds(cell: Any) -> float | str | None:
    """A cell as seconds; None for an empty one, its text for one that is no time."""
    text = _text(cell)
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return text
    return seconds if math.isfinite(seconds) and seconds >= 0 else text


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _split(
    path: Path, clips: Sequence[Clip], names: dict[str, str]
) -> tuple[Callable[[Sequence[Clip]], tuple[ClipSplit, ...]], str]:
    """How the clips are divided, and a note where the table does not say."""
    if "fold" in names:
        return by_fold, ""
    if "split" not in names:
        note = f"{SEEDED_FOLDS} seeded folds, since the table has neither split nor fold"
        return by_seed(SEEDED_FOLDS, lambda clip: f"{clip.path.relative_to(path.parent)} {clip.start_seconds}"), note
    lacking = [part for part in ("train", "test") if part not in {clip.part for clip in clips}]
    if lacking:
        raise UserError(f"{path} has no usable row whose {names['split']} is {lacking[0]}; every part needs some")
    return by_part, ""
