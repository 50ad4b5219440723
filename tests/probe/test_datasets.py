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


@pytest.fixture
def probed(tmp_path, monkeypatch, capsys):
    """``dubav probe`` in an empty folder -> (status, results, err)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app(["probe", *map(str, arguments), "--preset", "tiny", "--device", "cpu", "--json"])
        out, err = capsys.readouterr()
        return end.value.code or 0, json.loads(out)["results"] if out else [], err

    return run


def test_there_is_a_miniature_of_every_task():
    assert set(miniatures.TASKS) == set(PAPER)
    assert {task for task in TASKS if TASKS[task].hear} == set(miniatures.HEAR)


FAST = ("esc50", "fsd50k")
"""Of HEAR's folders, which differ in little but their numbers of folds."""


@pytest.mark.parametrize(
    ("task", "layout"),
    [(task, "published") for task in miniatures.TASKS]
    + [pytest.param(task, "hear", marks=[] if task in FAST else pytest.mark.slow) for task in miniatures.HEAR],
)
def test_every_data_set_as_unpacked_to_a_score_by_default(task, layout, made, probed):
    status, results, err = probed(task, "random", "--data", made(task, layout), "--max-steps", 1)
    assert status == 0, err
    (result,) = results
    assert result["protocol"]["name"] == TASKS[task].protocol
    assert result["metric"] == TASKS[task].metric
    assert all(0 <= score <= 1 for score in result["scores"])
    assert not result["data"]["leakage"]
    assert ("HEAR" in result["data"]["layout"]) == (layout == "hear")


@pytest.mark.parametrize(
    ("task", "layout"), [(task, layout) for task in miniatures.TASKS for layout in miniatures.layouts(task)]
)
def test_labels_fit_clips(task, layout, made, probed):
    """Logistic regression finds the tones that the labels stand for (and motion a little)."""
    status, (result,), err = probed(task, "random", "--data", made(task, layout), "--protocol", "logreg")
    assert status == 0, err
    assert result["mean"] > (0.9 if "audio" in TASKS[task].modalities else 0.6)
