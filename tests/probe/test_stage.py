"""``probe`` as a notebook and as users call it, on small sets made here."""

import json
import shutil

import numpy as np
import pytest

from dubcli.cli.app import app
from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.trained import random_trained
from dubcli.embed import EmbedConfig, Embedder, embed
from dubcli.errors import UserError
from dubcli.probe import ProbeConfig, probe
from dubcli.probe.stage import probe_tasks
from probe.layouts import esc50, folder_task, hear_task
from probe.test_features import kit_folder


class Ear:
    """A progress that remembers its messages."""

    def __init__(self):
        self.heard = []

    def message(self, text):
        self.heard.append(text)

    def start(self, *_, **__):
        pass

    update = finish = start


@pytest.fixture
def config(tmp_path):
    def make(data, **options):
        defaults = {"out": tmp_path / "results", "preset": "tiny", "protocol": "logreg", "device": "cpu"}
        return ProbeConfig(data=data, **{**defaults, **options})

    return make


def content(path):
    def strict(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(), parse_constant=strict)


@pytest.fixture
def own(tmp_path):
    return folder_task(tmp_path / "own", each=8)


def test_tones_are_told_apart_and_the_result_says_how(own, config, tmp_path):
    (result,) = probe("folder", "random", config(own))
    assert result.model == "random-seed0-tiny"
    assert result.mean > 0.9
    path = tmp_path / "results" / "folder-own" / "random-seed0-tiny.json"
    written = content(path)
    assert written["task"] == "folder-own"
    assert written["data"]["layout"].startswith("folder")
    assert written["identity"]["protocol"] == "logreg"
    assert len(written["features"]["content_hash"]) == 64
    with np.load(path.with_suffix(".predictions.npz"), allow_pickle=False) as predictions:
        assert predictions.files


def test_a_result_that_is_there_is_not_computed_again(own, config, monkeypatch):
    (first,) = probe("folder", "random", config(own))
    ear = Ear()
    monkeypatch.setattr(Embedder, "features", lambda *_: pytest.fail("embedded again"))
    monkeypatch.setattr("dubcli.probe.stage.run_protocol", lambda *_, **__: pytest.fail("trained again"))
    (again,) = probe("folder", "random", config(own), ear)
    assert again.mean == first.mean
    assert "is there already; --again computes it again" in ear.heard[-1]


def test_another_protocol_or_other_weights_under_the_name_are_refused(own, config, tmp_path):
    for seed in (1, 2):
        trained = random_trained(seed, "tiny")
        state = model_entries(trained.model, mel_mean=-4.0, mel_std=4.0, config={})
        save_checkpoint(tmp_path / "efj" / "ckpt.pt", state)
        if seed == 1:
            (first,) = probe("folder", str(tmp_path / "efj"), config(own))
            assert first.model == "efj-ckpt"
            with pytest.raises(UserError, match="protocol logreg, now it is knn; --again"):
                probe("folder", str(tmp_path / "efj"), config(own, protocol="knn"))
    with pytest.raises(UserError, match="content_hash .*, now it is .*--again replaces it, another --out keeps both"):
        probe("folder", str(tmp_path / "efj"), config(own))
    probe("folder", str(tmp_path / "efj"), config(own, again=True))


def test_several_models_share_the_datas_checks(own, config):
    ear = Ear()
    shutil.copy(own / "train" / "a" / "train-a-0.wav", own / "test" / "b" / "x.wav")
    results = probe("folder", ["random", "random:1"], config(own), ear)
    assert [result.model for result in results] == ["random-seed0-tiny", "random-seed1-tiny"]
    assert sum("leakage" in text for text in ear.heard) == 1
    assert content(results[0].path)["data"]["leakage"][0]["split"] == "test"


def test_few_shot_results_have_a_name_of_their_own(own, config):
    results = probe("folder", "random", config(own, shots=(1, 4), draws=3))
    assert [result.model for result in results] == ["random-seed0-tiny-1shot", "random-seed0-tiny-4shot"]
    written = content(results[1].path)
    assert "4 training clips per class, 3 draws" in written["data"]["notes"]


