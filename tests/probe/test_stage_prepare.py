"""What happens to a task's data before heads see it."""

import shutil

import numpy as np
import pytest

from dubcli.errors import UserError
from dubcli.probe.checks import without_failed
from dubcli.probe.config import ProbeConfig, parse_shots
from dubcli.probe.listing import list_tasks
from dubcli.probe.prepare import label_array, prepare_task, with_validation, without_speech
from dubcli.probe.tasks.data import Clip, TaskData
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import FOLDER, find_task
from dubcli.probe.tasks.splits import by_part
from probe.layouts import esc50, folder_task, hear_task, touch


class Ear:
    """A progress that remembers its messages."""

    def __init__(self):
        self.heard = []

    def message(self, text):
        self.heard.append(text)

    def start(self, *_):
        pass

    update = finish = start


def task(kind, classes, labels):
    clips = tuple(Clip(path=f"{i}.wav", labels=own, part="train") for i, own in enumerate(labels))
    return TaskData(name="t", kind=kind, folder=".", layout="", classes=classes, clips=clips, splits=by_part(clips),
                    metrics=("top1_acc",))  # fmt: skip


def test_labels_as_numbers():
    one = label_array(task("multiclass", (("a", "b"),), [("b",), ("a",)]))
    np.testing.assert_array_equal(one, [1, 0])
    many = label_array(task("multilabel", (("a", "b", "c"),), [("c", "a"), ()]))
    np.testing.assert_array_equal(many, [[1, 0, 1], [0, 0, 0]])
    three = label_array(task("multioutput", (("x", "y"), ("p", "q")), [("y", "p"), ("x", "q")]))
    np.testing.assert_array_equal(three, [[1, 0], [0, 1]])


def test_leakage_is_told_and_can_be_left_unlooked_for(tmp_path):
    folder_task(tmp_path)
    shutil.copy(tmp_path / "train" / "a" / "train-a-0.wav", tmp_path / "test" / "b" / "x.wav")
    ear = Ear()
    prepared = prepare_task(FOLDER, tmp_path, ProbeConfig(), ear)
    assert len(prepared.leaks) == 1
    assert "1 sounds are in several parts of a split under different names (leakage)" in ear.heard[-1]
    assert prepare_task(FOLDER, tmp_path, ProbeConfig(check_leakage=False), ear).leaks == ()


def test_validation_is_carved_only_where_none_is_published(tmp_path):
    data = load_task(FOLDER, folder_task(tmp_path / "no", each=10))
    carved = with_validation(data)
    (split,) = carved.splits
    assert len(split.valid) == 2
    assert sorted(split.train + split.valid) == sorted(data.splits[0].train)
    assert split.test == data.splits[0].test
    assert "a seeded tenth" in carved.notes[-1]
    published = load_task(FOLDER, folder_task(tmp_path / "yes", parts=("train", "valid", "test")))
    assert with_validation(published) == published


def test_the_mirror_without_speech_has_the_same_clips(tmp_path):
    data = load_task(find_task("esc50"), esc50(tmp_path / "ESC-50"))
    with pytest.raises(UserError, match="ESC-50-nospeech is not there; make it with: dubav separate"):
        without_speech(data, tmp_path / "ESC-50")
    shutil.copytree(tmp_path / "ESC-50", tmp_path / "ESC-50-nospeech")
    mirrored = without_speech(data, tmp_path / "ESC-50")
    assert mirrored.name == "esc50-nospeech"
    assert mirrored.splits == data.splits
    for clip, other in zip(data.clips, mirrored.clips, strict=True):
        assert other.path == tmp_path / "ESC-50-nospeech" / clip.path.relative_to(tmp_path / "ESC-50")
        assert other.labels == clip.labels


def test_the_mirror_may_be_beside_the_folder_around_the_dataset(tmp_path):
    hear_task(tmp_path / "data" / "tasks")
    shutil.copytree(tmp_path / "data", tmp_path / "data-nospeech")
    prepared = prepare_task(find_task("esc50"), tmp_path / "data", ProbeConfig(data_kind="nospeech"), Ear())
    assert all(str(clip.path).startswith(str(tmp_path / "data-nospeech")) for clip in prepared.data.clips)


def test_features_that_failed_or_are_no_numbers(tmp_path):
    data = load_task(FOLDER, folder_task(tmp_path))
    array = np.ones((24, 4), dtype=np.float32)
    with pytest.raises(UserError, match="1 of 24 clips of .* are unusable: .*wav \\(broken\\).*--allow-missing"):
        without_failed(data, array, {3: "broken"}, allow=False)
    smaller, kept = without_failed(data, array, {3: "broken"}, allow=True)
    assert len(smaller.clips) == len(kept) == 23
    assert data.clips[3] not in smaller.clips
    array[5, 2] = np.nan
    with pytest.raises(UserError, match=f"1 of 24 features are NaN or infinite: {data.clips[5].path}; embed"):
        without_failed(data, array, {}, allow=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "svm"}, "--protocol is 'svm'; give one of hear, linear"),
        ({"data_kind": "quiet"}, "--data-variant"),
        ({"shots": (0,)}, "at least 1"),
        ({"modalities": ("smell",)}, "--modality is 'smell'"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_config_is_checked(options, message):
    with pytest.raises(UserError, match=message):
        ProbeConfig(**options)


def test_shots_are_numbers():
    assert parse_shots("1,5,10") == (1, 5, 10)
    assert parse_shots(None) == ()
    with pytest.raises(UserError, match="--shots is 'few'"):
        parse_shots("few")


def test_list_says_what_the_paper_and_the_data_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for count in range(11):
        touch(tmp_path / "all" / "libricount" / f"{count}_abc.wav")
        touch(tmp_path / "all" / "libricount" / f"{count}_abc.json")
    esc50(tmp_path / "all" / "ESC-50-master")
    rows = {row["task"]: row for row in list_tasks(ProbeConfig(data=tmp_path / "all"))}
    assert len(rows) == 17
    assert rows["libricount"]["difference"] == "11 classes in the data, N=10 in table B5"
    assert rows["esc50"]["difference"] == "2 classes in the data, N=50 in table B5"
    assert rows["vocalimitation"]["classes_in_data"] is None
    assert rows["vocalimitation"]["difference"]
    (tmp_path / "all" / "ESC-50-master" / "meta" / "esc50.csv").write_text("x")
    rows = {row["task"]: row for row in list_tasks(ProbeConfig(data=tmp_path / "all"))}
    assert "has no column" in rows["esc50"]["difference"]
