"""HEAR 2021 task folders: ``task_metadata.json``, ``labelvocabulary.csv``, JSON per split, ``<rate>/<split>/``."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dubcli.core.atomic import read_json
from dubcli.errors import UserError
from dubcli.probe.tasks.data import (
    MAP_FIRST,
    METRICS,
    ORDER_SEED,
    TOP1_FIRST,
    Clip,
    ClipSplit,
    Reader,
    TaskData,
    check_labels,
)
from dubcli.probe.tasks.files import visible
from dubcli.probe.tasks.splits import kfold
from dubcli.probe.tasks.tables import read_table, whole_number

LAYOUT = "HEAR task folder"
METADATA = "task_metadata.json"
PREFERRED_RATE = 48000
"""Hz; "the 48kHz data" (paper section 3.5)."""


def read(folder: Path) -> TaskData:
    """A task folder with scene labels. Of several sample rates 48000 is taken, else the highest.

    Labels may be JSON integers and are compared as text. Each split's clips are in the order of hear-eval-kit: its
    keys as in the JSON file, shuffled by one generator of seed 0 over all splits in turn.
    """
    metadata = read_metadata(folder)
    splits = split_names(folder, metadata)
    audio = audio_folder(folder)
    clips, parts = [], []
    for split, names_and_labels in ordered_labels(folder, splits):
        for name, labels in names_and_labels:
            clips.append(Clip(path=audio / split / name, labels=labels))
            parts.append(split)
    notes = [f"mode {metadata['mode']}, not full"] if metadata.get("mode", "full") not in ("full", "5h") else []
    classes = read_vocabulary(folder)
    metrics, unknown = known_metrics(metadata, classes)
    notes += unknown
    if audio.name != str(PREFERRED_RATE):
        notes.append(f"the sounds are at {audio.name} Hz, the paper's at {PREFERRED_RATE}")
    return check_labels(
        TaskData(
            name=str(metadata["task_name"]),
            kind=str(metadata["prediction_type"]),
            folder=folder,
            layout=LAYOUT,
            classes=(classes,),
            clips=tuple(clips),
            splits=fold_splits(splits, parts, folder),
            metrics=metrics,
            notes=tuple(notes),
        )
    )


READER = Reader(layout=f"{LAYOUT} ({METADATA}, labelvocabulary.csv)", requires=(METADATA,), read=read)


def folders_in(root: Path) -> list[tuple[Path, dict[str, Any]]]:
    """HEAR task folders with their metadata: ``root`` itself, in it, in its ``tasks/``, or in ``*/tasks/``."""
    patterns = (METADATA, f"*/{METADATA}", f"tasks/*/{METADATA}", f"*/tasks/*/{METADATA}", f"*/*/tasks/*/{METADATA}")
    found = dict.fromkeys(path.parent for pattern in patterns for path in visible(root, pattern))
    return [(folder, _metadata(folder)) for folder in found]


def _metadata(folder: Path) -> dict[str, Any]:
    """What a folder says that it is; where that cannot be read, what its name says: its task alone then stops."""
    try:
        content = read_json(folder / METADATA)
    except UserError:
        content = None
    if isinstance(content, dict):
        return content
    name, _, mode = folder.name.rpartition("-")
    return {"task_name": name.split("-")[0], "mode": mode}


def only_folder(root: Path) -> Path | None:
    """The HEAR task folder that ``root`` is or holds; None where there is none. Raises UserError for several."""
    found = [folder for folder, _ in folders_in(root)]
    if root in found:
        return root
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise UserError(f"{root} holds {len(found)} HEAR task folders ({names}); give one of them")
    return found[0] if found else None


def read_metadata(folder: Path) -> dict[str, Any]:
    """``task_metadata.json``, with the keys that a probe needs. Raises UserError for a task that is not per scene."""
    metadata = read_json(folder / METADATA)
    if not isinstance(metadata, dict):
        raise UserError(f"{folder / METADATA} is no JSON object; unpack the HEAR archive again")
    lacking = [key for key in ("task_name", "prediction_type", "evaluation") if key not in metadata]
    if lacking:
        raise UserError(f"{folder / METADATA} has no {', '.join(lacking)}; unpack the HEAR archive again")
    if metadata.get("embedding_type", "scene") != "scene":
        raise UserError(f"{folder} is a HEAR task of type {metadata['embedding_type']}; probe reads scene tasks")
    return dict(metadata)


def known_metrics(metadata: dict[str, Any], classes: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The task's metrics that are computed here, in its order, and a note of the others.

    Chroma is of MIDI notes: where classes are none it is not computed.
    """
    given = metadata["evaluation"]
    named = list(dict.fromkeys(map(str, given if isinstance(given, list) else [given] if given else [])))
    notes_are_classes = all(name.isdecimal() for name in classes)
    known = tuple(name for name in named if name in METRICS and (name != "chroma_acc" or notes_are_classes))
    unknown = [name for name in named if name not in known]
    default = (MAP_FIRST if metadata["prediction_type"] == "multilabel" else TOP1_FIRST)[:1]
    instead = "" if known else f"; {default[0]} is taken"
    notes = [f"metrics that are not computed here: {', '.join(unknown)}{instead}"] if unknown else []
    return known or default, notes