def test_all_runs_what_it_finds_and_tells_what_failed(config, tmp_path):
    root = tmp_path / "datasets"
    esc50(root / "esc50", each=3)
    (root / "libricount").mkdir()
    hear_task(root / "hear-2021.0.6" / "tasks", name="tfds_crema_d", version="1.0.0", labels=("a", "b"), each=6)
    results, failures = probe_tasks("all", ["random"], config(root), Ear())
    assert {result.task for result in results} == {"esc50", "cremad"}
    assert set(failures) == {"libricount random-seed0-tiny"}
    with pytest.raises(UserError, match="no task's data is in"):
        probe("all", "random", config(tmp_path / "own-nothing"))


def test_nospeech_is_another_task_in_the_results(own, config, tmp_path):
    shutil.copytree(own, tmp_path / "own-nospeech")
    (result,) = probe("folder", "random", config(own, data_kind="nospeech"))
    assert result.path == tmp_path / "results" / "folder-own-nospeech" / "random-seed0-tiny.json"


def test_embeddings_of_the_kit_are_probed_without_sounds(config, tmp_path):
    task = hear_task(tmp_path / "tasks", each=6)
    kit_folder(task, tmp_path / "embeddings" / "hearbaseline" / task.name)
    shutil.rmtree(tmp_path / "tasks")
    (result,) = probe("esc50", f"features:{tmp_path / 'embeddings' / 'hearbaseline'}", config(None))
    assert (result.task, result.model) == ("esc50", "features-hearbaseline")
    (one,) = probe("esc50", f"features:{tmp_path / 'embeddings' / 'hearbaseline' / task.name}", config(None))
    assert one.model == "features-hearbaseline"
    results, failures = probe_tasks("all", [f"features:{tmp_path / 'embeddings' / 'hearbaseline'}"],
                                    config(tmp_path), Ear())  # fmt: skip
    assert [result.task for result in results] == ["esc50"]
    assert not failures


def test_missing_sounds_stop_unless_allowed(config, tmp_path):
    esc50(tmp_path / "esc50", each=3)
    (tmp_path / "esc50" / "audio" / "1-0-A-0.wav").unlink()
    (tmp_path / "esc50" / "audio" / "2-0-A-0.wav").write_text("no sound")
    with pytest.raises(UserError, match="1 of 30 clips of esc50 are missing: audio/1-0-A-0.wav"):
        probe("esc50", "random", config(tmp_path / "esc50"))
    (result,) = probe("esc50", "random", config(tmp_path / "esc50", allow_missing=True))
    data = content(result.path)["data"]
    assert data["clips"] == 28
    assert any("1 of 29 clips of esc50 are unusable: audio/2-0-A-0.wav (" in note for note in data["notes"])


def test_features_of_embed_need_no_sounds(config, tmp_path):
    data = esc50(tmp_path / "esc50", each=3)
    features = tmp_path / "features"
    embed(data / "audio", Embedder("random", preset="tiny", device="cpu"), features, EmbedConfig(modalities=("audio",)))
    (computed,) = probe("esc50", "random", config(data))
    for path in (data / "audio").glob("*.wav"):
        path.unlink()
    (result,) = probe("esc50", f"features:{features}", config(data))
    assert result.model == "features-features"
    assert result.mean == pytest.approx(computed.mean, abs=0.05)
    (data / "meta" / "esc50.csv").open("a").write("1-9-A-0.wav,1,0,dog,False,9,A\n")
    with pytest.raises(UserError, match=r"1 of 31 clips .* unusable: audio/1-9-A-0.wav \(not among the features\)"):
        probe("esc50", f"features:{features}", config(data, again=True))


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run the command in this process, in an empty folder: ``command("esc50", "random") -> (status, out, err)``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DUBAV_DATA", raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app(["probe", *map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return run


