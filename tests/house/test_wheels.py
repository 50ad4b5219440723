"""The sdist and the wheel: built from this tree, installed into a fresh environment, run from another folder."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import dubcli
from helpers.caches import make_cache

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "dubcli"


def test_the_version_stands_in_one_place():
    settings = (ROOT / "pyproject.toml").read_text()
    assert not re.search(r'^version = "', settings, re.MULTILINE)
    assert 'path = "src/dubcli/__init__.py"' in settings
    # a citation cannot read it
    assert f"\nversion: {dubcli.__version__}\n" in (ROOT / "CITATION.cff").read_text()


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """What ``python -m build`` makes: the sdist from the tree, the wheel from the sdist. Needs no network."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_both_have_every_file_of_the_package(dist):
    ours = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    assert {"py.typed", "corpus/lines.tsv", "report/templates/page.html", "view/templates/film.html"} < ours
    (wheel,), (source,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    assert wheel.name == f"dubcli-{dubcli.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        assert {name.removeprefix("dubcli/") for name in file.namelist() if name.startswith("dubcli/")} == ours
        (metadata,) = (file.read(name).decode() for name in file.namelist() if name.endswith("/METADATA"))
        assert any(name.endswith("licenses/LICENSE") for name in file.namelist())
    assert "License-Expression: MIT" in metadata
    assert "# dubav" in metadata  # the README is the index's page
    with tarfile.open(source) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {f"src/dubcli/{name}" for name in ours} | {"README.md", "LICENSE", "pyproject.toml"} <= names
    assert not {name for name in names if name.startswith((".venv", "runs/", "cache/"))}


@pytest.mark.slow
def test_the_wheel_runs_in_a_fresh_environment_from_another_folder(dist, tmp_path):
    """The packages that it needs are this environment's: nothing is fetched. Our own is the wheel's alone."""
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / "bin" / "python"
    (wheel,) = dist.glob("*.whl")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    fresh = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip()
    # a path alone: what is installed there as editable is not
    (Path(fresh) / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(*command):
        done = subprocess.run([*map(str, command)], cwd=elsewhere, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    dubav = tmp_path / "fresh" / "bin" / "dubav"
    where = Path(run(python, "-c", "import dubcli; print(dubcli.__file__)").strip())
    assert where.is_relative_to(tmp_path / "fresh")
    assert run(dubav, "--version") == f"dubav {dubcli.__version__}\n"
    assert "esc50" in run(dubav, "probe", "--list")
    if not subprocess.run([python, "-c", "import py_nanotts"], capture_output=True).returncode:
        small = ("--films", "1", "--heldout", "0", "--minutes", "0.1", "--workers", "1")
        run(dubav, "corpus", "corpus", *small, "--quiet")
        assert (elsewhere / "corpus" / "films" / "film-001.mkv").is_file()
    make_cache(elsewhere / "cache", films=1, clips=2, languages=("en", "es"))
    run(dubav, "view", "cache", "--quiet")
    run(dubav, "report", "cache", "--out", "report", "--quiet")
    assert "<html" in (elsewhere / "view" / "index.html").read_text()
    assert "<html" in (elsewhere / "report" / "index.html").read_text()
