"""How the tests of pretraining start it: the real command, sizes that a CPU trains in seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

SMALL = ("--gpus", "0", "--preset", "tiny", "--batch-size", "4", "--k", "2", "--loader-workers", "0", "--quiet",
         "--log-every", "1")  # fmt: skip


def command(cache, out, *options):
    return [sys.executable, "-m", "dubcli", "pretrain", "--cache", str(cache), "--out", str(out), *SMALL, *options]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def pretrain(cache, out, *options, timeout=300):
    return subprocess.run(
        command(cache, out, *map(str, options)), env=environment(), capture_output=True, text=True, timeout=timeout
    )


def losses(out):
    lines = [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


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
