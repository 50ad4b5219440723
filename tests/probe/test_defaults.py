"""Data without a validation set, shortened training, bugs in one of many tasks, what is no clip."""

import pytest

from dubcli.cli.app import app
from dubcli.errors import UserError
from dubcli.probe import ProbeConfig, probe
from dubcli.probe.stage import probe_tasks
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import find_task
from probe.layouts import esc50, folder_task, text, touch
from probe.miniatures import tut18


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
    monkeypatch.setattr("dubcli.probe.probed.checkpoint_features", lambda *_: pytest.fail("embedded"))
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
