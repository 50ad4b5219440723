"""Datasets whose folds HEAR made itself: read as published, divided into seeded folds that are not HEAR's.

CREMA-D, GTZAN music/speech, LibriCount and VoxLingua.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dubcli.errors import UserError
from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task, visible
from dubcli.probe.tasks.splits import by_seed
from dubcli.probe.tasks.tables import read_table

VOXLINGUA_LANGUAGES = 10


def _task(folder: Path, *, find: Callable[[Path], Sequence[Clip]], folds: int, note: str) -> TaskData:
    notes = tuple(filter(None, (f"{folds} seeded folds, not HEAR's", note)))
    return labelled_task(folder, find(folder), by_seed(folds), official=False, notes=notes)


def _crema_d(folder: Path) -> list[Clip]:
    clips = []
    for path in visible(folder, "AudioWAV/*.wav"):
        fields = path.stem.split("_")
        if len(fields) != 4:
            raise UserError(f"{path} is not named <actor>_<sentence>_<emotion>_<level>.wav as CREMA-D's files are")
        clips.append(Clip(path=path, labels=(fields[2],)))
    return clips


def _two_folders(folder: Path, *, suffix: str) -> list[Clip]:
    return [
        Clip(path=path, labels=(label,))
        for label in ("music", "speech")
        for path in visible(folder, f"{label}{suffix}/*.wav")
    ]


def _libricount(folder: Path) -> list[Clip]:
    """The count stands before the underscore of ``k_<hash>.wav``."""
    clips = []
    for path in visible(folder, "[0-9]*_*.wav"):
        count = path.name.split("_")[0]
        if not count.isdecimal():
            raise UserError(f"{path} is not named <number of speakers>_<hash>.wav as LibriCount's files are")
        clips.append(Clip(path=path, labels=(str(int(count)),)))
    return clips


def _voxlingua(folder: Path) -> list[Clip]:
    """The ten languages with most files, the earlier name first among equals, as HEAR takes them."""
    clips = [Clip(path=path, labels=(path.parent.name,)) for path in visible(folder, "[a-z]*/*.wav")]
    count = Counter(clip.labels[0] for clip in clips)
    top = sorted(count, key=lambda language: (-count[language], language))[:VOXLINGUA_LANGUAGES]
    return [clip for clip in clips if clip.labels[0] in top]


def _labelled(folder: Path) -> list[Clip]:
    """``*_labels.csv`` (filename, label) of the sounds in ``audio/`` beside it: TFDS datasets as HEAR unpacks them."""
    return [
        Clip(path=table.parent / "audio" / row["filename"], labels=(row["label"],))
        for pattern in ("*_labels.csv", "*/*_labels.csv")
        for table in visible(folder, pattern)
        for row in read_table(table, "filename", "label")
    ]


def _reader(
    find: Callable[[Path], list[Clip]],
    *,
    folds: int,
    layout: str,
    requires: Sequence[str],
    note: str = "",
    not_with: Sequence[str] = (),
) -> Reader:
    read = partial(_task, find=find, folds=folds, note=note)
    return Reader(layout=layout, requires=tuple(requires), read=read, not_with=tuple(not_with))


_SAME_ACTORS = "clips of one actor are in several folds, as in HEAR"
_TFDS = "TFDS set as HEAR unpacks it (*_labels.csv, audio/)"

CREMA_D = (
    _reader(_crema_d, folds=5, layout="CREMA-D (AudioWAV/<actor>_<sentence>_<emotion>_<level>.wav)",
            requires=("AudioWAV/*_*_*_*.wav",), note=_SAME_ACTORS),
    _reader(_labelled, folds=5, layout=_TFDS, requires=("*_labels.csv", "audio/*crema*"),
            note=_SAME_ACTORS),
    _reader(_labelled, folds=5, layout=_TFDS, requires=("*/*_labels.csv", "*/audio/*crema*"),
            note=_SAME_ACTORS),
)  # fmt: skip
GTZAN = (
    _reader(partial(_two_folders, suffix="_wav"), folds=10,
            layout="GTZAN music/speech (music_wav/, speech_wav/)", requires=("music_wav/*.wav", "speech_wav/*.wav")),
    _reader(partial(_two_folders, suffix=""), folds=10,
            layout="GTZAN music/speech (music/, speech/)", requires=("music/*.wav", "speech/*.wav")),
    _reader(_labelled, folds=10, layout=_TFDS,
            requires=("*_labels.csv", "audio/*gtzan*")),
)  # fmt: skip
LIBRICOUNT = (
    _reader(_libricount, folds=5, layout="LibriCount (test/<speakers>_<hash>.wav)",
            requires=("[0-9]*_*.wav", "[0-9]*_*.json")),
)  # fmt: skip
VOXLINGUA = (
    _reader(_voxlingua, folds=5, layout="VoxLingua107 dev set (<language>/*.wav)",
            requires=("[a-z][a-z]/*.wav",), not_with=("[a-z][a-z][a-z][a-z]*/*.wav",)),  # words such as go, no, up
)  # fmt: skip
