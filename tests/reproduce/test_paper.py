"""The whole paper in miniature: films with four sound tracks, eight models, fifteen data sets, every table and figure.

All of it by one command, ended in its middle twice: by an error of one step, and by SIGKILL.
"""

import csv
import json
import signal
import subprocess
import sys

import pytest

from dubcli.cli.app import app
from dubcli.reproduce.plan import PAPER_VARIANTS
from helpers.containers import Track, make_film
from helpers.runs import environment
from helpers.separation import fast_demucs, save_model
from helpers.waiting import wait_until
from probe import miniatures

pytestmark = pytest.mark.slow

PLAN = """
out = "study"

[films]
sources = ["films"]
workers = 1

[separate]
model = "fast"
model_repo = "models"
trust_models = true
device = "cpu"

[pretrain]
preset = "minute"
epochs = 2
batch_size = 2
k = 2
gpus = 0
loader_workers = 0

[probe]
data = "datasets"
epochs = [1]
max_steps = 2
device = "cpu"

[nospeech]

[slurm]
partition = "gpu"
"""
FILM_LANGUAGES = ("eng", "spa", "fra", "jpn")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The plan, the films, the data sets as unpacked, and a small separation model in place of Demucs."""
    folder = tmp_path_factory.mktemp("paper")
    (folder / "films").mkdir()
    for film in range(2):
        tracks = [Track(language, seed=10 * film + number) for number, language in enumerate(FILM_LANGUAGES)]
        make_film(folder / "films" / f"film{film}.mkv", tracks=tracks, flashes=[film])
    for task in miniatures.TASKS:
        miniatures.make(task, folder / "datasets" / task)
    (folder / "models").mkdir()
    save_model(fast_demucs(1), folder / "models", "fast")
    (folder / "plan.toml").write_text(PLAN)
    return folder


def run(*arguments, capsys):
    with pytest.raises(SystemExit) as end:
        app(["reproduce", *map(str, arguments)])
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


def test_from_films_to_tables(home, capsys):
    plan = home / "plan.toml"
    status, out, _ = run(plan, "--list", capsys=capsys)
    assert status == 0
    assert "missing" not in out
    # killed while it trains: the command as people start it, in a process of its own
    command = [sys.executable, "-c", "import helpers.runs; helpers.runs.app()", "reproduce", str(plan), "--quiet"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_until((home / "study" / "runs" / "mono" / "ckpt.pt").exists, process)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors

    status, out, err = run(plan, "--quiet", "--json", capsys=capsys)
    found = json.loads(out)
    assert status == 0, (found["failed"], found["missing"], err)
    assert set(found["steps"].values()) == {"done"}
    check_models(home / "study" / "runs")
    check_results(home / "study" / "results")
    check_report(home / "study" / "report")

    status, out, err = run(plan, "--quiet", "--json", capsys=capsys)
    assert status == 0
    assert json.loads(out)["ran"] == []
    status, out, err = run(plan, "--emit", "slurm", home / "jobs", capsys=capsys)
    assert (status, out, err) == (0, f"all {len(found['steps'])} steps are done: there are no jobs to write\n", "")
    assert not (home / "jobs").exists()


def check_models(runs):
    assert {path.name for path in runs.iterdir()} == set(PAPER_VARIANTS)
    configs = [json.loads((runs / name / "config.json").read_text()) for name in PAPER_VARIANTS]
    assert len({config["film_set"] for config in configs}) == 1
    for config in configs:
        assert (config["train_films"], config["epochs"]) == (2, 2)


def check_results(results):
    for task in miniatures.TASKS:
        seen = {path.stem for path in (results / task).glob("*.json")}
        video = task in ("vggsound", "hmdb51", "ucf101")
        models = [name for name in PAPER_VARIANTS if not (video and name in ("a", "a-efj"))]
        last = {f"{name}-ckpt" for name in models} | {"random-seed0-minute"}
        if task == "vggsound":
            last = {f"{name}-{modality}" for name in last for modality in ("a", "v", "av")}
        assert last <= seen, task
        early = {f"{name}-epoch-01" for name in models} if task in miniatures.HEAR else set()
        assert seen == last | early, task
    without = {path.stem for path in (results / "fluent-speech-commands-nospeech").glob("*.json")}
    assert without == {f"{name}-ckpt" for name in ("mono", "es", "ja", "fr", "efj", "sep")} | {"random-seed0-minute"}


def rows(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def check_report(report):
    names = {path.stem for path in report.iterdir()}
    assert {"table1", "table2", "tableA1", "tableA2", "tableA3", "tableB4", "tableB1", "tableD6", "durations",
            "comparisons"} <= names  # fmt: skip
    assert {f"epochs-{task}" for task in miniatures.HEAR} <= names  # figure C2
    tables = {name: rows(report / f"{name}.csv") for name in ("table1", "table2")}
    assert [len(found) for found in tables.values()] == [8 + 2, 7]  # VGGSound by sound, by video and by both
    for row in (*tables["table1"], *tables["table2"]):
        empty = {name for name in PAPER_VARIANTS if row[name] == "-"}
        assert empty == ({"a", "a-efj"} if row["task"] in ("vggsound", "hmdb51", "ucf101") else set())
    assert len(rows(report / "tableB4.csv")) == 7
    assert {row["model"] for row in rows(report / "tableD6.csv")} >= {"mono", "efj", "sep"}
    tests = rows(report / "comparisons.csv")
    assert len(tests) == 12 * 7 + (3 + 2) * 5  # every variant against mono on every task it can do
    assert "NOT TRAINED ON THE SAME FILMS" not in (report / "report.md").read_text()
