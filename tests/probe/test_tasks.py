"""HEAR folders, users' own folders, splits, names, places and the checks of a task's data."""

import json
import random
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubcli.errors import UserError
from dubcli.probe.checks import check_parts, find_leaks, without_missing
from dubcli.probe.fewshot import few_shot
from dubcli.probe.tasks.find import left_aside, load_task, places_under
from dubcli.probe.tasks.paper import PAPER
from dubcli.probe.tasks.registry import FOLDER, TASKS, find_task
from dubcli.probe.tasks.splits import carve_validation, kfold, seeded_folds, seeded_parts
from probe.layouts import esc50, folder_task, hear_task, sound, text, touch


def test_hear_folder_is_in_the_kits_order_and_folds(tmp_path):
    home = hear_task(tmp_path, integers=True)
    data = load_task(find_task("esc50"), home)
    generator = random.Random(0)
    expected = []
    for fold in range(5):
        keys = list(json.loads((home / f"fold{fold:02}.json").read_text()))
        generator.shuffle(keys)
        expected += keys
    assert [clip.path.name for clip in data.clips] == expected
    assert data.classes == (("0", "1"),)
    assert {clip.labels for clip in data.clips} == {("0",), ("1",)}
    assert data.splits[4].valid == data.splits[0].test
    assert data.splits[0].train == tuple(range(8, 20))


def test_hear_archive_root_is_searched_for_the_task_and_mode(tmp_path):
    tasks = tmp_path / "hear-2021.0.6" / "tasks"
    for mode in ("5h", "full", "small"):
        hear_task(tasks, name="speech_commands", version="v0.0.2", mode=mode, splits=["train", "valid", "test"])
    assert load_task(find_task("speechcommands-5h"), tmp_path).folder.name.endswith("-5h")
    assert load_task(find_task("speechcommands-full"), tmp_path).folder.name.endswith("-full")
    shutil.rmtree(tasks / "speech_commands-v0.0.2-full")
    small = load_task(find_task("speechcommands-full"), tmp_path)
    assert small.folder.name.endswith("-small")
    assert "mode small, not full" in small.notes
    (split,) = small.splits
    assert (len(split.train), len(split.valid), len(split.test)) == (4, 4, 4)


def test_hear_folder_takes_48_khz_else_the_highest(tmp_path):
    home = hear_task(tmp_path, rate=16000)
    shutil.copytree(home / "16000", home / "44100")
    data = load_task(find_task("esc50"), home)
    assert data.clips[0].path.parts[-3] == "44100"
    assert "44100 Hz" in data.notes[0]
    shutil.copytree(home / "16000", home / "48000")
    assert load_task(find_task("esc50"), home).clips[0].path.parts[-3] == "48000"


def test_any_hear_folder_is_a_task_of_its_own(tmp_path):
    home = hear_task(tmp_path, name="spoken_digit", version="1.0.9", mode="small")
    assert load_task(FOLDER, home).name == "spoken_digit"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("fold02.json", "{}", "fold02.json lists no sounds; every fold needs some"),
        ("fold02.json", '{"fold02-0.wav": ["z"]}', "label 'z' of .*fold02-0.wav is not in the vocabulary"),
        ("fold02.json", '{"fold02-0.wav": ["a", "b"]}', "fold02-0.wav has 2 labels"),
        ("fold02.json", '{"fold02-0.wav": [{"label": "a", "start": 0}]}', "events; probe reads scene tasks"),
        ("fold02.json", "[", "fold02.json cannot be read as JSON"),
        ("fold02.json", None, "lacks fold02.json"),
        ("labelvocabulary.csv", None, "labelvocabulary.csv cannot be read"),
        ("task_metadata.json", '{"task_name": "esc50"}', "has no prediction_type, evaluation"),
    ],
)
def test_broken_hear_folder_is_one_line(tmp_path, name, content, message):
    home = hear_task(tmp_path)
    if content is None:
        (home / name).unlink()
    else:
        (home / name).write_text(content)
    with pytest.raises(UserError, match=message) as error:
        load_task(find_task("esc50"), home)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "evaluation", "kind", "metrics", "note"),
    [(("60", "72"), ["pitch_acc", "chroma_acc"], "multiclass", ("pitch_acc", "chroma_acc"), ""),
     (("a", "b"), ["chroma_acc"], "multiclass", ("top1_acc",), "not computed here: chroma_acc; top1_acc is taken"),
     (("a", "b"), ["event_onset_fms"], "multilabel", ("mAP",), "event_onset_fms; mAP is taken"),
     (("a", "b"), "top1_acc", "multiclass", ("top1_acc",), ""),
     (("a", "b"), [], "multiclass", ("top1_acc",), "")],
)  # fmt: skip
def test_metrics_of_hear_folders(labels, evaluation, kind, metrics, note, tmp_path, monkeypatch):
    monkeypatch.setattr("probe.layouts.TONES", dict.fromkeys(labels, 440.0))
    home = hear_task(tmp_path, labels=labels, kind=kind, evaluation=[])
    metadata = home / "task_metadata.json"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "evaluation": evaluation}))
    data = load_task(find_task("esc50"), tmp_path)
    assert data.metrics == metrics
    assert note in "; ".join(data.notes)


