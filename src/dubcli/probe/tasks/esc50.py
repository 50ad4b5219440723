"""ESC-50 as published: ``meta/esc50.csv`` with a fold per clip, and ``audio/`` (https://github.com/karolpiczak/ESC-50)."""

from __future__ import annotations

from pathlib import Path

from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.splits import by_fold
from dubcli.probe.tasks.tables import read_table

LAYOUT = "ESC-50 (meta/esc50.csv, audio/)"


def read(folder: Path) -> TaskData:
    """2000 clips of 5 s in 5 folds; fold i tests, the next one validates, as HEAR does."""
    table = read_table(folder / "meta" / "esc50.csv", "filename", "fold", "category")
    clips = [
        Clip(path=folder / "audio" / row["filename"], labels=(row["category"],), part=f"fold{int(row['fold']) - 1:02}")
        for row in table
    ]
    return labelled_task(folder, clips, by_fold)


READERS = (Reader(layout=LAYOUT, requires=("meta/esc50.csv", "audio"), read=read),)
