"""A task's data made ready for heads: found, without speech if asked for, complete, checked, as numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubcli.errors import UserError
from dubcli.jobs.progress import Progress
from dubcli.probe.checks import Leak, check_parts, find_leaks, without_missing
from dubcli.probe.config import ProbeConfig
from dubcli.probe.tasks.data import Task, TaskData, restrict
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.splits import carve_validation


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A task's data after its checks, and the clips that are in several parts of a split."""

    task: Task
    data: TaskData
    leaks: tuple[Leak, ...]


def prepare_task(
    task: Task, place: Path | None, config: ProbeConfig, progress: Progress, *, needs_sounds: bool = True
) -> Prepared:
    """Find and check a task's data; tell the user what is odd about it. Raises UserError for what cannot be probed.

    With ``needs_sounds`` False the features are there already, and labels without sounds are enough.
    """
    data = load_task(task, place)
    if config.splits == "first" and task.alternative_splits:
        data = first_split(data)
    if config.data_kind != "speech":
        mirrored = without_speech(data, place)
        data = mirrored if config.data_kind == "nospeech" else tested_on(data, mirrored)
    if needs_sounds:
        data = without_missing(data, allow=config.allow_missing)
    data = check_parts(data)
    sounds_there = needs_sounds or all(clip.path.is_file() for clip in data.clips)
    leaks = tuple(find_leaks(data)) if config.check_leakage and sounds_there else ()
    tell_data(data, leaks, progress)
    return Prepared(task=task, data=data, leaks=leaks)


def prepare_own(task: Task, data: TaskData, progress: Progress) -> Prepared:
    """The same for a task that came with its features, and may have no sounds."""
    own = replace(data, name=task.name) if task.own is None else replace(data, protocol="hear")
    checked = check_parts(own)
    tell_data(checked, (), progress)
    return Prepared(task=task, data=checked, leaks=())


def tell_data(data: TaskData, leaks: Sequence[Leak], progress: Progress) -> None:
    """A line for each thing to know of a task's data."""
    for note in data.notes:
        progress.message(f"{data.name}: {note}")
    if leaks:
        progress.message(f"{data.name}: {leak_text(leaks)}")


def leak_text(leaks: Sequence[Leak]) -> str:
    """What leaks, in a line."""
    first = " = ".join(Path(path).name for path in leaks[0].paths[:3])
    return f"{len(leaks)} sounds are in several parts of a split under different names (leakage), such as {first}"


def without_speech(data: TaskData, place: Path | None) -> TaskData:
    """The same clips, labels and splits with the sounds of ``<folder>-nospeech``, as ``dubav separate`` mirrors it.

    Raises UserError where neither the dataset's folder nor one around it (up to ``place``) has such a sibling.
    """
    bases = [data.folder.resolve(), *data.folder.resolve().parents]
    last = place.resolve() if place is not None else data.folder.resolve().parent
    bases = bases[: bases.index(last) + 1] if last in bases else bases[:1]
    for base in bases:
        mirror = base.with_name(f"{base.name}-nospeech")
        paths = [clip.path.resolve() for clip in data.clips]
        if mirror.is_dir() and all(path.is_relative_to(base) for path in paths):
            clips = tuple(
                replace(clip, path=mirror / path.relative_to(base))
                for clip, path in zip(data.clips, paths, strict=True)
            )
            return replace(data, name=f"{data.name}-nospeech", folder=mirror, clips=clips)
    wanted = bases[0].with_name(f"{bases[0].name}-nospeech")
    raise UserError(f"{wanted} is not there; make it with: dubav separate {data.folder} --out {wanted}")


def tested_on(data: TaskData, mirrored: TaskData) -> TaskData:
    """The task with the training clips of ``data`` and the test clips of its mirror, in equal order."""
    count = len(data.clips)
    splits = tuple(replace(split, test=tuple(count + number for number in split.test)) for split in data.splits)
    both = replace(
        data,
        name=f"{data.name}-nospeech-test",
        folder=mirrored.folder.parent,
        clips=(*(replace(clip, path=clip.path.resolve()) for clip in data.clips), *mirrored.clips),
        splits=splits,
    )
    used = {number for split in splits for part in (split.train, split.valid, split.test) for number in part}
    return restrict(both, used)


def first_split(data: TaskData) -> TaskData:
    """The task with its first split alone, and the clips that are in it."""
    first = data.splits[0]
    one = restrict(replace(data, splits=(first,)), {*first.train, *first.valid, *first.test})
    return one.with_notes(f"the first of the {len(data.splits)} published splits alone")


def with_validation(data: TaskData) -> TaskData:
    """The task with a seeded tenth of the training clips for validation where the dataset publishes none."""
    if all(split.valid for split in data.splits):
        return data
    keys = [data.key(clip) for clip in data.clips]
    labels = [" ".join(clip.labels) for clip in data.clips]
    splits = []
    for split in data.splits:
        train, valid = carve_validation(split.train, keys, labels)
        splits.append(replace(split, train=train, valid=valid))
    note = "no validation set is published: a seeded tenth of the training clips validates"
    return replace(data, splits=tuple(splits)).with_notes(note)


def data_fingerprint(data: TaskData) -> str:
    """A digest of the clips' names, labels and splits, wherever the folder lies."""
    digest = hashlib.sha256()
    for clip in data.clips:
        digest.update(json.dumps([data.place(clip.path), clip.start_seconds, clip.labels]).encode())
    for split in data.splits:
        digest.update(json.dumps([split.name, split.train, split.valid, split.test]).encode())
    return digest.hexdigest()[:16]


def label_array(data: TaskData) -> np.ndarray:
    """Labels as numbers: int64 (clips,) multiclass, uint8 (clips, classes) multilabel, int64 (clips, outputs)."""
    numbers = [{label: number for number, label in enumerate(names)} for names in data.classes]
    if data.kind == "multilabel":
        array = np.zeros((len(data.clips), len(data.classes[0])), dtype=np.uint8)
        for row, clip in enumerate(data.clips):
            array[row, [numbers[0][label] for label in clip.labels]] = 1
        return array
    rows = [[numbers[output][label] for output, label in enumerate(clip.labels)] for clip in data.clips]
    array = np.array(rows, dtype=np.int64)
    return array[:, 0] if data.kind == "multiclass" else array
