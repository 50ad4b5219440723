"""A plan of two models and two tasks: what is listed, done, gone on with, done again, and how its jobs look."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dubcli.cli.app import app
from dubcli.errors import UserError
from dubcli.reproduce import read_plan, reproduce
from dubcli.reproduce.estimate import Estimate
from dubcli.reproduce.plan import PAPER_VARIANTS, NospeechPlan
from dubcli.reproduce.stage import outline
from helpers import runs  # has the preset
from helpers.caches import make_cache
from helpers.waiting import HOPELESS_SECONDS, wait_until
from probe.layouts import esc50
from probe.test_defaults import tut18

PLAN = """
out = "study"
[films]
cache = "cache"
[pretrain]
variants = ["mono", "es"]
preset = "minute"
epochs = {epochs}
batch_size = 2
k = 2
gpus = 0
val_fraction = 0.0
loader_workers = 0
save_minutes = 100.0
log_every = 1
[probe]
tasks = ["esc50", "tut18", "vggsound"]
epoch_tasks = ["esc50"]
epochs = [1, 2]
max_steps = 5
device = "cpu"
protocols = {{ esc50 = "logreg" }}
[probe.data]
esc50 = "sets/esc50"
tut18 = "sets/tut18"
{more}
"""


def write(folder, *, epochs=2, more=""):
    path = folder / "plan.toml"
    path.write_text(PLAN.format(epochs=epochs, more=more))
    return path


class Told:
    def __init__(self):
        self.messages = []

    def start(self, *_, **__):
        pass

    update = finish = start

    def message(self, text):
        self.messages.append(text)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The plan, what was listed before, and what it told when it was done."""
    folder = tmp_path_factory.mktemp("paper")
    make_cache(folder / "cache", films=2, clips=2, languages=("en", "es"))
    esc50(folder / "sets" / "esc50")
    tut18(folder / "sets" / "tut18")
    plan = read_plan(write(folder))
    before = outline(plan)
    told = Told()
    return folder, before, reproduce(plan, told), told


def names(states, state):
    return [found.step.name for found in states if found.state == state]


def test_the_list_before_anything_is_done(study):
    _, before, _, _ = study
    assert names(before, "to do") == ["pretrain/mono", "pretrain/es", "probe/esc50/random", "probe/tut18/random"]
    assert names(before, "missing") == ["probe/vggsound/random", "probe/vggsound/mono", "probe/vggsound/es"]
    waiting = names(before, "waits")
    assert waiting == [
        "probe/esc50/mono", "probe/esc50/es", "probe/tut18/mono", "probe/tut18/es",
        "probe/esc50/mono-epoch-01", "probe/esc50/es-epoch-01",
    ]  # fmt: skip
    (why,) = {state.why for state in before if state.state == "missing"}
    assert "VGGSound" in why
    assert "robots.ox.ac.uk" in why


