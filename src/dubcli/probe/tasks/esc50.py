"""ESC-50 as published: ``meta/esc50.csv`` with a fold per clip, and ``audio/`` (https://github.com/karolpiczak/ESC-50)."""

from __future__ import annotations

from pathlib import Path

from dubcli.errors import UserError
from dubcli.probe.tasks.data import (
    TOP1_FIRST,
    Clip,
    Reader,
    TaskData,
    check_labels,
    in_fixed_order,
    sorted_classes,
)
from dubcli.probe.tasks.splits import kfold
from dubcli.probe.tasks.tables import read_table

LAYOUT = "ESC-50 (meta/esc50.csv, audio/)"


def read(folder: Path) -> TaskData:
    """2000 clips of 5 s in 5 folds; fold i tests, the next one validates, as HEAR does."""
    fold_of = {}
    clips = []
    for row in read_table(folder / "meta" / "esc50.csv", "filename", "fold", "category"):
        path = folder / "audio" / row["filename"]
        fold_of[path] = row["fold"]
        clips.append(Clip(path=path, labels=(row["category"],)))
    ordered = in_fixed_order(clips)
    names = sorted(set(fold_of.values()), key=int)
    if len(names) < 3:
        raise UserError(f"{folder / 'meta' / 'esc50.csv'} has {len(names)} folds; it should have 5")
    folds = [[i for i, clip in enumerate(ordered) if fold_of[clip.path] == name] for name in names]
    return check_labels(
        TaskData(
            name="esc50",
            kind="multiclass",
            folder=folder,
            layout=LAYOUT,
            classes=(sorted_classes(clip.labels[0] for clip in clips),),
            clips=ordered,
            splits=kfold(folds, [f"fold{int(name) - 1:02}" for name in names]),
            metrics=TOP1_FIRST,
        )
    )


READERS = (Reader(layout=LAYOUT, requires=("meta/esc50.csv", "audio"), read=read),)
