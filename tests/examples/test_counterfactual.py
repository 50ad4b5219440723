"""The counterfactual experiment, from films to its table, at a size that says nothing about dubs."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "counterfactual"


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(EXAMPLE / script), *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_experiment_goes_through_and_again_from_what_is_there(tmp_path):
    small = ["--films", 2, "--heldout", 6, "--minutes", 0.8, "--epochs", 1, "--batch-size", 4, "--seeds", 1]
    small += ["--variants", "mono,sep", "--out", tmp_path, "--quiet"]
    table = run("run.py", *small)
    lines = table.strip().splitlines()
    assert lines[0] == "| factor | random | mono | sep |"
    assert [line.split()[1] for line in lines[2:]] == ["place", "event", "mood", "speakers", "language", "words"]
    assert all(0 <= float(cell) <= 1 for line in lines[2:] for cell in line.split()[3:8:2])
    checkpoint = tmp_path / "runs" / "sep-seed0" / "epoch-01.pt"
    trained = checkpoint.stat().st_mtime_ns
    assert run("run.py", *small) == table
    assert checkpoint.stat().st_mtime_ns == trained
    said = run("alignment.py", tmp_path / "cache", tmp_path / "runs" / "mono-seed0")
    assert "same clip" in said
    assert "other clips of the film" in said
