"""What is wrong with a task's data before and after its features are made, each in one clear line."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubcli.errors import InputError, UserError
from dubcli.media.kinds import SOUND, kind_of
from dubcli.media.streams import open_media
from dubcli.probe.protocols import find_protocol
from dubcli.probe.tasks.data import Clip, TaskData, restrict
from dubcli.probe.tasks.files import seen

SHOWN = 3
"""How many names a message gives before it says how many more there are."""

SMALL, LARGE = 1e-4, 1e4
"""Deviations of features between which heads that start at usual weights and rates learn."""

_PIECE = 64 * 1024
_POINTER = b"version https://git-lfs"
_LARGEST_POINTER = 1024
_LOOKED_INTO = 24
"""So many clips, spread over a dataset, show whether it has sound or pictures at all."""


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Clips of equal content that are in different parts of the same split."""

    split: str
    paths: tuple[str, ...]


def without_missing(data: TaskData, *, allow: bool) -> TaskData:
    """The task without the clips whose file is not there or empty. Raises UserError unless ``allow``, or VGGSound."""
    lacking = {path: why for path in {clip.path for clip in data.clips} if (why := _why_unusable(path))}
    missing = {number: lacking[clip.path] for number, clip in enumerate(data.clips) if clip.path in lacking}
    what = "missing" if set(lacking.values()) <= {"missing"} else "missing or empty"
    return _leave_out(data, missing, what, allow=allow or data.may_lack_files)


def _why_unusable(path: Path) -> str:
    """What a look at a clip's file tells before it is opened: missing, empty, only a name of what git-lfs would get."""
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if not size:
        return "empty"
    if size < _LARGEST_POINTER:
        with suppress(OSError), open(path, "rb") as file:  # what may not be read is told when it is embedded
            if file.read(len(_POINTER)) == _POINTER:
                return "a pointer of Git LFS: run git lfs pull"
    return ""


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


def odd_scale(features: np.ndarray, protocol: str) -> str | None:
    """What to know of features so small or large that a protocol which does not standardise them learns little."""
    spread = float(np.std(features.astype(np.float64)))
    if find_protocol(protocol).parameters.get("standardised", True) or SMALL < spread < LARGE or not spread:
        return None
    return f"the features' deviation is {spread:.1e} and {protocol} does not standardise; logreg and knn do"


def check_parts(data: TaskData) -> TaskData:
    """The task with a note for each class that is never trained on.

    Raises UserError for a split with an empty part, and where all clips have the same label: nothing can be learnt.
    """
    notes = []
    _need_two_classes(data, range(len(data.clips)), f"clips of {data.name}")
    for split in data.splits:
        for part, numbers in (("training", split.train), ("test", split.test)):
            if not numbers:
                raise UserError(f"{split.name} of {data.name} has no {part} clips ({data.folder}); nothing to measure")
        for part, numbers in (("training", split.train), ("validation", split.valid), ("test", split.test)):
            _need_two_classes(data, numbers, f"{part} clips of {split.name} of {data.name}")
        if not split.valid and any(other.valid for other in data.splits):
            raise UserError(f"{split.name} of {data.name} has no validation clips ({data.folder})")
        absent = sorted(_labels(data, (*split.test, *split.valid)) - _labels(data, split.train))
        if absent:
            notes.append(f"{split.name}: tested but absent from training: {some(absent)} (classes: {len(absent)})")
    return data.with_notes(*(note for note in notes if note not in data.notes))


def _need_two_classes(data: TaskData, numbers: Collection[int], which: str) -> None:
    """Raises UserError where clips have all the same label: a head learns nothing, and a test of it says nothing."""
    several = data.kind == "multilabel"
    labels = {tuple(sorted(data.clips[number].labels)) if several else data.clips[number].labels for number in numbers}
    if len(labels) == 1:
        only = " ".join(labels.pop()) or "none"
        raise UserError(
            f"all {len(numbers)} {which} have the same label ({only}) in {data.folder}; "
            "a head needs at least two classes"
        )


def check_modalities(data: TaskData, modalities: Collection[str]) -> None:
    """Raises UserError for sound or pictures that the clips lack, and for video features of parts of files.

    Names tell which clips are sounds. Whether videos have sound and pictures is seen in some of them, spread over all.
    """
    films = [clip.path for clip in data.clips if kind_of(clip.path) != SOUND]
    some_sound = len(films) < len(data.clips) or any(clip.sound is not None for clip in data.clips)
    for modality in modalities if films else ():
        if modality == "video" or not some_sound:
            _check_streams(data, films[:: -(-len(films) // _LOOKED_INTO)], modality)
    if "video" not in modalities:
        return
    if all(kind_of(clip.path) == SOUND for clip in data.clips):
        raise UserError(f"the {len(data.clips)} clips of {data.name} are sounds; they have no video: --modality audio")
    if not all(clip.whole for clip in data.clips):
        raise UserError(f"clips of {data.name} are parts of files (start, duration); cut videos into files first")


def _check_streams(data: TaskData, films: Sequence[Path], modality: str) -> None:
    """Raises UserError when none of these videos has the modality; one that cannot be opened is told of later."""
    lacking = []
    for path in films:
        try:
            with open_media(path) as container:
                streams = container.streams.audio if modality == "audio" else container.streams.video
        except InputError:
            return
        if streams:
            return
        lacking.append(path)
    what, other = ("sound", "video") if modality == "audio" else ("picture", "audio")
    raise UserError(
        f"the videos of {data.name} have no {what} ({len(lacking)} of {len(data.clips)} looked into, such as "
        f"{data.place(lacking[0])}): --modality {other}"
    )


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
        data.place(data.clips[number].path) + ("" if reason == what else f" ({reason})")
        for number, reason in sorted(numbers.items(), key=lambda item: str(data.clips[item[0]].path))
    ]
    text = f"{len(numbers)} of {len(data.clips)} clips of {data.name} are {what}: {some(reasons)}"
    if len(numbers) == len(data.clips):
        raise UserError(f"{text}; {data.folder} does not hold the dataset's files: {seen(data.folder)}")
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