def test_command_line(command, own):
    arguments = ("folder", "random", "--data", own, "--preset", "tiny", "--protocol", "logreg")
    status, out, err = command(*arguments, "--json")
    assert status == 0, err
    (result,) = json.loads(out)["results"]
    assert result["model"] == "random-seed0-tiny"
    status, out, err = command(*arguments)
    assert status == 0
    assert "random-seed0-tiny" in out
    assert "is there already" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("esc50", "ckpt.pt"), "checkpoint ckpt.pt is not there; train one with dubav pretrain"),
        (("esc50", "random"), "no data for ESC-50: looked at $DUBAV_DATA/esc50, data/esc50; get it from"),
        (("imagenet", "random"), "there is no task 'imagenet'"),
        (("esc50",), "give a task and a model"),
        (("folder", "random"), "say with --data"),
        (("esc50", "random", "--data", "nowhere"), "nowhere is not there; give the folder of ESC-50"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(command, arguments, message):
    status, out, err = command(*arguments)
    assert status == 2
    assert err.startswith("dubav: ")
    assert message in err
    assert err.count("\n") == 1
    assert not out


def test_list(command):
    status, out, err = command("--list", "--json")
    assert status == 0, err
    tasks = json.loads(out)["tasks"]
    assert [row["task"] for row in tasks][:2] == ["esc50", "fsd50k"]
    assert all(row["licence"] and row["source"] for row in tasks)
    assert "vocalimitation: multilabel in table B5, multiclass on disk" in command("--list")[1]


def test_hears_pitch_tasks_count_octaves_apart_and_together_and_unknown_metrics_are_told(config, tmp_path):
    evaluation = ("pitch_acc", "chroma_acc", "onset_fms")
    splits = ["train", "valid", "test"]
    home = hear_task(tmp_path / "tasks", name="nsynth_pitch", splits=splits, each=6, evaluation=evaluation)
    for path in (*home.glob("t*.json"), home / "valid.json", home / "labelvocabulary.csv"):
        if path.name != "task_metadata.json":
            path.write_text(path.read_text().replace('"a"', '"60"').replace('"b"', '"72"')
                            .replace(",a", ",60").replace(",b", ",72"))  # fmt: skip
    (result,) = probe("folder", "random", config(home))
    metrics = result.content["metrics"]
    assert list(metrics) == ["pitch_acc", "chroma_acc"]
    assert metrics["chroma_acc"]["mean"] == 1.0  # 60 and 72 are an octave apart
    assert 0.5 <= metrics["pitch_acc"]["mean"] <= 1
    assert result.interval is not None
    assert "metrics that are not computed here: onset_fms" in result.content["data"]["notes"]


@pytest.mark.parametrize("protocol", ["knn", "linear"])
def test_a_perfect_d_prime_is_infinite_and_said_to_be(command, tmp_path, protocol):
    """Where d' decides and separates a split perfectly, the command ended in a traceback."""
    home = hear_task(tmp_path / "tasks", folds=3, each=6, evaluation=("d_prime", "top1_acc"))
    status, out, err = command(
        "folder", "random", "--data", home, "--preset", "tiny", "--protocol", protocol, "--max-steps", 150
    )
    assert status == 0, err
    assert "d_prime" in out
    assert " infinite " in out
    (path,) = (tmp_path / "results" / "esc50").glob("*.json")
    written = content(path)
    assert written["mean"] == written["metrics"]["d_prime"]["mean"] == "Infinity"
    assert written["metrics"]["d_prime"]["infinite_splits"] == 3
    assert (written["std"], written["interval"]) == (None, None)
    assert float(written["scores"][0]) == float("inf")


def test_a_deciding_metric_that_is_not_defined_is_no_traceback(command, tmp_path):
    home = hear_task(tmp_path / "tasks", folds=3, each=6, evaluation=("aucroc",), labels=("a", "b", "c"))
    listed = json.loads((home / "fold00.json").read_text())  # without c
    (home / "fold00.json").write_text(json.dumps({name: ["ab"[place % 2]] for place, name in enumerate(listed)}))
    arguments = ("folder", "random", "--data", home, "--preset", "tiny", "--protocol", "logreg")
    status, out, err = command(*arguments)
    assert (status, "undefined" in out) == (0, True), err
    (path,) = (tmp_path / "results" / "esc50").glob("*.json")
    assert (content(path)["mean"], content(path)["metrics"]["aucroc"]["undefined_splits"]) == (None, 1)
    assert command(*arguments)[0] == 0  # read again