def test_a_broken_hear_folder_stops_its_own_task_only(tmp_path):
    hear_task(tmp_path / "tasks", name="libricount", version="v1.0.0-hear2021")
    text(tmp_path / "tasks" / "esc50-v2.0.0-full" / "task_metadata.json", "[]")
    assert len(load_task(find_task("libricount"), tmp_path).clips) == 20
    with pytest.raises(UserError, match="task_metadata.json is no JSON object; unpack"):
        load_task(find_task("esc50"), tmp_path)


def test_hear_event_tasks_are_refused(tmp_path):
    home = hear_task(tmp_path)
    metadata = json.loads((home / "task_metadata.json").read_text())
    (home / "task_metadata.json").write_text(json.dumps({**metadata, "embedding_type": "event"}))
    with pytest.raises(UserError, match="reads scene tasks"):
        load_task(find_task("esc50"), home)


def test_own_folder_with_train_and_test(tmp_path):
    data = load_task(FOLDER, folder_task(tmp_path / "my sounds", parts=("train", "val", "test")))
    assert data.name == "folder-my-sounds"
    (split,) = data.splits
    assert (len(split.train), len(split.valid), len(split.test)) == (12, 12, 12)
    assert all("/train/" in str(data.clips[i].path) for i in split.train)
    assert data.official


def test_own_folder_without_parts_gets_seeded_folds(tmp_path):
    folder_task(tmp_path, parts=("",), each=10)
    data = load_task(FOLDER, tmp_path)
    assert len(data.splits) == 5
    assert not data.official
    for split in data.splits:
        assert sorted(data.clips[i].labels[0] for i in split.test) == ["a", "a", "b", "b"]
    assert load_task(FOLDER, tmp_path) == data


def test_own_folder_with_folds(tmp_path):
    data = load_task(FOLDER, folder_task(tmp_path, parts=("fold1", "fold2", "fold3"), each=2))
    assert [split.name for split in data.splits] == ["fold1", "fold2", "fold3"]
    assert all("fold2" in str(data.clips[i].path) for i in data.splits[0].valid)


@pytest.mark.parametrize(
    ("parts", "message"),
    [(("train",), "no clips in test/<label>/"), (("fold1", "fold2"), "needs at least 3")],
)
def test_own_folder_that_lacks_a_part(tmp_path, parts, message):
    with pytest.raises(UserError, match=message):
        load_task(FOLDER, folder_task(tmp_path, parts=parts, each=1))


@given(st.integers(3, 8), st.integers(0, 100))
def test_kfold_uses_every_clip_once_per_split_and_tests_each_once(count, clips):
    folds = [[i for i in range(clips) if i % count == fold] for fold in range(count)]
    splits = kfold(folds, [str(i) for i in range(count)])
    for number, split in enumerate(splits):
        assert sorted(split.train + split.valid + split.test) == list(range(clips))
        assert split.test == tuple(folds[number])
        assert split.valid == tuple(folds[(number + 1) % count])


