"""What a reader makes of a dataset's folder: clips with labels, and which of them train, validate and test."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubcli.errors import UserError

KINDS = ("multiclass", "multilabel", "multioutput")

TOP1_FIRST = ("top1_acc", "mAP", "d_prime", "aucroc")
MAP_FIRST = ("mAP", "d_prime", "aucroc", "top1_acc")
"""HEAR's metrics in its two orders; the first one chooses the head and stops the training."""

ORDER_SEED = 0
"""Seeds the order of a task's clips. hear-eval-kit trains without shuffling, in the order of one such permutation."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One sound or video, or ``seconds`` of it from ``start_seconds`` on.

    ``labels``: exactly one for multiclass, any number for multilabel, one per output for multioutput.
    """

    path: Path
    labels: tuple[str, ...]
    start_seconds: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClipSplit:
    """One way to divide the clips: their numbers. ``valid`` is empty where the dataset publishes no validation set."""

    name: str
    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task's clips and splits as they lie on disk.

    ``classes``: one tuple of names per output (a single one but for multioutput). ``metrics``: the first one decides.
    ``layout``: what was recognised. ``official``: the splits are the published ones (or HEAR's), not seeded here.
    ``notes``: what a reader of the results must know. ``may_lack_files``: the dataset loses files as years go by.
    """

    name: str
    kind: str
    folder: Path
    layout: str
    classes: tuple[tuple[str, ...], ...]
    clips: tuple[Clip, ...]
    splits: tuple[ClipSplit, ...]
    metrics: tuple[str, ...]
    official: bool = True
    notes: tuple[str, ...] = ()
    may_lack_files: bool = False

    def with_notes(self, *notes: str) -> TaskData:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One layout of a dataset. ``requires``: glob patterns, all of which match something in a folder of this layout.

    ``not_with``: patterns that match nothing in it, where what is required could be found in other data too.
    """

    layout: str
    requires: tuple[str, ...]
    read: Callable[[Path], TaskData]
    not_with: tuple[str, ...] = ()

    def recognises(self, folder: Path) -> bool:
        """Whether this is a folder of this layout, by what is in it and whatever its name."""
        others = any(next(folder.glob(pattern), None) is not None for pattern in self.not_with)
        return not others and not self.missing(folder)

    def missing(self, folder: Path) -> list[str]:
        """The patterns that nothing matches: none where ``folder`` has this layout."""
        return [pattern for pattern in self.requires if next(folder.glob(pattern), None) is None]


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


def splits_by_part(parts: Sequence[str], names: tuple[str, str, str] = ("train", "valid", "test")) -> ClipSplit:
    """The one split of a dataset that says of each clip which part it belongs to."""
    train, valid, test = (tuple(i for i, part in enumerate(parts) if part == name) for name in names)
    return ClipSplit(name="test", train=train, valid=valid, test=test)


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
