"""Each of the paper's 15 data sets as it lies on disk after unpacking, from there to scores, by the command."""

import json

import pytest

from dubcli.cli.app import app
from dubcli.probe.tasks.paper import PAPER
from dubcli.probe.tasks.registry import TASKS
from probe import miniatures


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(task, layout) -> the folder with its miniature, made once."""
    root = tmp_path_factory.mktemp("sets")

    def folder(task, layout="published"):
        home = root / f"{task} {layout}"  # users' folders have spaces in them
        return home if home.exists() else miniatures.make(task, home, layout)

    return folder


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Where features are kept for all tests: they are the same."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def probed(made, features, tmp_path, monkeypatch, capsys):
    """``dubav probe TASK random`` of a miniature in an empty folder -> its last result."""
    monkeypatch.chdir(tmp_path)

    def run(task, layout, *options):
        data = ["--data", made(task, layout), "--features", features]
        with pytest.raises(SystemExit) as end:
            app(["probe", task, "random", *map(str, data), *options, "--preset", "tiny", "--device", "cpu", "--json"])
        out, err = capsys.readouterr()
        assert not end.value.code, err
        results = json.loads(out)["results"]
        assert [one["modality"] for one in results] == MODALITIES.get(task, ["A"])
        return results[-1]

    return run


def test_there_is_a_miniature_of_every_task():
    assert set(miniatures.TASKS) == set(PAPER)
    assert {task for task in TASKS if TASKS[task].hear} == set(miniatures.HEAR)


MODALITIES = {"vggsound": ["A", "V", "AV"], "hmdb51": ["V"], "ucf101": ["V"]}
FAST = ("esc50", "fsd50k")
"""Of HEAR's folders, which differ in little but their numbers of folds."""


@pytest.mark.parametrize(
    ("task", "layout"),
    [(task, "published") for task in miniatures.TASKS]
    + [pytest.param(task, "hear", marks=[] if task in FAST else pytest.mark.slow) for task in miniatures.HEAR],
)
def test_every_data_set_as_unpacked_to_a_score_by_default(task, layout, probed):
    result = probed(task, layout, "--max-steps", "1")
    assert result["protocol"]["name"] == TASKS[task].protocol
    assert result["protocol"]["max_steps"] == 1
    assert result["metric"] == TASKS[task].metric
    assert all(0 <= score <= 1 for score in result["scores"])
    assert not result["data"]["leakage"]
    assert ("HEAR" in result["data"]["layout"]) == (layout == "hear")


@pytest.mark.parametrize(
    ("task", "layout"), [(task, layout) for task in miniatures.TASKS for layout in miniatures.layouts(task)]
)
def test_labels_fit_clips(task, layout, probed):
    """Logistic regression finds the tones that the labels stand for (and motion a little)."""
    result = probed(task, layout, "--protocol", "logreg")
    assert result["mean"] > (0.9 if "audio" in TASKS[task].modalities else 0.6)


KINDS = {  # of splits and labels: how many splits, whether a part of training validates
    "esc50": (5, False),
    "fsd50k": (1, False),
    "fluent-speech-commands": (1, False),
    "libricount": (5, False),
    "voxforge": (1, False),
    "tut18": (1, True),
    "hmdb51": (3, True),
}


@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize(
    "protocol",
    [
        "hares",
        "sgd",
        "knn",
        pytest.param("linear", marks=pytest.mark.slow),
        pytest.param("hear", marks=pytest.mark.slow),
    ],
)
def test_every_protocol_on_every_kind_of_split(protocol, task, probed):
    """Folds; train, valid and test; folds and parts made here; without validation; several labels; several outputs."""
    splits, carved = KINDS[task]
    result = probed(task, "published", "--protocol", protocol, "--max-steps", "2")
    assert result["protocol"]["name"] == protocol
    assert len(result["scores"]) == splits
    assert all(0 <= score <= 1 for score in result["scores"])
    chooses = protocol not in ("hares", "sgd")
    assert any("a seeded tenth" in note for note in result["data"]["notes"]) == (carved and chooses)
