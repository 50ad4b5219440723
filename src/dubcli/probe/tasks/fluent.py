"""Fluent Speech Commands as published: ``data/{train,valid,test}_data.csv`` and ``wavs/speakers/``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import Files, located
from dubcli.probe.tasks.splits import PARTS, by_part
from dubcli.probe.tasks.tables import read_table

LAYOUT = "Fluent Speech Commands (data/*_data.csv, wavs/)"
OUTPUTS = ("action", "object", "location")


def read(folder: Path, *, tables: str) -> TaskData:
    """Three labels per clip, correct only if all three are (paper table B5); the published speakers' splits."""
    files = Files(folder)
    clips = [
        Clip(path=files.find(row["path"]), labels=tuple(row[output] for output in OUTPUTS), part=part)
        for part in PARTS
        for row in read_table(located(folder, f"{tables}{part}_data.csv"), "path", *OUTPUTS)
    ]
    return labelled_task(folder, clips, by_part, kind="multioutput", metrics=("top1_acc",))


READERS = tuple(
    Reader(layout=LAYOUT, requires=tuple(f"{place}{part}_data.csv" for part in PARTS), read=partial(read, tables=place))
    for place in ("data/", "")  # the second where copies have the tables beside the sounds
)
