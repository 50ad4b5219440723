"""VoxForge as published: ``<language>/<speaker>-<date>-<code>/wav/*.wav`` (or ``flac/``), six languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dubcli.probe.tasks.data import Clip, ClipSplit, Reader, TaskData, labelled_task, visible
from dubcli.probe.tasks.splits import by_part, seeded_parts

LAYOUT = "VoxForge (<language>/<speaker>-<date>-<code>/wav/*.wav)"


def read(folder: Path) -> TaskData:
    """No split is published: 80 % train, 10 % valid, 10 % test of the speakers of each language, by a seed.

    Submissions of "anonymous" are speakers of their own, since nothing says who recorded two of them.
    """
    clips = [
        Clip(path=path, labels=(path.relative_to(folder).parts[0],))
        for pattern in ("*/*/wav/*.wav", "*/*/flac/*.flac")
        for path in visible(folder, pattern)
    ]
    note = "a seeded split by speaker; none is published"
    return labelled_task(folder, clips, _by_speaker, metrics=("top1_acc",), official=False, notes=(note,))


def _by_speaker(clips: Sequence[Clip]) -> tuple[ClipSplit, ...]:
    speakers = [f"{clip.labels[0]}/{speaker(clip.path.parents[1].name)}" for clip in clips]
    parts = seeded_parts(speakers, [clip.labels[0] for clip in clips])
    return by_part([replace(clip, part=part) for clip, part in zip(clips, parts, strict=True)])


def speaker(submission: str) -> str:
    """The speaker of a submission's folder name."""
    name = re.split(r"-\d{8}", submission)[0]
    return submission if name.lower().startswith("anonymous") else name


READERS = (
    Reader(layout=LAYOUT, requires=("*/*/wav/*.wav",), read=read),
    Reader(layout=LAYOUT, requires=("*/*/flac/*.flac",), read=read),
)
