"""ESC-50 as published: ``meta/esc50.csv`` with a fold per clip, and ``audio/`` (https://github.com/karolpiczak/ESC-50)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import Files, located
from dubcli.probe.tasks.splits import by_fold
from dubcli.probe.tasks.tables import read_table, whole_number

LAYOUT = "ESC-50 (meta/esc50.csv, audio/)"


def read(folder: Path, *, table: str) -> TaskData:
    """2000 clips of 5 s in 5 folds; fold i tests, the next one validates, as HEAR does."""
    path, files = located(folder, table), Files(folder)
    clips = []
    for row in read_table(path, "filename", "fold", "category"):
        fold = whole_number(row["fold"], path, "fold")
        sound = files.find(f"audio/{row['filename']}")
        clips.append(Clip(path=sound, labels=(row["category"],), part=f"fold{fold - 1:02}"))
    return labelled_task(folder, clips, by_fold)


READERS = tuple(
    Reader(layout=LAYOUT, requires=(table,), read=partial(read, table=table))
    for table in ("meta/esc50.csv", "esc50.csv")  # the second in copies
)
