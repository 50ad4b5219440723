"""Users' own tasks: ``train/<label>/`` with ``test/`` (and ``valid/``), ``fold0/<label>/``, or only ``<label>/``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dubcli.embed.inputs import SOUND_SUFFIXES, VIDEO_SUFFIXES
from dubcli.errors import UserError
from dubcli.probe.tasks.data import (
    TOP1_FIRST,
    Clip,
    ClipSplit,
    Reader,
    TaskData,
    check_labels,
    in_fixed_order,
    sorted_classes,
    splits_by_part,
)
from dubcli.probe.tasks.splits import kfold, seeded_kfold

LAYOUT = "folder (train/<label>/*, test/<label>/*)"
SEEDED_FOLDS = 5
_PARTS = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid",
          "dev": "valid", "test": "test", "testing": "test", "eval": "test"}  # fmt: skip


def read(folder: Path) -> TaskData:
    """Clips by the names of their folders. Without published parts, five seeded folds with the labels spread evenly."""
    places = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."}
    parts = {name: _PARTS[name.lower()] for name in places if name.lower() in _PARTS}
    folds = [name for name in places if re.fullmatch(r"fold[-_ ]?\d+", name.lower())]
    by_part: dict[str, list[Clip]] = {}
    if parts:
        for name, part in parts.items():
            by_part.setdefault(part, []).extend(_labelled(places[name]))
    elif folds:
        by_part = {name: _labelled(places[name]) for name in folds}
    else:
        by_part = {"": _labelled(folder)}
    part_of = {clip.path: part for part, clips in by_part.items() for clip in clips}
    clips = in_fixed_order(clip for clips in by_part.values() for clip in clips)
    if not clips:
        raise UserError(f"{folder} holds no sounds or videos in folders by label; put them into train/<label>/")
    splits = _splits(folder, clips, [part_of[clip.path] for clip in clips], folds)
    seeded = not parts and not folds
    return check_labels(
        TaskData(
            name=f"folder-{slug(folder.resolve().name)}",
            kind="multiclass",
            folder=folder,
            layout=LAYOUT,
            classes=(sorted_classes(clip.labels[0] for clip in clips),),
            clips=clips,
            splits=splits,
            metrics=TOP1_FIRST,
            official=not seeded,
            notes=(f"{SEEDED_FOLDS} seeded folds, since there are no train/ and test/",) if seeded else (),
        )
    )


def slug(text: str) -> str:
    """``text`` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "task"


def _splits(folder: Path, clips: tuple[Clip, ...], parts: list[str], folds: list[str]) -> tuple[ClipSplit, ...]:
    if parts and set(parts) <= set(_PARTS.values()):
        for needed in ("train", "test"):
            if needed not in parts:
                raise UserError(f"{folder} has no clips in {needed}/<label>/; every part needs some")
        return (splits_by_part(parts),)
    if folds:
        if len(folds) < 3:
            raise UserError(f"{folder} has {len(folds)} folds; k-fold probing needs at least 3")
        return kfold([[i for i, part in enumerate(parts) if part == name] for name in folds], folds)
    keys = [str(clip.path.relative_to(folder)) for clip in clips]
    return seeded_kfold(keys, [clip.labels[0] for clip in clips], SEEDED_FOLDS)


def _labelled(place: Path) -> list[Clip]:
    """The clips below ``place``; the label is the first folder's name."""
    suffixes = SOUND_SUFFIXES | VIDEO_SUFFIXES
    return [
        Clip(path=Path(where) / name, labels=(Path(where).relative_to(place).parts[0],))
        for where, _, names in os.walk(place)
        if Path(where) != place
        for name in names
        if Path(name).suffix.lower() in suffixes and name[0] != "."
    ]


READERS = (Reader(layout=LAYOUT, requires=("*/*",), read=read),)
