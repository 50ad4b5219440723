"""VGGSound as published: ``vggsound.csv`` and clips named ``<YouTube id>_<start, 6 digits>.mp4``."""

from __future__ import annotations

import os
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
    splits_by_part,
)
from dubcli.probe.tasks.tables import read_rows

LAYOUT = "VGGSound (vggsound.csv, <id>_<start>.mp4)"
SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".wav", ".flac")


def read(folder: Path) -> TaskData:
    """The published train and test sets. The clips may lie in any folder below; many have left YouTube since 2020."""
    where = _files(folder)
    parts = {}
    clips = []
    for row in read_rows(folder / "vggsound.csv"):
        if len(row) != 4 or not row[1].isdecimal():
            raise UserError(f"{folder / 'vggsound.csv'} holds {','.join(row)[:80]!r}; a row is id,start,label,split")
        video, start, label, part = row
        name = f"{video}_{int(start):06d}"
        path = where.get(name, folder / "video" / f"{name}.mp4")
        clips.append(Clip(path=path, labels=(label,)))
        parts[path] = part
    ordered = in_fixed_order(clips)
    return check_labels(
        TaskData(
            name="vggsound",
            kind="multiclass",
            folder=folder,
            layout=LAYOUT,
            classes=(sorted_classes(clip.labels[0] for clip in clips),),
            clips=ordered,
            splits=(splits_by_part([parts[clip.path] for clip in ordered]),),
            metrics=TOP1_FIRST,
            may_lack_files=True,
        )
    )


def _files(folder: Path) -> dict[str, Path]:
    return {
        name[: -len(suffix)]: Path(where) / name
        for where, _, names in os.walk(folder)
        for name in names
        for suffix in SUFFIXES
        if name.endswith(suffix)
    }


READERS = (Reader(layout=LAYOUT, requires=("vggsound.csv",), read=read),)