def test_everything_that_can_be_done_is_done(study):
    folder, _, summary, _ = study
    assert not summary.failed
    assert len(summary.ran) == summary.done == 10
    assert summary.exit_status == 1  # a data set is missing
    out = folder / "study"
    assert {path.name for path in (out / "runs").iterdir()} == {"mono", "es"}
    assert {path.stem for path in (out / "results" / "esc50").glob("*.json")} == {
        "random-seed0-minute", "mono-ckpt", "es-ckpt", "mono-epoch-01", "es-epoch-01",
    }  # fmt: skip
    assert json.loads((out / "results" / "esc50" / "mono-ckpt.json").read_text())["protocol"]["name"] == "logreg"
    report = (out / "report" / "report.md").read_text()
    for title in ("Table 1", "Table A1", "Table A3", "Table B4", "Figure B1", "Paired tests"):
        assert title in report
    tests = (out / "report" / "comparisons.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in tests[1:]] == ["esc50", "tut18"]
    assert "epochs-esc50" in report  # figure C2


def test_what_is_done_is_not_done_again(study):
    folder, _, _, _ = study
    told = Told()
    again = reproduce(read_plan(write(folder)), told)
    assert again.ran == []
    (missing,) = told.messages
    assert missing.startswith("missing: the data of VGGSound: get it from https://www.robots.ox.ac.uk/")
    assert missing.endswith("(3 steps wait for it)")
    (folder / "study" / "results" / "tut18" / "es-ckpt.json").unlink()
    assert reproduce(read_plan(write(folder)), told).ran == ["probe/tut18/es"]


assert "minute" in runs.PRESETS


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        app(["reproduce", *map(str, arguments)])
    return end.value.code or 0


def test_results_say_which_films_and_readings_their_models_have(study):
    folder, _, _, _ = study
    config = json.loads((folder / "study" / "runs" / "es" / "config.json").read_text())
    found = json.loads((folder / "study" / "results" / "esc50" / "es-ckpt.json").read_text())
    assert found["features"]["film_set"] == config["film_set"] != ""
    assert found["features"]["epochs"] == 2
    assert found["features"]["readings"]["randaugment"] == "torchvision"
    assert found["identity"]["chunks"] == "half"


def test_how_long_the_rest_takes_is_measured(study, tmp_path, capsys):
    folder, _, _, _ = study
    shutil.copytree(folder, tmp_path / "paper")
    plan = write(tmp_path / "paper")
    (tmp_path / "paper" / "study" / "steps" / "pretrain--es.json").unlink()
    shutil.rmtree(tmp_path / "paper" / "study" / "runs" / "es")
    assert run(plan, "--list", "--json") == 0
    left = json.loads(capsys.readouterr().out)["left"]
    mono = json.loads((tmp_path / "paper" / "study" / "steps" / "pretrain--mono.json").read_text())["seconds"]
    assert left["seconds"] > mono  # of es as mono took, and its probes as those of others
    assert left["not_measured"] == {}
    shutil.rmtree(tmp_path / "paper" / "study")  # nothing was done: some steps are trained and thrown away
    assert run(plan, "--list", "--json") == 0
    left = json.loads(capsys.readouterr().out)["left"]
    assert left["seconds"] > 0
    assert left["not_measured"] == {"probe": 8}
    assert not (tmp_path / "paper" / "study").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_trains_saves_and_the_same_call_goes_on(study, tmp_path, number):
    folder, _, _, _ = study
    for name in ("cache", "sets"):
        (tmp_path / name).symlink_to(folder / name)
    plan = read_plan(write(tmp_path))
    only = ["pretrain/mono"]
    stopped = reproduce(plan, runs.SignalAfter(1, number), only=only)
    assert stopped.stopped_by == number
    assert stopped.exit_status != 0
    states = {state.step.name: state for state in outline(plan)}
    assert states["pretrain/mono"].state == "to do"
    assert states["pretrain/mono"].mark.spent_seconds > 0
    told = Told()
    assert reproduce(plan, told, only=only).ran == only
    straight = folder / "study" / "runs" / "mono"
    runs.assert_same_state(tmp_path / "study" / "runs" / "mono", straight)


def test_a_step_that_cannot_be_done_yet_is_no_success(study, tmp_path, capsys):
    folder, _, _, _ = study
    for name in ("cache", "sets"):
        (tmp_path / name).symlink_to(folder / name)
    plan = write(tmp_path)
    assert run(plan, "--only", "probe/esc50/mono", "--quiet") == 2  # nothing of the plan is done
    assert "not done: probe/esc50/mono: waits for pretrain/mono" in capsys.readouterr().err
    assert run(plan, "--only", "probe/vggsound/mono", "--quiet") == 2
    assert "not done: probe/vggsound/mono: missing the data of VGGSound" in capsys.readouterr().err


def test_seeds_are_models_of_their_own(tmp_path):
    plan = write(tmp_path)
    plan.write_text(plan.read_text().replace('variants = ["mono", "es"]', 'variants = ["mono", "es"]\nseeds = [0, 3]'))
    names = [state.step.name for state in outline(read_plan(plan))]
    assert names[:4] == ["pretrain/mono", "pretrain/es", "pretrain/mono-seed3", "pretrain/es-seed3"]
    assert "probe/tut18/es-seed3" in names


def test_a_changed_plan_redoes_what_it_changes_and_says_so(study, tmp_path, capsys):
    folder, _, _, _ = study
    copy = tmp_path / "paper"
    shutil.copytree(folder, copy)
    plan = write(copy, epochs=2)
    plan.write_text(plan.read_text().replace('protocols = { esc50 = "logreg" }', 'protocols = { esc50 = "knn" }'))
    told = Told()
    summary = reproduce(read_plan(plan), told)
    assert summary.ran == [f"probe/esc50/{name}" for name in
                           ("random", "mono", "es", "mono-epoch-01", "es-epoch-01")]  # fmt: skip
    assert "probe/esc50/mono: protocol was logreg, now knn; it is done again" in told.messages
    found = json.loads((copy / "study" / "results" / "esc50" / "mono-ckpt.json").read_text())
    assert found["protocol"]["name"] == "knn"
    assert "knn" in (copy / "study" / "report" / "results.csv").read_text()

    plan.write_text(plan.read_text().replace("batch_size = 2", "batch_size = 2\nlearning_rate = 0.0001"))
    assert run(plan, "--list", "--json") == 0
    listed = {row["step"]: row for row in json.loads(capsys.readouterr().out)["steps"]}
    assert listed["pretrain/mono"]["why"] == "learning_rate was 0.001, now 0.0001"
    assert listed["probe/esc50/mono"]["state"] == "waits"
    assert listed["probe/tut18/random"]["state"] == "done"
    assert run(plan, "--only", "pretrain/mono", "--quiet") == 0
    assert (copy / "study" / "superseded" / "mono-1" / "ckpt.pt").is_file()
    config = json.loads((copy / "study" / "runs" / "mono" / "config.json").read_text())
    assert config["learning_rate"] == 0.0001


def test_films_that_come_later_make_the_models_anew(study, tmp_path):
    folder, _, _, _ = study
    copy = tmp_path / "paper"
    shutil.copytree(folder, copy)
    shutil.rmtree(copy / "cache")
    make_cache(copy / "cache", films=3, clips=2, languages=("en", "es"))
    states = {state.step.name: state for state in outline(read_plan(write(copy)))}
    assert states["pretrain/es"].state == "changed"
    assert states["pretrain/es"].why.startswith("film_set was ")
    assert states["probe/esc50/random"].state == "done"


@pytest.mark.parametrize("interrupted", ["error", "ctrl-c"])
def test_interrupted_it_goes_on(study, tmp_path, monkeypatch, capsys, interrupted):
    folder, _, _, _ = study
    copy = tmp_path / "paper"
    shutil.copytree(folder, copy)
    for path in (copy / "study" / "results" / "esc50").glob("mono-*"):
        path.unlink()
    from dubcli.probe import stage

    def fails(*_):
        raise KeyboardInterrupt if interrupted == "ctrl-c" else ZeroDivisionError("in a head")

    kept = stage.run_protocol
    monkeypatch.setattr(stage, "run_protocol", fails)
    plan = write(copy)
    assert run(plan, "--quiet") == (130 if interrupted == "ctrl-c" else 1)
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    if interrupted == "error":
        assert "failed: probe/esc50/mono: unexpected ZeroDivisionError: in a head (its traceback is in" in err
        assert "failed: probe/esc50/mono-epoch-01" in err
    monkeypatch.setattr(stage, "run_protocol", kept)
    assert reproduce(read_plan(plan)).ran == ["probe/esc50/mono", "probe/esc50/mono-epoch-01"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[probe.data]", "[prob.data]"), r"there is no prob \(did you mean probe?"),
        (("epochs = 2", "epohcs = 2"), r"\[pretrain\]: there is no epohcs \(did you mean epochs"),
        (('"esc50", "tut18"', '"esc5", "tut18"'), r"there is no task .esc5. \(did you mean esc50"),
        (("epochs = 2", 'epochs = "2"'), r"\[pretrain\]: epochs is '2'; give a value such as 10"),
        (('"mono", "es"]', '"mono", "mono"]'), r"variants is \['mono', 'mono'\]; name some, each once"),
        (('preset = "minute"', 'preset = "minit"'), r"minit"),
        (('out = "study"', 'out = "study'), "cannot be read as TOML"),
        (("[films]", '[report]\nagainst = ["ess"]\n[films]'), "against names ess, no variant of the plan"),
        (("[films]", '[films]\nframes = "slots"'), r"\[films\] --frames is 'slots' \(did you mean slot"),
        (("[films]", '[separate]\nprecision = "fp15"\n[films]'), r"\[separate\] --precision is 'fp15'"),
        (("max_steps = 5", 'max_steps = "5"'), r"\[probe\]: max_steps is '5'; give a whole number"),
        (("max_steps = 5", 'chunks = "third"'), r"\[probe\] --chunks is 'third'; give one of half"),
        (('esc50 = "logreg"', 'esc50 = "logrek"'), r"\[probe\] --protocol is 'logrek' \(did you mean logreg"),
        (("epochs = [1, 2]", "epochs = [1, 5]"), r"epochs has 5, but models train for 2 \(\[pretrain\] epochs\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_plan_is_said_in_one_line(tmp_path, capsys, change, words):
    plan = write(tmp_path)
    assert change[0] in plan.read_text()
    plan.write_text(plan.read_text().replace(*change, 1))
    with pytest.raises(UserError, match=words.replace("?", r"\?")):
        read_plan(plan)
    assert run(plan, "--list") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_unknown_steps_and_clusters_are_refused(study, capsys):
    folder, _, _, _ = study
    plan = write(folder)
    assert run(plan, "--only", "pretrain/mon") == 2
    assert "the plan has no step pretrain/mon (did you mean pretrain/mono" in capsys.readouterr().err
    assert run(plan, "--emit", "pbs", folder / "jobs") == 2
    assert "not pbs; give --emit slurm DIR" in capsys.readouterr().err


def test_without_steps_that_could_be_done_there_are_no_jobs(study, capsys):
    folder, _, _, _ = study
    plan = write(folder)
    assert run(plan, "--emit", "slurm", folder / "jobs") == 2  # vggsound's data are missing
    assert "nothing of the plan is left for jobs: what is not done lacks its data" in capsys.readouterr().err
    plan.write_text(plan.read_text().replace(', "vggsound"', ""))
    assert run(plan, "--emit", "slurm", folder / "jobs") == 0
    written = capsys.readouterr()
    assert re.fullmatch(r"all \d+ steps are done: there are no jobs to write\n", written.out)
    assert written.err == ""
    assert not (folder / "jobs").exists()


def test_slurm_jobs_name_the_steps_that_are_left(study, tmp_path, capsys):
    folder, _, _, _ = study
    plan = write(folder, more='[slurm]\npartition = "gpu"\nlines = ["--exclude=n1"]')
    shutil.copy(plan, tmp_path / "plan.toml")
    for name in ("cache", "sets"):
        (tmp_path / name).symlink_to(folder / name)
    assert run(tmp_path / "plan.toml", "--emit", "slurm", tmp_path / "my jobs") == 0
    jobs = tmp_path / "my jobs"
    assert "missing: the data of VGGSound" in capsys.readouterr().err
    assert (jobs / "pretrain.txt").read_text().split() == ["pretrain/mono", "pretrain/es"]
    assert len((jobs / "probe.txt").read_text().split()) == 8
    script = (jobs / "pretrain.sbatch").read_text()
    assert "#SBATCH --partition=gpu" in script
    assert "#SBATCH --exclude=n1" in script
    assert f"#SBATCH --output='{jobs}/%x-%A-%a.out'" in script  # the folder's name has a space
    for path in jobs.glob("*.s*"):
        subprocess.run(["bash", "-n", path], check=True)
        if shutil.which("shellcheck"):
            subprocess.run(["shellcheck", "-s", "bash", path], check=True)
    # a cluster of one process: what is submitted is run, array by array
    order = []
    bin = tmp_path / "bin"
    bin.mkdir()
    fake = bin / "sbatch"
    fake.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/submitted\necho $RANDOM\n')
    fake.chmod(0o755)
    subprocess.run(["bash", jobs / "submit.sh"], check=True, env={"PATH": f"{bin}:/usr/bin:/bin"}, capture_output=True)
    order = (tmp_path / "submitted").read_text().splitlines()
    assert [line.split()[-1] for line in order] == ["pretrain.sbatch", "probe.sbatch", "report.sbatch"]
    assert "--array=1-2 " in order[0]
    assert "--dependency=afterany:" in order[1]


def test_an_array_task_does_its_step_and_waits_in_the_queue_when_its_time_is_over(tmp_path):
    """The script itself, with a dubav that takes long and a queue that notes what it is told."""
    from dubcli.reproduce.slurm import _script

    plan = read_plan(write(tmp_path))
    (tmp_path / "probe.txt").write_text("probe/a/b\nprobe/c/d\n")
    (tmp_path / "probe.sbatch").write_text(_script(plan, "probe", tmp_path))
    for name, text in {
        "dubav": f'echo "$@" >> {tmp_path}/called; trap "sleep 0.3; exit 1" USR1; '
        "for i in $(seq 200); do sleep 0.05; done",
        "scontrol": f'echo "$@" >> {tmp_path}/told',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_JOB_ID": "77"}
    job = subprocess.Popen(["bash", tmp_path / "probe.sbatch"], env=variables)
    wait_until((tmp_path / "called").exists, job)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(HOPELESS_SECONDS) == 0
    assert "--only probe/c/d --gpus 1" in (tmp_path / "called").read_text()
    assert (tmp_path / "told").read_text().split() == ["requeue", "77_2"]


def test_the_example_is_a_plan_of_the_paper():
    plan = read_plan(Path(__file__).resolve().parents[2] / "examples" / "paper.toml")
    assert plan.pretrain.variants == PAPER_VARIANTS
    assert len(plan.tasks) == 15
    assert plan.probe.epochs == (2, 4, 6, 8)
    assert plan.nospeech == NospeechPlan()
    assert plan.training == {"epochs": 10, "val_fraction": 0.0}


def test_several_processes_are_refused_but_for_one_training(study, monkeypatch, capsys):
    folder, _, _, _ = study
    plan = write(folder)
    assert run(plan, "--nnodes", "2", "--rdzv-endpoint", "localhost:1") == 2
    assert "--nnodes is for trainings: give --only pretrain/NAME" in capsys.readouterr().err
    assert run(plan, "--only", "pretrain/mono", "--only", "report", "--nnodes", "2") == 2
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
                        "TORCHELASTIC_RUN_ID": "x", "GROUP_RANK": "0"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert run(plan) == 2
    assert "torchrun started 2 processes, which would all do the whole plan" in capsys.readouterr().err


def test_the_ranks_of_torchrun_do_one_training_and_the_first_alone_writes_its_mark(study, tmp_path, monkeypatch):
    from dubcli.reproduce import work

    folder, _, _, _ = study
    (tmp_path / "cache").symlink_to(folder / "cache")
    plan = read_plan(write(tmp_path))
    where = []
    monkeypatch.setitem(work._WORK, "pretrain", lambda doing: where.append(doing.nodes) or [])
    for rank in ("1", "0"):
        for name, value in {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": "2"}.items():
            monkeypatch.setenv(name, value)
        assert reproduce(plan, only=["pretrain/mono"]).ran == ["pretrain/mono"]
        assert (tmp_path / "study" / "steps" / "pretrain--mono.json").exists() == (rank == "0")
    assert [nodes.rank for nodes in where] == [1, 0]
    with pytest.raises(UserError, match="give them one training, --only pretrain/NAME, or start one process"):
        reproduce(plan, only=["pretrain/mono", "pretrain/es"])


def test_of_the_ranks_of_torchrun_the_first_alone_tells_of_it(study, tmp_path, monkeypatch, capsys):
    from dubcli.reproduce import work

    folder, _, _, _ = study
    (tmp_path / "cache").symlink_to(folder / "cache")
    plan = write(tmp_path)
    monkeypatch.setitem(work._WORK, "pretrain", lambda doing: [])
    told = []
    for rank in ("1", "0"):
        for name, value in {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": "2"}.items():
            monkeypatch.setenv(name, value)
        assert run(plan, "--only", "pretrain/mono") == 0
        told.append("".join(capsys.readouterr()))
    assert told[0] == ""
    assert "1 of them now" in told[1]


def test_what_is_left_of_a_plan_in_words():
    assert str(Estimate(seconds=0, unknown={})) == "nothing"
    assert str(Estimate(seconds=0, unknown={}, missing=9)) == "waiting for what is missing: 9 steps"
    assert (
        str(Estimate(seconds=0.2, unknown={"probe": 2}))
        == "a second by what was measured here; not measured yet: 2 of probe"
    )
    assert str(Estimate(seconds=7210, unknown={}, missing=1)).startswith("2.0 hours by what was measured here; waiting")


def test_a_training_on_several_nodes_is_one_job(tmp_path):
    """The script itself, with an srun that starts a dubav for each node."""
    from dubcli.reproduce.slurm import _script

    plan = read_plan(write(tmp_path, more="[slurm]\nnodes = 2\ngpus = 4"))
    (tmp_path / "pretrain.txt").write_text("pretrain/mono\npretrain/es\n")
    script = _script(plan, "pretrain", tmp_path)
    assert "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n" in script
    assert "#SBATCH --gpus-per-node=4" in script
    assert "#SBATCH --nodes=1" in _script(plan, "probe", tmp_path)
    (tmp_path / "pretrain.sbatch").write_text(script)
    for name, text in {
        "dubav": f'echo "$@" >> {tmp_path}/called',
        "srun": 'shift; for node in 0 1; do SLURM_NODEID=$node SLURM_NNODES=2 "$@" & done; wait',
        "scontrol": "echo n1; echo n2",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_ID": "20007",
                 "SLURM_JOB_NODELIST": "n[1-2]"}  # fmt: skip
    subprocess.run(["bash", tmp_path / "pretrain.sbatch"], env=variables, check=True)
    called = sorted((tmp_path / "called").read_text().splitlines())
    same = f"reproduce {plan.path} --only pretrain/es --gpus 4 --quiet --nnodes 2"
    assert called == [f"{same} --node-rank {rank} --rdzv-endpoint n1:20007" for rank in (0, 1)]


@pytest.mark.slow
def test_two_machines_do_one_training_and_write_one_mark(study, tmp_path):
    folder, _, _, _ = study
    (tmp_path / "cache").symlink_to(folder / "cache")
    (tmp_path / "sets").symlink_to(folder / "sets")
    plan = write(tmp_path, epochs=1)
    # the ranks are processes that know the package's own presets alone
    plan.write_text(
        plan.read_text().replace('preset = "minute"', 'preset = "tiny"').replace("epochs = [1, 2]", "epochs = [1]")
    )
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "import helpers.runs; helpers.runs.app()", "reproduce", str(plan), "--quiet",
               "--only", "pretrain/mono", "--nnodes", "2", "--rdzv-endpoint", f"localhost:{port}"]  # fmt: skip
    both = [
        subprocess.Popen([*command, "--node-rank", str(rank)], env=runs.environment(), stderr=subprocess.PIPE)
        for rank in (0, 1)
    ]
    for process in both:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    config = json.loads((tmp_path / "study" / "runs" / "mono" / "config.json").read_text())
    assert config["world_size"] == 2
    (mark,) = (tmp_path / "study" / "steps").glob("*.json")
    assert json.loads(mark.read_text())["seconds"] is not None
