"""VoxForge as published: ``<language>/<speaker>-<date>-<code>/wav/*.wav`` (or ``flac/``), six languages."""

from __future__ import annotations

import re
from pathlib import Path

from dubcli.probe.tasks.data import Clip, Reader, TaskData, check_labels, in_fixed_order, sorted_classes, splits_by_part
from dubcli.probe.tasks.splits import seeded_parts

LAYOUT = "VoxForge (<language>/<speaker>-<date>-<code>/wav/*.wav)"


def read(folder: Path) -> TaskData:
    """No split is published: 80 % train, 10 % valid, 10 % test of the speakers of each language, by a seed.

    Submissions of "anonymous" are speakers of their own, since nothing says who recorded two of them.
    """
    clips = in_fixed_order(
        Clip(path=path, labels=(path.relative_to(folder).parts[0],))
        for pattern in ("*/*/wav/*.wav", "*/*/flac/*.flac")
        for path in folder.glob(pattern)
    )
    labels = [clip.labels[0] for clip in clips]
    parts = seeded_parts([f"{clip.labels[0]}/{speaker(clip.path.parents[1].name)}" for clip in clips], labels)
    return check_labels(
        TaskData(
            name="voxforge",
            kind="multiclass",
            folder=folder,
            layout=LAYOUT,
            classes=(sorted_classes(labels),),
            clips=clips,
            splits=(splits_by_part(parts),),
            metrics=("top1_acc",),
            official=False,
            notes=("a seeded split by speaker; none is published",),
        )
    )


def speaker(submission: str) -> str:
    """The speaker of a submission's folder name."""
    name = re.split(r"-\d{8}", submission)[0]
    return submission if name.lower().startswith("anonymous") else name


READERS = (
    Reader(layout=LAYOUT, requires=("*/*/wav/*.wav",), read=read),
    Reader(layout=LAYOUT, requires=("*/*/flac/*.flac",), read=read),
)
