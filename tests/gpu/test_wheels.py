"""Which wheels are carried to a machine with a GPU: all that the product and the check's tests import, no more."""

import subprocess
import sys
from pathlib import Path

from gpu import wheels

HERE = Path(__file__).resolve().parent


def wanted(have, python="3.12"):
    return {line.split("==")[0]: line for line in wheels.missing(have, python)}


def test_what_a_machine_with_torch_lacks_is_all_that_is_required_but_torch():
    found = wanted([])
    # ours, what they require, and what those require
    assert {"av", "soxr", "langcodes", "pysubs2", "ebmlite", "demucs", "julius", "fvcore", "yacs", "pytest"} <= set(
        found
    )
    assert not {"torch", "torchvision", "triton", "numpy", "sympy", "dubcli", "ruff"} & set(found)
    assert not [name for name in found if name.startswith("nvidia")]
    assert all(line.startswith(f"{name}==") for name, line in found.items())


def test_what_is_there_is_not_carried_however_its_name_is_written():
    have = wheels.names("# a comment\nPyYAML==6.0.4\nscikit_learn==1.9.1\npkg @ file:///pkg.whl\n\nrich\n-e .\n")
    assert have == ["PyYAML", "scikit_learn", "pkg", "rich"]
    assert set(wanted([])) - set(wanted(have)) == {"pyyaml", "scikit-learn", "rich"}


def test_markers_are_of_that_python_and_extras_count():
    assert "tomli" in wanted([], "3.10")
    assert "tomli" not in wanted([], "3.12")
    named = {one.name for one in wheels.requirements(["dask[distributed]"], "3.12")}
    assert "distributed" in named
    assert "distributed" not in {one.name for one in wheels.requirements(["dask"], "3.12")}


def test_a_python_that_is_not_there_is_one_line(tmp_path):
    command = [sys.executable, HERE / "wheels.py", tmp_path, "--python", "python9.9"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "wheels.py: error: python9.9 does not run here")
