"""VoxForge as published: ``<language>/<speaker>-<date>-<code>/wav/*.wav`` (or ``flac/``), six languages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from dubcli.media.kinds import SOUND, walk
from dubcli.probe.tasks.data import Clip, ClipSplit, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import ANY_SOUND
from dubcli.probe.tasks.splits import by_part, seeded_parts

LAYOUT = "VoxForge (<language>/<speaker>-<date>-<code>/wav/*.wav)"
_SUBMISSIONS = ("*/*", "*/*-*-*/*", "*/*/*-*", "*/Trunk/Audio/Main/*/*", "*/Main/*/*", "*/Original/*/*")
"""Where submissions lie: by language; unpacked in a folder of their own each; in one within the language's; as the
server has them."""
_DATED = re.compile(r"-\d{8}")
_FORMATS = ("wav", "flac")
"""Of a sound in both the first counts."""


def read(folder: Path) -> TaskData:
    """No split is published: 80 % train, 10 % valid, 10 % test of the speakers of each language, by a seed.

    Submissions of "anonymous" are speakers of their own, since nothing says who recorded two of them.
    """
    clips: dict[tuple[Path, str], Clip] = {}
    recordings = sorted(_recordings(folder), key=lambda path: (path.parent.name.lower() != "wav", str(path)))
    folder = _languages(recordings, folder)
    for path in (one for one in recordings if one.is_relative_to(folder)):
        language = path.relative_to(folder).parts[0]
        clips.setdefault((path.parents[1], path.stem), Clip(path=path, labels=(language,)))
    note = "a seeded split by speaker; none is published"
    return labelled_task(folder, clips.values(), _by_speaker, metrics=("top1_acc",), official=False, notes=(note,))


def _recordings(folder: Path) -> Iterator[Path]:
    """The sounds of all submissions, as deep as they may lie."""
    for path in (Path(one.path) for one in walk(folder) if one.kind == SOUND):
        if path.parent.name.lower() in _FORMATS and len(path.relative_to(folder).parts) > 3:
            yield path


def _languages(recordings: Sequence[Path], folder: Path) -> Path:
    """The folder of the languages' folders: where dated submissions part, however deep they lie in a language's."""
    submissions = {path.parents[1] for path in recordings if _DATED.search(path.parents[1].name)}
    if len({path.parent for path in submissions}) < 2:
        return folder
    return Path(os.path.commonpath({path.parent for path in submissions}))


def _by_speaker(clips: Sequence[Clip]) -> tuple[ClipSplit, ...]:
    speakers = [f"{clip.labels[0]}/{speaker(clip.path.parents[1].name)}" for clip in clips]
    parts = seeded_parts(speakers, [clip.labels[0] for clip in clips])
    return by_part([replace(clip, part=part) for clip, part in zip(clips, parts, strict=True)])


def speaker(submission: str) -> str:
    """The speaker of a submission's folder name."""
    name = _DATED.split(submission)[0]
    return submission if name.lower().startswith("anonymous") else name


READERS = tuple(
    Reader(
        layout=LAYOUT,
        requires=(f"{submissions}/{kind}/*{ANY_SOUND}",),
        read=read,
    )
    for submissions in _SUBMISSIONS
    for kind in _FORMATS
)
