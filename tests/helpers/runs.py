"""How the tests of pretraining start it: the real command, in this process or in one of its own, in tiny sizes."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from typer.testing import CliRunner

from dubcli.cli.app import app
from dubcli.core.models import PRESETS, ModelSizes
from dubcli.jobs.progress import SilentProgress
from dubcli.pretrain import PretrainConfig
from helpers.waiting import wait_until

# a tenth of the work of tiny; there in this process and in those of ``start``
PRESETS["minute"] = ModelSizes(
    crop=32, video_width=1.0, video_depth=0.5, video_frame_stride=4, video_head=64, audio_stem=2
)
TESTS = Path(__file__).resolve().parents[1]
SMALL = ("--gpus", "0", "--preset", "minute", "--batch-size", "4", "--k", "2", "--loader-workers", "0", "--quiet",
         "--log-every", "1")  # fmt: skip


def arguments(cache, out, *options):
    return ["pretrain", "--cache", str(cache), "--out", str(out), *SMALL, *map(str, options)]


def small_config(cache, out, **options):
    """The same sizes for ``train()``."""
    sizes = {"preset": "minute", "batch_size": 4, "k": 2, "loader_workers": 0, "log_every": 1}
    return PretrainConfig(cache=str(cache), out=str(out), **{**sizes, **options})


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def pretrain(cache, out, *options):
    """The command in this process: no start of Python and torch to wait for."""
    result = CliRunner().invoke(app, arguments(cache, out, *options))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def command(cache, out, *options, first=""):
    """The command line of ``start``. first: what that process does before, in Python."""
    return [sys.executable, "-c", f"import helpers.runs\n{first}\nhelpers.runs.app()", *arguments(cache, out, *options)]


def environment(**variables):
    """Of processes that these tests start."""
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **variables}


def start(cache, out, *options, first="", **variables):
    """The command in a process of its own."""
    return subprocess.Popen(
        command(cache, out, *options, first=first),
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def slurm(rank, size, job=None):
    """What srun sets for a task of a step of one node."""
    task = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_NUM_TASKS": size, "SLURM_NTASKS": size,
            "SLURM_STEP_ID": 0, "SLURM_JOB_ID": job or os.getpid(), "SLURM_STEP_TASKS_PER_NODE": size,
            "SLURM_STEP_NODELIST": "node[01-04,07],gpu5", "SLURM_NODEID": 0}  # fmt: skip
    return {name: str(value) for name, value in task.items()}


class SignalAfter(SilentProgress):
    """Sends this process a signal when a step is told of."""

    def __init__(self, step, number):
        self.step, self.number = step, number

    def update(self, task, completed, **fields):
        if completed == self.step:
            os.kill(os.getpid(), self.number)


def wait_for_steps(out, steps, process):
    """Until ``metrics.jsonl`` tells of so many steps or the process has ended."""

    def reached():
        done = losses(out) if (Path(out) / "metrics.jsonl").exists() else []
        return process.poll() is not None or (done and done[-1][0] >= steps)

    wait_until(reached)


def metrics(out):
    found = []
    for line in (Path(out) / "metrics.jsonl").read_text().splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:  # being written just now
            break
    return found


def losses(out):
    return [(line["step"], line["loss"]) for line in metrics(out) if "loss" in line]


def assert_same_state(first, second):
    """Two ``ckpt.pt`` are equal, bit for bit, in everything but the run's own options."""
    a, b = (torch.load(Path(out) / "ckpt.pt", weights_only=True) for out in (first, second))
    assert a.keys() == b.keys()
    for name in a.keys() - {"config"}:
        _assert_equal(a[name], b[name], name)


def _assert_equal(a, b, where):
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            _assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), where
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            _assert_equal(x, y, f"{where}[{number}]")
    else:
        assert a == b, where