@given(st.lists(st.sampled_from("abc"), max_size=60), st.integers(2, 6))
def test_seeded_folds_are_even_and_do_not_depend_on_order(labels, count):
    keys = [f"{label}{number}" for number, label in enumerate(labels)]
    folds = seeded_folds(keys, labels, count)
    assert sorted(i for fold in folds for i in fold) == list(range(len(keys)))
    assert max(map(len, folds)) - min(map(len, folds)) <= 1
    backwards = seeded_folds(keys[::-1], labels[::-1], count)
    assert [{keys[i] for i in fold} for fold in folds] == [{keys[::-1][i] for i in fold} for fold in backwards]


@given(st.integers(1, 30), st.integers(0, 3))
def test_seeded_parts_leave_a_speaker_to_train(speakers, seed):
    groups = [f"s{i}" for i in range(speakers) for _ in range(3)]
    parts = seeded_parts(groups, ["en"] * len(groups), seed)
    assert "train" in parts
    for speaker in set(groups):
        assert len({part for part, group in zip(parts, groups, strict=True) if group == speaker}) == 1


def test_carved_validation_is_a_tenth_of_training():
    keys = [f"clip{i}" for i in range(200)]
    labels = ["a" if i < 100 else "b" for i in range(200)]
    train, valid = carve_validation(range(0, 200, 2), keys, labels)
    assert len(valid) == 10
    assert sorted(train + valid) == list(range(0, 200, 2))
    assert sorted(labels[i] for i in valid) == ["a"] * 5 + ["b"] * 5


@pytest.mark.parametrize(
    ("written", "name"),
    [("ESC-50", "esc50"), ("tfds_crema_d", "cremad"), ("speech_commands", "speechcommands-full"),
     ("SpComm 5h", "speechcommands-5h"), ("GTZAN", "gtzan-music-speech"), ("folder", "folder"),
     ("vox_lingua_top10", "voxlingua10"), ("Flspcomm", "fluent-speech-commands")],
)  # fmt: skip
def test_names_of_tasks(written, name):
    assert find_task(written).name == name


def test_unknown_task_lists_them():
    with pytest.raises(UserError, match="no task 'imagenet'; give one of esc50, fsd50k, .*folder, all"):
        find_task("imagenet")


def test_the_papers_table_has_15_tasks_and_all_fields_are_filled():
    assert len(PAPER) == 15
    assert set(PAPER) <= set(TASKS)
    for task in TASKS.values():
        assert task.licence
        assert task.source
        assert task.readers
        assert task.protocol in ("hear", "hares", "sgd")


def test_default_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUBAV_DATA", raising=False)
    esc50(tmp_path / "data" / "esc50")
    assert str(load_task(find_task("esc50"), None).folder) == "data/esc50"
    esc50(tmp_path / "elsewhere" / "ESC-50-master")
    monkeypatch.setenv("DUBAV_DATA", str(tmp_path / "elsewhere"))
    assert load_task(find_task("esc50"), None).folder == tmp_path / "elsewhere" / "ESC-50-master"


def test_a_root_of_several_datasets(tmp_path):
    esc50(tmp_path / "esc50")
    hear_task(tmp_path / "hear-2021.0.6" / "tasks", name="libricount", version="v1.0.0-hear2021")
    esc50(tmp_path / "of another name" / "ESC-50-master")
    for name in ("go", "no", "right"):  # two of these words look like languages
        sound(tmp_path / "words" / name / "1.wav")
    there = {name: places for name, task in TASKS.items() if (places := places_under(task, tmp_path))}
    assert list(there) == ["esc50", "libricount"]
    assert there["esc50"] == [tmp_path / "esc50", tmp_path / "of another name"]
    assert left_aside([find_task(name) for name in there], tmp_path) == ["words"]
    assert left_aside([find_task("esc50")], tmp_path / "esc50") == []  # what a data set itself consists of
    (tmp_path / "words" / "right").rename(tmp_path / "words" / "fr")
    assert places_under(find_task("voxlingua10"), tmp_path) == [tmp_path / "words"]


