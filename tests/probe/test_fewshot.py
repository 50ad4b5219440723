"""Few-shot draws of data sets whose file names come again in every speaker's folder."""

from pathlib import Path

import pytest

from dubcli.probe.fewshot import few_shot
from dubcli.probe.prepare import with_validation
from dubcli.probe.tasks.data import Clip, ClipSplit, TaskData


def voxforge(root):
    """Two languages of 12 speakers who say the same 10 sentences, under the same names."""
    names = [f"{label}/user{user}/wav/a{number:04}.wav"
             for label in ("de", "en") for user in range(12) for number in range(10)]  # fmt: skip
    clips = tuple(Clip(path=Path(root, name), labels=(name[:2],)) for name in names)
    split = ClipSplit(name="test", train=tuple(range(238)), valid=(), test=(238, 239))
    return TaskData(name="t", folder=Path(root), classes=(("de", "en"),), clips=clips, splits=(split,))


def drawn(data):
    return [[data.place(data.clips[number].path) for number in split.train] for split in data.splits]


def test_draws_are_of_clips_not_of_names():
    """Ten shots were the same sentence by ten speakers."""
    found = drawn(few_shot(voxforge("/data"), 10, 3, seed=0))
    for draw in found:
        for label in ("de", "en"):
            mine = [name for name in draw if name.startswith(label)]
            assert len(mine) == 10
            assert len({Path(name).name for name in mine}) >= 4
            assert len({Path(name).parts[1] for name in mine}) >= 4
    assert found == drawn(few_shot(voxforge("/elsewhere/and/deeper"), 10, 3, seed=0))


def test_parts_of_one_file_are_drawn_apart():
    clips = tuple(Clip(path=Path("/d/long.wav"), labels=("ab"[n % 2],), start_seconds=3.0 * n, seconds=3.0)
                  for n in range(40))  # fmt: skip
    split = ClipSplit(name="test", train=tuple(range(38)), valid=(), test=(38, 39))
    data = TaskData(name="t", folder=Path("/d"), classes=(("a", "b"),), clips=clips, splits=(split,))
    assert len({split.train for split in few_shot(data, 5, 4, seed=0).splits}) == 4


def test_the_tenth_that_validates_is_of_many_sentences():
    (split,) = with_validation(voxforge("/data")).splits
    assert len(split.valid) == pytest.approx(24, abs=1)
    assert len({voxforge("/data").clips[number].path.name for number in split.valid}) >= 6
