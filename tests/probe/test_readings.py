"""What the paper leaves open of its probes, each way: whose speech is removed, how many splits, which chunks."""

import json
import shutil

import numpy as np
import pytest

from dubcli.errors import UserError
from dubcli.probe import ProbeConfig, probe
from dubcli.probe.prepare import prepare_task, without_speech
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import find_task
from dubcli.report import report
from probe import miniatures
from probe.layouts import esc50, folder_task, sound


class Ear:
    def start(self, *_, **__):
        pass

    update = finish = message = start


def options(tmp_path, **given):
    return ProbeConfig(data=tmp_path / "own", out=tmp_path / "results", preset="tiny", device="cpu", protocol="logreg",
                       check_leakage=False, **given)  # fmt: skip


@pytest.fixture
def own(tmp_path):
    """A task, and the same sounds without what tells the classes apart."""
    folder_task(tmp_path / "own", parts=("train", "test"))
    for path in (tmp_path / "own").rglob("*.wav"):
        sound(tmp_path / "own-nospeech" / path.relative_to(tmp_path / "own"), tone=440.0, seed=len(str(path)))
    return tmp_path


def test_speech_may_be_removed_from_the_test_alone(own):
    data = load_task(find_task("folder"), own / "own")
    prepared = prepare_task(find_task("folder"), own / "own", options(own, data_kind="nospeech-test"), Ear()).data
    assert prepared.name == f"{data.name}-nospeech-test"
    (split,), (plain,) = prepared.splits, data.splits
    places = {part: [prepared.clips[number].path for number in getattr(split, part)] for part in ("train", "test")}
    assert all("own-nospeech" not in str(path) for path in places["train"])
    assert all("own-nospeech" in str(path) for path in places["test"])
    mirrored = without_speech(data, own / "own")
    assert places["test"] == [mirrored.clips[number].path for number in plain.test]
    assert places["train"] == [data.clips[number].path.resolve() for number in plain.train]
    assert [prepared.clips[number].labels for number in split.test] == [data.clips[n].labels for n in plain.test]

    found = {kind: probe("folder", "random", options(own, data_kind=kind))[0] for kind in
             ("speech", "nospeech", "nospeech-test")}  # fmt: skip
    assert found["speech"].mean == 1.0
    assert found["nospeech-test"].mean < 0.8
    assert len({result.path.parent.name for result in found.values()}) == 3
    summary = report([own / "results"], own / "report")
    assert "tableD6" in summary.tables
    text = (own / "report" / "report.md").read_text()
    assert "folder-own (of the test clips)" in text


def test_folds_take_their_test_from_the_mirror_and_their_training_from_the_data(tmp_path):
    esc50(tmp_path / "ESC-50")
    shutil.copytree(tmp_path / "ESC-50", tmp_path / "ESC-50-nospeech")
    config = ProbeConfig(data_kind="nospeech-test", check_leakage=False)
    data = prepare_task(find_task("esc50"), tmp_path / "ESC-50", config, Ear()).data
    assert len(data.clips) == 40
    for split in data.splits:
        assert {"ESC-50-nospeech" in str(data.clips[number].path) for number in split.test} == {True}
        assert {"ESC-50-nospeech" in str(data.clips[number].path) for number in split.train} == {False}


@pytest.mark.parametrize("task", ["ucf101", "hmdb51"])
def test_one_of_three_published_splits(task, tmp_path):
    miniatures.make(task, tmp_path / task)
    config = {"data": tmp_path / task, "out": tmp_path / "results", "preset": "tiny", "device": "cpu", "max_steps": 2,
              "check_leakage": False}  # fmt: skip
    (three,) = probe(task, "random", ProbeConfig(**config))
    assert len(three.content["scores"]) == 3
    with pytest.raises(UserError, match="made with"):
        probe(task, "random", ProbeConfig(**config, splits="first"))
    (one,) = probe(task, "random", ProbeConfig(**config, splits="first", again=True))
    assert one.content["scores"] == three.content["scores"][:1]
    assert one.std is None
    assert one.content["identity"]["splits"] == "first"
    assert any("the first of the 3 published splits alone" in note for note in one.content["data"]["notes"])


def test_folds_are_no_alternatives(tmp_path):
    esc50(tmp_path / "esc50", each=1)
    data = prepare_task(find_task("esc50"), tmp_path / "esc50", ProbeConfig(splits="first"), Ear()).data
    assert len(data.splits) == 5
    with pytest.raises(UserError, match="--splits is 'one'; give one of all, first"):
        ProbeConfig(splits="one")


def test_another_chunk_rule_is_another_result_and_another_folder_of_features(tmp_path):
    folder_task(tmp_path / "own", seconds=0.5)
    (half,) = probe("folder", "random", options(tmp_path))
    # a result of an earlier version, which does not say
    content = json.loads(half.path.read_text())
    for name in ("chunks", "splits"):
        content["identity"].pop(name)
    half.path.write_text(json.dumps(content))
    assert probe("folder", "random", options(tmp_path))[0].mean == half.mean
    with pytest.raises(UserError, match="made with chunks half, now it is padded"):
        probe("folder", "random", options(tmp_path, chunks="padded"))
    (padded,) = probe("folder", "random", options(tmp_path, chunks="padded", again=True))
    assert padded.content["identity"]["chunks"] == "padded"
    folders = list((tmp_path / "results" / "features" / "random-seed0-tiny").glob("folder-own-*"))
    assert len(folders) == 2
    first, second = (np.load(folder / "audio.npy") for folder in folders)
    assert first.shape == second.shape
    assert not np.allclose(first, second)
