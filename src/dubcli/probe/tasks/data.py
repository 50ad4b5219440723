"""What a task is, and what its readers make of a dataset's folder: clips with labels, divided into parts."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dubcli.errors import UserError
from dubcli.media.kinds import SOUND, kind_of
from dubcli.probe.tasks.files import has, seen

KINDS = ("multiclass", "multilabel", "multioutput")
AUDIO = ("audio",)
VIDEO = ("video",)
BOTH = ("audio", "video")

TOP1_FIRST = ("top1_acc", "mAP", "d_prime", "aucroc")
MAP_FIRST = ("mAP", "d_prime", "aucroc", "top1_acc")
"""HEAR's metrics in its two orders; the first one chooses the head and stops the training."""

METRICS = (*TOP1_FIRST, "pitch_acc", "chroma_acc")
"""All that there are; the last two for HEAR's tasks whose classes are MIDI notes."""

ORDER_SEED = 0
"""Seeds the order of a task's clips. hear-eval-kit trains without shuffling, in the order of one such permutation."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One sound or video, or a part of it.

    Attributes:
        path: of the file.
        labels: exactly one for multiclass, any number for multilabel, one per output for multioutput.
        start_seconds: where the part begins.
        seconds: its length; None is all that follows.
        part: what ``splits.by_part`` and ``splits.by_fold`` divide by: train, valid or test, or the name of a fold.
        sound: a file beside a video with its sound, which counts where the video itself has none.
    """

    path: Path
    labels: tuple[str, ...]
    start_seconds: float = 0.0
    seconds: float | None = None
    part: str = ""
    sound: Path | None = None

    @property
    def whole(self) -> bool:
        """Whether it is all of its file."""
        return self.seconds is None and self.start_seconds == 0


def drawing_name(clip: Clip) -> str:
    """A clip's file name, to draw by: of a sound as a WAV file, so that copies in other formats are drawn alike."""
    return f"{clip.path.stem}.wav" if kind_of(clip.path) == SOUND else clip.path.name


@dataclass(frozen=True, kw_only=True)
class ClipSplit:
    """One way to divide the clips: their numbers.

    Attributes:
        name: of the split or fold.
        train: trained on.
        valid: chosen by; empty where the dataset publishes no validation set.
        test: scored.
    """

    name: str
    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task's clips and splits as they lie on disk. Whoever asks a reader fills in empty names and layouts.

    Attributes:
        name: of the task.
        kind: ``multiclass``, ``multilabel`` or ``multioutput``.
        folder: of the data.
        layout: what was recognised.
        classes: one tuple of names per output (a single one but for multioutput).
        clips: in a fixed order.
        splits: of their numbers.
        metrics: the first one decides.
        protocol: of data that have one of their own; empty is the task's.
        official: the splits are the published ones (or HEAR's), not seeded here.
        notes: what a reader of the results must know.
        may_lack_files: the dataset loses files as years go by.
    """

    name: str = ""
    kind: str = "multiclass"
    folder: Path
    layout: str = ""
    classes: tuple[tuple[str, ...], ...]
    clips: tuple[Clip, ...]
    splits: tuple[ClipSplit, ...]
    metrics: tuple[str, ...] = TOP1_FIRST
    protocol: str = ""
    official: bool = True
    notes: tuple[str, ...] = ()
    may_lack_files: bool = False

    def with_notes(self, *notes: str) -> TaskData:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def place(self, path: Path) -> str:
        """A clip's path in the folder, wherever the folder lies: file names alone come again (VoxForge's a0001)."""
        return (path.relative_to(self.folder) if path.is_relative_to(self.folder) else path).as_posix()

    def key(self, clip: Clip) -> str:
        """What tells the clip from all others, to draw and to pair by: its place, and which part of the file it is."""
        place = self.place(clip.path.with_name(drawing_name(clip)))
        return place if clip.whole else f"{place} {clip.start_seconds:g}+{clip.seconds or 0:g}"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One layout of a dataset.

    Attributes:
        layout: its name.
        requires: glob patterns, all of which match something in a folder of this layout.
        read: from the folder to its clips.
        not_with: patterns that match nothing in it, where what is required could be found in other data too.
    """

    layout: str
    requires: tuple[str, ...]
    read: Callable[[Path], TaskData]
    not_with: tuple[str, ...] = ()

    def recognises(self, folder: Path) -> bool:
        """Whether this is a folder of this layout, by what is in it and whatever its name."""
        return not any(has(folder, pattern) for pattern in self.not_with) and not self.missing(folder)

    def missing(self, folder: Path) -> list[str]:
        """The patterns that nothing matches: none where ``folder`` has this layout."""
        return [pattern for pattern in self.requires if not has(folder, pattern)]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to measure on. A task of one's own needs a ``name`` and ``readers``.

    Attributes:
        name: as the command line has it.
        readers: of its layouts; the first that fits reads.
        title: as tables have it.
        what: what is told apart, in a few words.
        metric: the one that decides.
        protocol: the default one.
        licence: of the data.
        source: where they come from.
        modalities: what it is about.
        hear: name of its HEAR task folders.
        hear_mode: theirs.
        aliases: other names of the task and of its data's folder.
        alternative_splits: each of its splits is a whole way to divide the data, not a fold.
        own: for tasks whose data a user names with ``--data`` in place of a layout to look for; it takes that path.

    Raises:
        UserError: a name that is none for a folder.
    """

    name: str
    readers: tuple[Reader, ...]
    title: str = ""
    what: str = ""
    metric: str = "top1_acc"
    protocol: str = "logreg"
    licence: str = ""
    source: str = ""
    modalities: tuple[str, ...] = AUDIO
    hear: str = ""
    hear_mode: str = "full"
    aliases: tuple[str, ...] = ()
    alternative_splits: bool = False
    own: Callable[[Path], TaskData] | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", self.name):  # it names folders of results
            raise UserError(f"a task is named {self.name!r}; give a name of letters, digits, - _ and .")
        if not self.title:
            object.__setattr__(self, "title", self.name)

    @property
    def folders(self) -> tuple[str, ...]:
        """Names that the data's folder may have under a common root."""
        return (self.name, *self.aliases)

    @property
    def layouts(self) -> tuple[str, ...]:
        """The layouts that are read, in words."""
        own = tuple(dict.fromkeys(reader.layout for reader in self.readers))
        return (f"HEAR task folder {self.hear}-*-{self.hear_mode}", *own) if self.hear else own

    @property
    def where(self) -> str:
        """Where to get the data, in words."""
        return f"get it from {self.source}" if self.source else f"its layout: {'; '.join(self.layouts)}"


