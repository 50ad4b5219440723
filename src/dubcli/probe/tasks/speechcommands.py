"""Speech Commands v0.02 as published: word folders with ``validation_list.txt`` and ``testing_list.txt``.

With the separate test set beside it, HEAR's 12 classes (10 words, ``_unknown_``, ``_silence_``); without, all words.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

import soundfile

from dubcli.errors import UserError
from dubcli.probe.tasks.data import ORDER_SEED, Clip, Reader, TaskData, labelled_task, restrict
from dubcli.probe.tasks.files import ANY_SOUND, has, located, sounds, visible
from dubcli.probe.tasks.splits import PARTS, by_part
from dubcli.probe.tasks.tables import read_lines

LAYOUT = "Speech Commands v0.02 (<word>/*.wav, validation_list.txt, testing_list.txt)"
WORDS = frozenset(("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes"))
OTHER_WORDS = frozenset((
    "backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four", "happy", "house", "learn",
    "marvin", "nine", "one", "seven", "sheila", "six", "three", "tree", "two", "visual", "wow", "zero",
))  # fmt: skip
"""Of v0.02's 35, those that HEAR takes as unknown."""
TEST_SET = "*speech_commands_test_set"
UNKNOWN = "_unknown_"
SILENCE = "_silence_"
NOISE = "_background_noise_"
VALIDATION_NOISE = "running_tap"
_Name = tuple[str, str]
_SHOWN = 5

FIVE_HOURS_CLIPS = {"train": 16000, "valid": 2000}
"""HEAR's 5h mode: at most 16000 s of training and 2000 s of validation clips of one second."""


def read(folder: Path, *, five_hours: bool) -> TaskData:
    """The published lists. Silence: every half second, one second of the background noises, as in HEAR."""
    test_set = _test_set(folder)
    if has(folder, UNKNOWN):
        raise UserError(f"{folder} holds the test set's {UNKNOWN} among the words; unpack the test set on its own")
    path_of, part_of = _words(folder)
    notes = []
    other = sorted({word for word, _ in path_of} - OTHER_WORDS - WORDS)
    if other:
        notes.append(f"folders that are no words of the dataset are left out: {', '.join(other)}")
    clips: list[Clip] = []
    for (word, name), path in path_of.items():
        part = part_of.get((word, name), "train")
        if word not in other and (test_set is None or part != "test"):
            label = word if test_set is None or word in WORDS else UNKNOWN
            clips.append(Clip(path=path, labels=(label,), part=part))
    if test_set is None:
        notes.append("the separate test set is not there: all words as classes, testing_list.txt tests")
    else:
        clips += _silence(located(folder, NOISE))
        clips += [Clip(path=path, labels=(path.parent.name,), part="test") for path in sounds(test_set, "*/*")]
        folder = Path(os.path.commonpath((folder, test_set)))  # names in results depend on no place of the disk
    lacking = sorted((OTHER_WORDS | WORDS) - {word for word, _ in path_of})
    if lacking:
        some = ", ".join(lacking[:_SHOWN]) + (" and others" if lacking[_SHOWN:] else "")
        notes.append(f"{len(lacking)} of v0.02's {len(OTHER_WORDS | WORDS)} words are not there: {some}")
    data = labelled_task(folder, clips, by_part, metrics=("top1_acc",), official=not five_hours, notes=tuple(notes))
    if five_hours:
        data = restrict(data, _five_hours(data.clips))
        data = data.with_notes("the 5 hours are drawn with a seed here, not HEAR's selection")
    return data


def _words(folder: Path) -> tuple[dict[_Name, Path], dict[_Name, str]]:
    """The sounds of the words by word and name without suffix, also those that are only listed; the listed ones' parts.

    Raises UserError for a line that names no sound of a word, and for a sound in both lists.
    """
    path_of = {_name(path): path for path in sounds(folder, "[a-z]*/*")}
    part_of: dict[_Name, str] = {}
    for part, table in (("valid", "validation_list.txt"), ("test", "testing_list.txt")):
        for line in read_lines(located(folder, table)):
            listed = PurePosixPath(line.replace("\\", "/"))
            if len(listed.parts) != 2 or part_of.setdefault(_name(listed), part) != part:
                raise UserError(f"{folder / table} holds {line[:80]!r}; a line is <word>/<sound>.wav, and in one list")
            path_of.setdefault(_name(listed), folder / listed)
    return path_of, part_of


def _name(path: PurePath) -> _Name:
    return path.parent.name.lower(), path.stem


def _test_set(folder: Path) -> Path | None:
    """The folder of the test set, in or beside that of the words, one level deeper or not."""
    for place in (folder, folder.parent, folder.parent.parent):
        for pattern in (f"{TEST_SET}*", f"{TEST_SET}*/*"):
            for path in visible(place, pattern):
                if has(path, f"*/*{ANY_SOUND}"):
                    return path
    return None


def _silence(noises: Path) -> Iterator[Clip]:
    for path in sounds(noises, "*"):
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


_REQUIRES = ("validation_list.txt", "testing_list.txt", f"[a-z]*/*{ANY_SOUND}")
FULL = (Reader(layout=LAYOUT, requires=_REQUIRES, read=partial(read, five_hours=False)),)
FIVE_HOURS = (Reader(layout=LAYOUT, requires=_REQUIRES, read=partial(read, five_hours=True)),)