def test_missing_sounds_are_named_and_counted(tmp_path):
    data = load_task(find_task("esc50"), esc50(tmp_path))
    for name in ("1-0-A-0.wav", "1-1-A-0.wav", "2-0-A-0.wav", "2-1-A-1.wav"):
        (tmp_path / "audio" / name).unlink()
    expected = "4 of 20 clips of esc50 are missing: audio/1-0-A-0.wav, audio/1-1-A-0.wav, audio/2-0-A-0.wav and 1 more"
    with pytest.raises(UserError, match=expected + ".*--allow-missing"):
        without_missing(data, allow=False)
    smaller = without_missing(data, allow=True)
    assert len(smaller.clips) == 16
    assert smaller.notes == (expected,)
    for split in smaller.splits:
        assert sorted(split.train + split.valid + split.test) == list(range(16))
    assert all("/1-" in str(smaller.clips[i].path) for i in smaller.splits[0].test)


def test_no_sound_at_all_is_an_error_even_when_some_may_lack(tmp_path):
    with pytest.raises(UserError, match="does not hold the dataset's files"):
        without_missing(load_task(find_task("esc50"), esc50(tmp_path, with_sound=False)), allow=True)


def test_an_empty_fold_and_an_untrained_class(tmp_path):
    data = load_task(find_task("esc50"), esc50(tmp_path))
    for path in (tmp_path / "audio").glob("2-*"):
        path.unlink()
    with pytest.raises(UserError, match="fold00 of esc50 has no validation clips"):
        check_parts(without_missing(data, allow=True))
    folder_task(tmp_path / "own", labels=("a", "c"))
    folder_task(tmp_path / "own", parts=("test",), labels=("b",))
    (note,) = check_parts(load_task(FOLDER, tmp_path / "own")).notes
    assert "tested but absent from training: b (classes: 1)" in note


def test_leakage_is_found_by_content(tmp_path):
    folder_task(tmp_path)
    assert find_leaks(load_task(FOLDER, tmp_path)) == []
    shutil.copy(tmp_path / "train" / "a" / "train-a-0.wav", tmp_path / "test" / "b" / "other-name.wav")
    shutil.copy(tmp_path / "train" / "a" / "train-a-1.wav", tmp_path / "train" / "a" / "twice.wav")
    (leak,) = find_leaks(load_task(FOLDER, tmp_path))
    assert {path.rsplit("/", 1)[1] for path in leak.paths} == {"train-a-0.wav", "other-name.wav"}


def test_same_start_middle_and_end_is_not_the_same_content(tmp_path):
    # The quick look reads pieces only; what differs between them has to be found by reading all.
    base = bytearray(1_000_000)
    for part, value in (("train", 0), ("test", 1)):
        base[300_000] = value
        path = touch(tmp_path / part / "a" / f"{part}.wav")
        path.write_bytes(bytes(base))
    assert find_leaks(load_task(FOLDER, tmp_path)) == []


def test_few_shot_draws_are_the_same_for_everybody(tmp_path):
    data = load_task(FOLDER, folder_task(tmp_path, each=8))
    drawn = few_shot(data, 3, 4, seed=0)
    assert [split.name for split in drawn.splits] == [f"test-draw{i}" for i in range(4)]
    for split in drawn.splits:
        assert sorted(data.clips[i].labels[0] for i in split.train) == ["a"] * 3 + ["b"] * 3
        assert split.test == data.splits[0].test
    assert len({split.train for split in drawn.splits}) > 1
    assert few_shot(data, 3, 4, seed=0) == drawn
    assert few_shot(data, 3, 4, seed=1) != drawn
    with pytest.raises(UserError, match="--shots 9: test of .* has 8 training clips of 'a'"):
        few_shot(data, 9, 1, seed=0)


def test_odd_names_in_folders_do_no_harm(tmp_path):
    folder_task(tmp_path)
    sound(tmp_path / "train" / "a" / "été 1,2.wav", seed=99)
    text(tmp_path / "train" / "a" / "notes.txt", "no sound")
    touch(tmp_path / "train" / "a" / ".hidden.wav")
    assert len(load_task(FOLDER, tmp_path).clips) == 25