def labelled_task(
    folder: Path, clips: Iterable[Clip], split: Callable[[Sequence[Clip]], tuple[ClipSplit, ...]], **facts: Any
) -> TaskData:
    """A task of clips, put into the fixed order and divided by ``split``, with the classes that occur.

    Args:
        folder: the dataset's.
        clips: in any order.
        split: from the clips in their order to splits, such as ``splits.by_part``.
        facts: of ``TaskData``, where they are not its defaults.

    Returns:
        The task's clips, classes and splits.

    Raises:
        UserError: there are no clips, or two that say different things of one; and as ``check_labels`` does.

    >>> from dubcli.probe.tasks import Clip, by_seed, labelled_task, sounds
    >>> clips = [Clip(path=path, labels=(path.parent.name,)) for path in sounds(Path("sounds"), "*/*.wav")]
    >>> data = labelled_task(Path("sounds"), clips, by_seed(5))
    >>> data.classes, len(data.clips), len(data.splits)
    ((('high', 'low'),), 20, 5)
    """
    ordered = in_fixed_order(_distinct(clips))
    if not ordered:
        raise UserError(f"{folder} holds no clips of this layout; {seen(folder)}")
    if "classes" not in facts:
        outputs = [[label for clip in ordered for label in clip.labels]]
        if facts.get("kind") == "multioutput":
            outputs = [list(column) for column in zip(*(clip.labels for clip in ordered), strict=True)]
        facts["classes"] = tuple(map(sorted_classes, outputs))
    return check_labels(TaskData(folder=folder, clips=ordered, splits=split(ordered), **facts))


def _distinct(clips: Iterable[Clip]) -> Iterable[Clip]:
    """The clips, each once. Raises UserError where one is listed with two labels or in two parts."""
    known: dict[tuple[Path, float], Clip] = {}
    for clip in clips:
        before = known.setdefault((clip.path, clip.start_seconds), clip)
        if before != clip:
            one, other = (f"{' '.join(each.labels)!r} {each.part}".strip() for each in (before, clip))
            raise UserError(f"{clip.path} is listed twice, as {one} and as {other}; get the dataset's list again")
    return known.values()


def in_fixed_order(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    """The clips sorted by path, then permuted by a fixed seed, since heads may train in the order of the clips."""
    ordered = sorted(clips, key=lambda clip: (str(clip.path), clip.start_seconds))
    random.Random(ORDER_SEED).shuffle(ordered)
    return tuple(ordered)


def sorted_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels: by value when all are integers, else by name."""
    distinct = set(labels)
    if all(label.isdecimal() for label in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def check_labels(data: TaskData) -> TaskData:
    """``data`` when every label is in the vocabulary and each clip has as many as its kind asks for, else UserError."""
    if data.kind not in KINDS:
        raise UserError(f"{data.folder}: prediction type {data.kind!r} is not one of {', '.join(KINDS)}")
    known = [set(names) for names in data.classes]
    for clip in data.clips:
        if data.kind == "multiclass" and len(clip.labels) != 1:
            raise UserError(
                f"{clip.path} has {len(clip.labels)} labels ({', '.join(clip.labels)}); a multiclass task needs one"
            )
        for output, label in enumerate(clip.labels):
            if label not in known[output if data.kind == "multioutput" else 0]:
                raise UserError(f"label {label!r} of {clip.path} is not in the vocabulary of {data.folder}")
    return data


def restrict(data: TaskData, keep: Iterable[int]) -> TaskData:
    """The task with only the clips of these numbers, in their old order."""
    kept = sorted(set(keep))
    number = {old: new for new, old in enumerate(kept)}

    def renumbered(old: Sequence[int]) -> tuple[int, ...]:
        return tuple(number[index] for index in old if index in number)

    splits = tuple(
        ClipSplit(
            name=split.name,
            train=renumbered(split.train),
            valid=renumbered(split.valid),
            test=renumbered(split.test),
        )
        for split in data.splits
    )
    return replace(data, clips=tuple(data.clips[index] for index in kept), splits=splits)
