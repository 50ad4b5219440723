"""Datasets whose folds HEAR made itself: read as published, divided into seeded folds that are not HEAR's.

CREMA-D, GTZAN music/speech, LibriCount and VoxLingua.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import ANY_SOUND, sounds, visible
from dubcli.probe.tasks.splits import by_seed
from dubcli.probe.tasks.tables import read_table

VOXLINGUA_LANGUAGES = 10
DEV_LANGUAGES = 33
"""Of VoxLingua107's dev set; its training set has 107."""


_SAME_ACTORS = "clips of one actor are in several folds, as in HEAR"
EMOTIONS = frozenset(("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"))
_SHOWN = 3


@dataclass(frozen=True)
class _Found:
    """Clips, and the sounds beside them that are none. ``unused``: those of the dataset that the task leaves out."""

    clips: list[Clip]
    strange: list[Path] = field(default_factory=list)
    unused: int = 0
    note: str = ""


def _task(folder: Path, *, find: Callable[[Path], _Found], folds: int, whole: int) -> TaskData:
    found = find(folder)
    notes = [f"{folds} seeded folds, not HEAR's", found.note]
    there = len(found.clips) + found.unused
    if there < whole:  # no list says which ones are not there
        notes.append(f"{there} of the dataset's {whole} sounds are there")
    if found.clips:  # however far above them one has begun to look, so that results are of the same clips
        folder = Path(os.path.commonpath({clip.path.parent for clip in found.clips}))
    if found.strange:
        names = ", ".join(path.name for path in found.strange[:_SHOWN])
        notes.append(f"{len(found.strange)} sounds are not named as the dataset's are, and left out, such as {names}")
    return labelled_task(folder, found.clips, by_seed(folds), official=False, notes=tuple(filter(None, notes)))


def _named(paths: Sequence[Path], name: str, label: Callable[[str], str]) -> _Found:
    """Clips whose label is made of what the group of a pattern finds in their names without suffix.

    Names are a clip's own: of several files of one name the first counts. What has another name is strange only beside
    clips, since other datasets may lie in the folders around.
    """
    clips: dict[str, Clip] = {}
    others = []
    for path in paths:
        match = re.fullmatch(name, path.stem, re.IGNORECASE)
        if match:
            clips.setdefault(path.stem.lower(), Clip(path=path, labels=(label(match[1]),)))
        else:
            others.append(path)
    folders = {clip.path.parent for clip in clips.values()}
    return _Found([*clips.values()], [path for path in others if path.parent in folders])


def _crema_d(folder: Path, *, place: str) -> _Found:
    found = _named(sounds(folder, f"{place}*"), rf"[^_]+_[^_]+_({'|'.join(EMOTIONS)})_[^_]+", str.upper)
    return replace(found, note=_SAME_ACTORS)


def _two_folders(folder: Path, *, suffix: str) -> _Found:
    return _Found(
        [
            Clip(path=path, labels=(label,))
            for label in ("music", "speech")
            for path in sounds(folder, f"{label}{suffix}/*")
        ]
    )


def _libricount(folder: Path, *, place: str) -> _Found:
    """The count stands before the underscore of ``k_<hash>.wav``."""
    return _named(sounds(folder, f"{place}*"), r"(\d+)_[^_]+", lambda count: str(int(count)))


def _voxlingua(folder: Path, *, place: str) -> _Found:
    """The ten languages with most files, the earlier name first among equals, as HEAR takes them."""
    clips = [Clip(path=path, labels=(path.parent.name,)) for path in sounds(folder, f"{place}[a-z]*/*")]
    count = Counter(clip.labels[0] for clip in clips)
    top = sorted(count, key=lambda language: (-count[language], language))[:VOXLINGUA_LANGUAGES]
    more = len(count) > DEV_LANGUAGES
    note = f"{len(count)} languages are the training set's; the task is made of the dev set, which has {DEV_LANGUAGES}"
    chosen = [clip for clip in clips if clip.labels[0] in top]
    return _Found(chosen, unused=len(clips) - len(chosen), note=note if more else "")


def _labelled(folder: Path, *, note: str = "") -> _Found:
    """``*_labels.csv`` (filename, label) of the sounds in ``audio/`` beside it: TFDS datasets as HEAR unpacks them."""
    return _Found(
        [
            Clip(path=table.parent / "audio" / row["filename"], labels=(row["label"],))
            for pattern in ("*_labels.csv", "*/*_labels.csv")
            for table in visible(folder, pattern)
            for row in read_table(table, "filename", "label")
        ],
        note=note,
    )


def _reader(
    find: Callable[[Path], _Found],
    *,
    folds: int,
    layout: str,
    requires: Sequence[str],
    not_with: Sequence[str] = (),
    whole: int = 0,
) -> Reader:
    read = partial(_task, find=find, folds=folds, whole=whole)
    return Reader(layout=layout, requires=tuple(requires), read=read, not_with=tuple(not_with))


_TFDS = "TFDS set as HEAR unpacks it (*_labels.csv, audio/)"

_CREMA_NAME = "1[0-9][0-9][0-9]_???_???_*"

CREMA_D = (
    *(_reader(partial(_crema_d, place=place), folds=5, requires=(f"{place}{name}{ANY_SOUND}",), whole=7442,
              layout="CREMA-D (AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav)")
      for place, name in (("AudioWAV/", "*_*_*_*"), ("AudioMP3/", "*_*_*_*"), ("", _CREMA_NAME),
                          ("*/", _CREMA_NAME))),  # the last in a folder per actor, emotion or part of one's own
    *(_reader(partial(_labelled, note=_SAME_ACTORS), folds=5, layout=_TFDS,
              requires=(f"{place}*_labels.csv", f"{place}audio/*crema*")) for place in ("", "*/")),
)  # fmt: skip
GTZAN = (
    _reader(partial(_two_folders, suffix="_wav"), folds=10, whole=128,
            layout="GTZAN music/speech (music_wav/, speech_wav/)",
            requires=(f"music_wav/*{ANY_SOUND}", f"speech_wav/*{ANY_SOUND}")),
    _reader(partial(_two_folders, suffix=""), folds=10, whole=128,
            layout="GTZAN music/speech (music/, speech/)", requires=(f"music/*{ANY_SOUND}", f"speech/*{ANY_SOUND}")),
    _reader(_labelled, folds=10, layout=_TFDS,
            requires=("*_labels.csv", "audio/*gtzan*")),
)  # fmt: skip
_LIBRICOUNT_NAME = f"[0-9]*_{'[0-9a-f]' * 6}{ANY_SOUND}"
LIBRICOUNT = tuple(
    _reader(partial(_libricount, place=place), folds=5, requires=requires, whole=5720,
            layout="LibriCount (test/<speakers>_<hash>.wav)")
    for place, requires in (("", (f"[0-9]*_*{ANY_SOUND}", "[0-9]*_*.json")), ("", (_LIBRICOUNT_NAME,)),
                            ("[0-9]*/", (f"[0-9]*/{_LIBRICOUNT_NAME}",)))  # the last in a folder per count
)  # fmt: skip
VOXLINGUA = tuple(
    _reader(partial(_voxlingua, place=place), folds=5, whole=1609, layout="VoxLingua107 dev set (<language>/*.wav)",
            requires=(f"{place}[a-z][a-z]/*{ANY_SOUND}",),
            not_with=(f"{place}[a-z][a-z][a-z][a-z]*/*{ANY_SOUND}", f"{place}_*_/*{ANY_SOUND}"))  # words: go, no, up
    for place in ("dev/", "")  # the training set's languages may lie beside dev/
)  # fmt: skip
