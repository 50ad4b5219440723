"""What is refused, once and before anything is embedded."""

import itertools
import shutil

import pytest

from dubcli.errors import UserError
from dubcli.probe import ProbeConfig, probe
from dubcli.probe.checks import check_modalities
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import find_task
from helpers.containers import Track
from probe import miniatures
from probe.layouts import sound


@pytest.fixture
def originals(tmp_path):
    return {task: miniatures.make(task, tmp_path / task) for task in ("hmdb51", "esc50")}


@pytest.mark.parametrize(("part", "which"), [("train", "training"), ("valid", "validation"), ("test", "test")])
def test_a_part_of_one_class_is_refused_before_embedding(part, which, tmp_path, monkeypatch):
    monkeypatch.setattr("dubcli.probe.probed.checkpoint_features", lambda *_: pytest.fail("embedded"))
    for place, label in itertools.product(("train", "valid", "test"), "ab"):
        if (place, label) != (part, "b"):
            sound(tmp_path / "own" / place / label / f"{place}{label}.wav")
    with pytest.raises(UserError, match=rf"all 1 {which} clips of test of folder-own have the same label \(a\)"):
        probe("folder", "random", ProbeConfig(data=tmp_path / "own", out=tmp_path, preset="tiny"))


def test_a_modality_that_the_data_lack_is_refused_once_before_embedding(originals, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dubcli.probe.probed.checkpoint_features", lambda *_: pytest.fail("embedded"))
    config = {"out": tmp_path, "preset": "tiny"}
    with pytest.raises(UserError, match=r"the videos of hmdb51 have no sound \(6 of 6 looked into.*--modality video"):
        probe("hmdb51", "random", ProbeConfig(data=originals["hmdb51"], modalities=("audio",), **config))
    with pytest.raises(UserError, match="the 20 clips of esc50 are sounds; they have no video: --modality audio"):
        probe("esc50", "random", ProbeConfig(data=originals["esc50"], modalities=("audio", "video"), **config))


def test_one_video_with_sound_is_enough_to_go_on(tmp_path):
    for number in range(6):
        tracks = [Track(codec="aac")] if number == 5 else []
        miniatures.film(tmp_path / "train" / "ab"[number % 2] / f"{number}.mp4", number, tracks)
    shutil.copytree(tmp_path / "train", tmp_path / "test")
    data = load_task(find_task("folder"), tmp_path)
    check_modalities(data, ("audio",))
    check_modalities(data, ("video",))