def read_vocabulary(folder: Path) -> tuple[str, ...]:
    """The labels of ``labelvocabulary.csv`` in the order of their numbers."""
    path = folder / "labelvocabulary.csv"
    label_of = {whole_number(row["idx"], path, "idx"): row["label"] for row in read_table(path, "idx", "label")}
    return tuple(label_of[number] for number in sorted(label_of))


def split_names(folder: Path, metadata: dict[str, Any]) -> tuple[str, ...]:
    """The splits that the metadata names, else those that lie there. Raises UserError for one without its JSON file."""
    named = [str(name) for name in metadata.get("splits") or ()]
    if not named:
        three = ("train", "valid", "test")
        there = sorted(path.stem for path in folder.glob("*.json") if re.fullmatch(r"fold\d+", path.stem))
        named = there or [name for name in three if (folder / f"{name}.json").exists()]
    missing = [f"{name}.json" for name in named if not (folder / f"{name}.json").exists()]
    if missing or not named:
        lacking = ", ".join(missing) or "fold00.json, ... or train.json, valid.json and test.json"
        raise UserError(f"{folder} lacks {lacking}; unpack the HEAR archive again")
    return tuple(named)


def ordered_labels(folder: Path, splits: Sequence[str]) -> list[tuple[str, list[tuple[str, tuple[str, ...]]]]]:
    """(split, [(file name, labels)]) in the order in which hear-eval-kit embeds them. Raises UserError when empty."""
    generator = random.Random(ORDER_SEED)
    found = []
    for split in splits:
        content = read_json(folder / f"{split}.json")
        if not isinstance(content, dict) or not content:
            raise UserError(f"{folder / (split + '.json')} lists no sounds; every fold needs some")
        names = list(content)
        generator.shuffle(names)
        found.append((split, [(name, _labels(content[name], folder / split / name)) for name in names]))
    return found


def fold_splits(splits: Sequence[str], parts: Sequence[str], folder: Path) -> tuple[ClipSplit, ...]:
    """The kit's splits: k folds, or one of train, valid and test."""
    members = [tuple(i for i, part in enumerate(parts) if part == name) for name in splits]
    if set(splits) == {"train", "valid", "test"}:
        by_name = dict(zip(splits, members, strict=True))
        return (ClipSplit(name="test", train=by_name["train"], valid=by_name["valid"], test=by_name["test"]),)
    if len(splits) < 3:
        raise UserError(f"{folder} has {len(splits)} folds; k-fold probing needs at least 3")
    return kfold(members, splits)


def audio_folder(folder: Path) -> Path:
    """``<rate>/`` of 48000 Hz, else of the highest rate there. Where there is none, 48000 is what will be missed."""
    rates = [path for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    preferred = folder / str(PREFERRED_RATE)
    if not rates or preferred in rates:
        return preferred
    return max(rates, key=lambda path: int(path.name))


def _labels(given: Any, sound: Path) -> tuple[str, ...]:
    labels = given if isinstance(given, list) else [given]
    if any(isinstance(label, (dict, list)) for label in labels):
        raise UserError(f"the labels of {sound} are events; probe reads scene tasks")
    return tuple(str(label) for label in labels)
