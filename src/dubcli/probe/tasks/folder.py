"""Users' own tasks: ``train/<label>/`` with ``test/`` (and ``valid/``), ``fold0/<label>/``, or only ``<label>/``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.kinds import is_hidden, walk
from dubcli.probe.tasks import hear
from dubcli.probe.tasks.data import Clip, TaskData, labelled_task
from dubcli.probe.tasks.splits import by_fold, by_part, by_seed

LAYOUT = "folder (train/<label>/*, test/<label>/*)"
SEEDED_FOLDS = 5
PART_NAMES = {"train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid",
              "dev": "valid", "test": "test", "testing": "test", "eval": "test"}  # fmt: skip


def read_own(path: Path) -> TaskData:
    """The clips in a folder that a user names, or the HEAR task folder that it is. Raises UserError for neither."""
    if path.is_file():
        raise UserError(f"{path} is a file; a table of labels is probed with: dubav probe table MODEL --data {path}")
    if not path.is_dir():
        raise UserError(f"{path} is not there; give the folder that holds your clips, as in {LAYOUT}")
    if (task := hear.only_folder(path)) is not None:
        return replace(hear.read(task), protocol="hear")
    return read(path)


def read(folder: Path) -> TaskData:
    """Clips by the names of their folders. Without published parts, five seeded folds with the labels spread evenly."""
    places = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and not is_hidden(path.name)}
    parts = {name: PART_NAMES[name.lower()] for name in places if name.lower() in PART_NAMES}
    folds = [] if parts else [name for name in places if re.fullmatch(r"fold[-_ ]?\d+", name.lower())]
    named = parts or {name: name for name in folds}
    if named:
        clips = [clip for name, part in named.items() for clip in _labelled(places[name], part)]
    else:
        clips = _labelled(folder, "")
    if not clips:
        raise UserError(f"{folder} holds no sounds or videos in folders by label; put them into train/<label>/")
    split = by_part if parts else by_fold if folds else by_seed(SEEDED_FOLDS, lambda clip: str(_inside(clip, folder)))
    seeded = not named
    lacking = [part for part in ("train", "test") if parts and part not in {clip.part for clip in clips}]
    if lacking:
        raise UserError(f"{folder} has no clips in {lacking[0]}/<label>/; every part needs some")
    return labelled_task(
        folder,
        clips,
        split,
        name=f"folder-{file_name_part(folder.resolve().name)}",
        layout=LAYOUT,
        official=not seeded,
        notes=(f"{SEEDED_FOLDS} seeded folds, since there are no train/ and test/",) if seeded else (),
    )


def file_name_part(text: str) -> str:
    """``text`` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "task"


def _inside(clip: Clip, folder: Path) -> Path:
    return clip.path.relative_to(folder)


def _labelled(place: Path, part: str) -> list[Clip]:
    """The clips below ``place``; the label is the first folder's name."""
    found = [(path, path.relative_to(place).parts) for path in (Path(one.path) for one in walk(place) if one.is_media)]
    return [Clip(path=path, labels=(parts[0],), part=part) for path, parts in found if len(parts) > 1]
