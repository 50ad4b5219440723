"""Speech Commands v0.02 as published: word folders with ``validation_list.txt`` and ``testing_list.txt``.

With the separate test set beside it, HEAR's 12 classes (10 words, ``_unknown_``, ``_silence_``); without, all words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import soundfile

from dubcli.errors import UserError
from dubcli.probe.tasks.data import (
    ORDER_SEED,
    Clip,
    Reader,
    TaskData,
    check_labels,
    in_fixed_order,
    sorted_classes,
    splits_by_part,
)
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
    parts: dict[tuple[Path, float], str] = {}
    clips: list[Clip] = []

    def add(clip: Clip, part: str) -> None:
        clips.append(clip)
        parts[clip.path, clip.start_seconds] = part

    there = [path for path in folder.glob("*/*.wav") if path.parent.name[0] != "_" and path.parent != test_set]
    names = dict.fromkeys([*(f"{path.parent.name}/{path.name}" for path in there), *listed])
    for name in names:
        word, part = name.split("/")[0], listed.get(name, "train")
        if test_set is None:
            add(Clip(path=folder / name, labels=(word,)), part)
        elif part != "test":
            add(Clip(path=folder / name, labels=(word if word in WORDS else UNKNOWN,)), part)
    if test_set is not None:
        for clip in _silence(folder / NOISE):
            add(clip, "valid" if clip.path.stem == VALIDATION_NOISE else "train")
        for path in test_set.glob("*/*.wav"):
            add(Clip(path=path, labels=(path.parent.name,)), "test")
    ordered = in_fixed_order(clips)
    if five_hours:
        ordered = _five_hours(ordered, parts)
    return _task(folder, ordered, [parts[clip.path, clip.start_seconds] for clip in ordered], five_hours, test_set)


def _task(folder: Path, clips: tuple[Clip, ...], parts: list[str], five_hours: bool, test_set: Path | None) -> TaskData:
    notes = [] if test_set else ["the separate test set is not there: all words as classes, testing_list.txt tests"]
    if five_hours:
        notes.append("the 5 hours are drawn with a seed here, not HEAR's selection")
    classes = sorted_classes(clip.labels[0] for clip in clips)
    return check_labels(
        TaskData(
            name="speechcommands-5h" if five_hours else "speechcommands-full",
            kind="multiclass",
            folder=folder,
            layout=LAYOUT,
            classes=(classes,),
            clips=clips,
            splits=(splits_by_part(parts),),
            metrics=("top1_acc",),
            official=not five_hours,
            notes=tuple(notes),
        )
    )


def _test_set(folder: Path) -> Path | None:
    for place in (folder, folder.parent):
        for path in sorted(place.glob("*speech_commands_test_set*")):
            if next(path.glob("*/*.wav"), None) is not None:
                return path
    return None


def _silence(noises: Path) -> Iterator[Clip]:
    for path in sorted(noises.glob("*.wav")):
        try:
            info = soundfile.info(path)
        except (soundfile.SoundFileError, OSError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        for start in range(0, info.frames - info.samplerate, info.samplerate // 2):
            yield Clip(path=path, labels=(SILENCE,), start_seconds=start / info.samplerate, seconds=1.0)


def _five_hours(clips: tuple[Clip, ...], parts: dict[tuple[Path, float], str]) -> tuple[Clip, ...]:
    generator = random.Random(ORDER_SEED)
    kept = set()
    for part in ("train", "valid", "test"):
        own = [i for i, clip in enumerate(clips) if parts[clip.path, clip.start_seconds] == part]
        limit = FIVE_HOURS_CLIPS.get(part, len(own))
        kept.update(own if len(own) <= limit else generator.sample(own, limit))
    return tuple(clip for i, clip in enumerate(clips) if i in kept)


_REQUIRES = ("validation_list.txt", "testing_list.txt", "[a-z]*/*.wav")
FULL = (Reader(layout=LAYOUT, requires=_REQUIRES, read=partial(read, five_hours=False)),)
FIVE_HOURS = (Reader(layout=LAYOUT, requires=_REQUIRES, read=partial(read, five_hours=True)),)
