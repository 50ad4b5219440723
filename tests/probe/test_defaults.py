"""Tasks without a published validation set, from the data as published to a score under their default protocols."""

import json

import pytest

from dubcli.cli.app import app
from dubcli.errors import UserError
from dubcli.probe import ProbeConfig, probe
from dubcli.probe.stage import probe_tasks
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import find_task
from helpers.containers import Track, make_film
from probe.layouts import TONES, esc50, folder_task, sound, text, touch


def film(path, number, tracks=()):
    """A second of moving picture, another for each number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"size": (64, 48), "seconds": 1.0, "fps": 8, "flashes": range(number), "tracks": list(tracks)}
    make_film(path, **options)


def tut18(root):
    rows, parts = [], {"train": [], "evaluate": []}
    for label, tone in (("airport", "a"), ("bus", "b"), ("metro", "c")):
        for number in range(4):
            name = f"audio/{label}-{number}.wav"
            sound(root / name, tone=TONES[tone], seconds=1.0, seed=len(rows))
            rows.append(f"{name}\t{label}\t{number}\ta")
            parts["train" if number < 3 else "evaluate"].append(f"{name}\t{label}")
    text(root / "meta.csv", "filename\tscene_label\tidentifier\tsource_label", *rows)
    for part, lines in parts.items():
        text(root / "evaluation_setup" / f"fold1_{part}.txt", *lines)


def ucf101(root):
    names = [f"{action}/v_{action}_g0{group}_c01.avi" for action in ("Archery", "Biking") for group in (1, 2, 3)]
    for number, name in enumerate(names):
        film(root / "UCF-101" / name, number)
    for split in (1, 2, 3):
        test = [name for name in names if f"_g0{split}_" in name]
        train = [f"{name} {1 + (name > 'B')}" for name in names if name not in test]
        text(root / "ucfTrainTestlist" / f"trainlist0{split}.txt", *train)
        text(root / "ucfTrainTestlist" / f"testlist0{split}.txt", *test)


def hmdb51(root):
    for first, action in enumerate(("clap", "brush_hair")):
        marks = {split: [] for split in (1, 2, 3)}
        for number in range(4):
            name = f"#{number}_(x)_{action}_u_nm_np1_fr_goo_{number}.avi"
            film(root / action / action / name, 4 * first + number)
            for split, lines in marks.items():
                lines.append(f"{name} {2 if number == split else 1} ")
        for split, lines in marks.items():
            text(root / "testTrainMulti_7030_splits" / f"{action}_test_split{split}.txt", *lines)


def vggsound(root):
    rows = []
    for first, label in enumerate(("dog barking", "rain, on a roof")):
        for number in range(3):
            film(root / "video" / f"-bcdefghij{first}_{number:06d}.mp4", 3 * first + number, [Track(codec="aac")])
            rows.append(f'-bcdefghij{first},{number},"{label}",{"test" if number == 2 else "train"}')
    text(root / "vggsound.csv", *rows)


@pytest.mark.parametrize(
    ("make", "protocol", "splits"),
    [(tut18, "hares", 1), (ucf101, "sgd", 3), (hmdb51, "sgd", 3), (vggsound, "sgd", 1)],
)
def test_default_protocols_score_data_without_validation(make, protocol, splits, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "data")
    with pytest.raises(SystemExit) as end:
        app(["probe", make.__name__, "random", "--preset", "tiny", "--data", "data", "--max-steps", "200", "--json",
             "--device", "cpu"])  # fmt: skip
    out, err = capsys.readouterr()
    assert not end.value.code, err
    (result,) = json.loads(out)["results"]
    assert result["protocol"]["name"] == result["identity"]["protocol"] == protocol
    assert result["protocol"]["max_steps"] == 200
    assert len(result["scores"]) == splits
    assert all(0 <= score <= 1 for score in result["scores"])


@pytest.mark.parametrize("protocol", ["hear", "linear", "logreg", "knn"])
def test_protocols_that_choose_get_a_tenth_of_training(protocol, tmp_path):
    tut18(tmp_path / "data")
    config = ProbeConfig(
        data=tmp_path / "data", out=tmp_path, preset="tiny", protocol=protocol, device="cpu", max_steps=9
    )
    (result,) = probe("tut18", "random", config)
    assert any("a seeded tenth of the training clips validates" in note for note in result.content["data"]["notes"])


def test_max_steps_shorten_training_and_are_part_of_what_a_result_is(tmp_path):
    folder_task(tmp_path / "own")
    config = {"data": tmp_path / "own", "out": tmp_path, "preset": "tiny", "protocol": "sgd", "device": "cpu"}
    (short,) = probe("folder", "random", ProbeConfig(**config, max_steps=1))
    with pytest.raises(UserError, match="made with max_steps 1, now it is 150"):
        probe("folder", "random", ProbeConfig(**config, max_steps=150))
    (longer,) = probe("folder", "random", ProbeConfig(**config, max_steps=150, again=True))
    assert longer.content["protocol"]["max_steps"] == 150
    assert longer.content["metrics"] != short.content["metrics"]
    with pytest.raises(UserError, match="--max-steps is 0; give 1 or more"):
        ProbeConfig(max_steps=0)


def test_all_survives_a_bug_in_one_task(tmp_path, monkeypatch, capsys):
    tut18(tmp_path / "data" / "tut18")
    esc50(tmp_path / "data" / "esc50", each=3)

    def broken(problem, *_):
        if problem.name == "esc50":
            raise ZeroDivisionError("in a protocol\nwith two lines")
        return run(problem, *_)

    from dubcli.probe import stage

    run = stage.run_protocol
    monkeypatch.setattr(stage, "run_protocol", broken)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        app(["probe", "all", "random", "--preset", "tiny", "--data", "data", "--protocol", "logreg", "--device", "cpu"])
    out, err = capsys.readouterr()
    assert end.value.code == 1
    assert "tut18" in out
    assert "failed: esc50 random-seed0-tiny: unexpected ZeroDivisionError: in a protocol (its traceback is in " in err
    assert "Traceback" not in err
    (kept,) = (tmp_path / "results" / "esc50").glob("*.traceback.txt")
    assert "with two lines" in kept.read_text()


def test_one_class_is_refused_before_embedding(tmp_path, monkeypatch):
    monkeypatch.setattr("dubcli.probe.models.checkpoint_features", lambda *_: pytest.fail("embedded"))
    folder_task(tmp_path / "own", labels=("a",))
    with pytest.raises(UserError, match=r"all 12 clips of folder-own have the same label \(a\) in .*at least two"):
        probe("folder", "random", ProbeConfig(data=tmp_path / "own", out=tmp_path, preset="tiny"))
    _, failures = probe_tasks(
        "all", ["random"], ProbeConfig(data=_one_emotion(tmp_path / "sets"), preset="tiny"), Ear()
    )
    assert "all 10 clips of cremad have the same label (ANG)" in failures["cremad random-seed0-tiny"]


class Ear:
    def message(self, _):
        pass

    start = update = finish = message


def _one_emotion(root):
    for actor in range(1001, 1011):
        text(root / "CREMA-D" / "AudioWAV" / f"{actor}_DFA_ANG_XX.wav", "no sound, not looked into")
    return root


@pytest.mark.parametrize(
    ("task", "name"),
    [("gtzan", "music/m{}.wav speech/s{}.wav"), ("cremad", "AudioWAV/10{}_DFA_ANG_XX.wav AudioWAV/10{}_DFA_SAD_XX.wav"),
     ("voxlingua10", "en/a{}.wav fr/b{}.wav"), ("libricount", "1_{}.wav 2_{}.wav"), ("folder", "a/{}.wav b/{}.wav")],
)  # fmt: skip
def test_what_macos_leaves_beside_files_is_no_clip(task, name, tmp_path):
    for number in range(10, 22):
        for path in name.format(number, number).split():
            touch(tmp_path / path)
            touch((tmp_path / path).with_name(f"._{(tmp_path / path).name}"))
            touch((tmp_path / path).with_suffix(".json"))
    assert len(load_task(find_task(task), tmp_path).clips) == 24


@pytest.mark.parametrize(
    "pattern", ["{id}_{s:06d}.mp4", "{id}_{s}.MP4", "{id}_{s}_{e}.mkv", "{id}_{ms}_{me}.mp4", "{id}.webm"]
)
@pytest.mark.parametrize("table", ["vggsound.csv", "data/vggsound.csv"])
def test_vggsounds_names_as_downloaders_give_them(pattern, table, tmp_path):
    rows = []
    for number, video in enumerate(("---g-f_I2yQ", "_5fPTvBvLqo", "00a2VKyjlmQ")):
        start = 30 * number
        name = pattern.format(id=video, s=start, e=start + 10, ms=1000 * start, me=1000 * (start + 10))
        touch(tmp_path / "zz" / name)
        touch((tmp_path / "aa" / name).with_suffix(".wav"))  # the sound taken out, in a folder that comes first
        rows.append(f"{video},{start},label {number % 2},{'test' if number else 'train'}")
    text(tmp_path / table, *rows)
    data = load_task(find_task("vggsound"), tmp_path)
    assert {clip.path.parent.name for clip in data.clips} == {"zz"}


def test_ucf101_with_its_lists_two_folders_down(tmp_path):
    ucf101(tmp_path / "made")
    (tmp_path / "made" / "ucfTrainTestlist").rename(tmp_path / "lists")
    (tmp_path / "made" / "UCF101TrainTestSplits-RecognitionTask").mkdir()
    (tmp_path / "lists").rename(tmp_path / "made" / "UCF101TrainTestSplits-RecognitionTask" / "ucfTrainTestlist")
    for path in (tmp_path / "made").rglob("*.avi"):
        path.rename(path.with_suffix(".mp4"))
    data = load_task(find_task("ucf101"), tmp_path / "made")
    assert all(clip.path.is_file() for clip in data.clips)
    assert len(data.clips) == 6
