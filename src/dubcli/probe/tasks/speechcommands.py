"""Speech Commands v0.02 as published: word folders with ``validation_list.txt`` and ``testing_list.txt``.

With the separate test set beside it, HEAR's 12 classes (10 words, ``_unknown_``, ``_silence_``); without, all words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import soundfile

from dubcli.errors import UserError
from dubcli.probe.tasks.data import ORDER_SEED, Clip, Reader, TaskData, labelled_task, restrict, visible
from dubcli.probe.tasks.splits import PARTS, by_part
from dubcli.probe.tasks.tables import read_lines

LAYOUT = "Speech Commands v0.02 (<word>/*.wav, validation_list.txt, testing_list.txt)"
WORDS = frozenset(("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes"))
UNKNOWN = "_unknown_"
SILENCE = "_silence_"
NOISE = "_background_noise_"
VALIDATION_NOISE = "running_tap"

FIVE_HOURS_CLIPS = {"train": 16000, "valid": 2000}
"""HEAR's 5h mode: at most 16000 s of training and 2000 s of validation clips of one second."""


def read(folder: Path, *, five_hours: bool) -> TaskData:
    """The published lists. Silence: every half second, one second of the background noises, as in HEAR."""
    test_set = _test_set(folder)
    listed = dict.fromkeys(read_lines(folder / "validation_list.txt"), "valid")
    listed.update(dict.fromkeys(read_lines(folder / "testing_list.txt"), "test"))
    clips: list[Clip] = []
    there = [path for path in visible(folder, "*/*.wav") if path.parent.name[0] != "_" and path.parent != test_set]
    names = dict.fromkeys([*(f"{path.parent.name}/{path.name}" for path in there), *listed])
    for name in names:
        word, part = name.split("/")[0], listed.get(name, "train")
        if test_set is None:
            clips.append(Clip(path=folder / name, labels=(word,), part=part))
        elif part != "test":
            clips.append(Clip(path=folder / name, labels=(word if word in WORDS else UNKNOWN,), part=part))
    if test_set is not None:
        clips += _silence(folder / NOISE)
        clips += [Clip(path=path, labels=(path.parent.name,), part="test") for path in visible(test_set, "*/*.wav")]
    notes = () if test_set else ("the separate test set is not there: all words as classes, testing_list.txt tests",)
    data = labelled_task(folder, clips, by_part, metrics=("top1_acc",), official=not five_hours, notes=notes)
    if five_hours:
        data = restrict(data, _five_hours(data.clips))
        data = data.with_notes("the 5 hours are drawn with a seed here, not HEAR's selection")
    return data


def _test_set(folder: Path) -> Path | None:
    for place in (folder, folder.parent):
        for path in visible(place, "*speech_commands_test_set*"):
            if next(visible(path, "*/*.wav"), None) is not None:
                return path
    return None


def _silence(noises: Path) -> Iterator[Clip]:
    for path in visible(noises, "*.wav"):
        try:
            info = soundfile.info(path)
        except (soundfile.SoundFileError, OSError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        for start in range(0, info.frames - info.samplerate, info.samplerate // 2):
            part = "valid" if path.stem == VALIDATION_NOISE else "train"
            yield Clip(path=path, labels=(SILENCE,), start_seconds=start / info.samplerate, seconds=1.0, part=part)


def _five_hours(clips: Sequence[Clip]) -> set[int]:
    generator = random.Random(ORDER_SEED)
    kept: set[int] = set()
    for part in PARTS:
        own = [i for i, clip in enumerate(clips) if clip.part == part]
        limit = FIVE_HOURS_CLIPS.get(part, len(own))
        kept.update(own if len(own) <= limit else generator.sample(own, limit))
    return kept


_REQUIRES = ("validation_list.txt", "testing_list.txt", "[a-z]*/*.wav")
FULL = (Reader(layout=LAYOUT, requires=_REQUIRES, read=partial(read, five_hours=False)),)
FIVE_HOURS = (Reader(layout=LAYOUT, requires=_REQUIRES, read=partial(read, five_hours=True)),)
