"""Fluent Speech Commands as published: ``data/{train,valid,test}_data.csv`` and ``wavs/speakers/``."""

from __future__ import annotations

from pathlib import Path

from dubcli.probe.tasks.data import Clip, Reader, TaskData, check_labels, in_fixed_order, sorted_classes, splits_by_part
from dubcli.probe.tasks.tables import read_table

LAYOUT = "Fluent Speech Commands (data/*_data.csv, wavs/)"
OUTPUTS = ("action", "object", "location")


def read(folder: Path) -> TaskData:
    """Three labels per clip, correct only if all three are (paper table B5); the published speakers' splits."""
    parts = {}
    clips = []
    for part in ("train", "valid", "test"):
        for row in read_table(folder / "data" / f"{part}_data.csv", "path", *OUTPUTS):
            clips.append(Clip(path=folder / row["path"], labels=tuple(row[output] for output in OUTPUTS)))
            parts[clips[-1].path] = part
    ordered = in_fixed_order(clips)
    return check_labels(
        TaskData(
            name="fluent-speech-commands",
            kind="multioutput",
            folder=folder,
            layout=LAYOUT,
            classes=tuple(sorted_classes(clip.labels[output] for clip in clips) for output in range(len(OUTPUTS))),
            clips=ordered,
            splits=(splits_by_part([parts[clip.path] for clip in ordered]),),
            metrics=("top1_acc",),
        )
    )


READERS = (
    Reader(
        layout=LAYOUT,
        requires=("data/train_data.csv", "data/valid_data.csv", "data/test_data.csv", "wavs"),
        read=read,
    ),
)
