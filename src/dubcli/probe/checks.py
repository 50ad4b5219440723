"""What is wrong with a task's data before and after its features are made, each in one clear line."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubcli.errors import UserError
from dubcli.media.kinds import SOUND, kind_of
from dubcli.probe.tasks.data import Clip, TaskData, restrict

SHOWN = 3
"""How many names a message gives before it says how many more there are."""

_PIECE = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Clips of equal content that are in different parts of the same split."""

    split: str
    paths: tuple[str, ...]


def without_missing(data: TaskData, *, allow: bool) -> TaskData:
    """The task without the clips whose file is not there. Raises UserError unless ``allow``, or VGGSound."""
    there = {path: path.is_file() for path in {clip.path for clip in data.clips}}
    missing = {number: "missing" for number, clip in enumerate(data.clips) if not there[clip.path]}
    return _leave_out(data, missing, "missing", allow=allow or data.may_lack_files)


def without_failed(
    data: TaskData, features: np.ndarray, failed: Mapping[int, str], *, allow: bool
) -> tuple[TaskData, np.ndarray]:
    """Task and features without the clips that could not be embedded. Raises UserError unless ``allow``.

    Raises UserError also for features that are NaN or infinite: no head can learn from them.
    """
    strange = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if len(strange):
        named = some([str(data.clips[i].path) for i in strange])
        raise UserError(f"{len(strange)} of {len(features)} features are NaN or infinite: {named}; embed them again")
    smaller = _leave_out(data, failed, "unusable", allow=allow or data.may_lack_files)
    keep = [number for number in range(len(data.clips)) if number not in failed]
    return smaller, features[keep]


def check_parts(data: TaskData) -> TaskData:
    """The task with a note for each class that is never trained on.

    Raises UserError for a split with an empty part, and where all clips have the same label: nothing can be learnt.
    """
    notes = []
    if data.clips and len({clip.labels for clip in data.clips}) < 2:
        only = " ".join(data.clips[0].labels) or "none"
        raise UserError(
            f"all {len(data.clips)} clips of {data.name} have the same label ({only}) in {data.folder}; "
            "a head needs at least two classes"
        )
    for split in data.splits:
        for part, numbers in (("training", split.train), ("test", split.test)):
            if not numbers:
                raise UserError(f"{split.name} of {data.name} has no {part} clips ({data.folder}); nothing to measure")
        if not split.valid and any(other.valid for other in data.splits):
            raise UserError(f"{split.name} of {data.name} has no validation clips ({data.folder})")
        absent = sorted(_labels(data, (*split.test, *split.valid)) - _labels(data, split.train))
        if absent:
            notes.append(f"{split.name}: tested but absent from training: {some(absent)} (classes: {len(absent)})")
    return data.with_notes(*(note for note in notes if note not in data.notes))


def check_modalities(data: TaskData, modalities: Collection[str]) -> None:
    """Raises UserError for video features of clips that are all sounds, or that are parts of files."""
    if "video" not in modalities:
        return
    if all(kind_of(clip.path) == SOUND for clip in data.clips):
        raise UserError(f"the {len(data.clips)} clips of {data.name} are sounds; they have no video: --modality audio")
    if not all(clip.whole for clip in data.clips):
        raise UserError(f"clips of {data.name} are parts of files (start, duration); cut videos into files first")


def find_leaks(data: TaskData) -> list[Leak]:
    """Groups of clips with the same bytes in different parts of a split, by content hash."""
    part_of: list[dict[int, str]] = []
    for split in data.splits:
        members = (("train", split.train), ("valid", split.valid), ("test", split.test))
        part_of.append({number: part for part, numbers in members for number in numbers})
    leaks = []
    for numbers in _equal_content(data.clips):
        for split, parts in zip(data.splits, part_of, strict=True):
            if len({parts[number] for number in numbers if number in parts}) > 1:
                leaks.append(Leak(split=split.name, paths=tuple(str(data.clips[number].path) for number in numbers)))
                break
    return leaks


def some(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    shown = list(names)[:SHOWN]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _leave_out(data: TaskData, numbers: Mapping[int, str], what: str, *, allow: bool) -> TaskData:
    if not numbers:
        return data
    reasons = [
        _relative(data.clips[number].path, data.folder) + ("" if reason == what else f" ({reason})")
        for number, reason in sorted(numbers.items(), key=lambda item: str(data.clips[item[0]].path))
    ]
    text = f"{len(numbers)} of {len(data.clips)} clips of {data.name} are {what}: {some(reasons)}"
    if len(numbers) == len(data.clips):
        raise UserError(f"{text}; {data.folder} does not hold the dataset's files")
    if not allow:
        raise UserError(f"{text} (in {data.folder}); get the whole dataset, or go on without them: --allow-missing")
    return restrict(data, set(range(len(data.clips))) - set(numbers)).with_notes(text)


def _labels(data: TaskData, numbers: Iterable[int]) -> set[str]:
    if data.kind == "multioutput":
        return {f"{output}:{label}" for number in numbers for output, label in enumerate(data.clips[number].labels)}
    return {label for number in numbers for label in data.clips[number].labels}


def _equal_content(clips: Sequence[Clip]) -> list[list[int]]:
    """Clips of the same bytes: by size, then a piece of the start, the middle and the end, then all of them."""
    whole = [number for number, clip in enumerate(clips) if clip.whole]
    groups = [whole]
    for key in (os.path.getsize, _pieces, _all):
        groups = [part for group in groups for part in _grouped(group, clips, key)]
    return groups


def _grouped(numbers: Sequence[int], clips: Sequence[Clip], key: Callable[[Path], object]) -> list[list[int]]:
    by_key: dict[object, list[int]] = defaultdict(list)
    for number in numbers:
        by_key[key(clips[number].path)].append(number)
    return [group for group in by_key.values() if len(group) > 1]


def _pieces(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        for start in sorted({0, max(0, size // 2 - _PIECE // 2), max(0, size - _PIECE)}):
            file.seek(start)
            digest.update(file.read(_PIECE))
    return digest.digest()


def _all(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
