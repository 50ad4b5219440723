"""Every `dubav ...` command in the README and the examples is one the program understands; the cheap ones are run."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dubcli.cli.app import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?:```|~~~)[^\n]*\n(.*?)^(?:```|~~~)", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^|&&|;|bash -c '|[A-Z_]+=\S+)\s*(dubav\s[^#|>'&;]*)")
PAGES = [
    ROOT / "README.md",
    ROOT / "docs/films.md",
    ROOT / "docs/tutorial.md",
    ROOT / "docs/faq.md",
    *sorted((ROOT / "examples").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.sbatch")),
]


def commands_of(page):
    """Commands of fenced blocks or of a batch script, continued lines joined.

    In a block with prompts (`$ dubav ...`) only those lines are commands, the others are output. Comments and what
    is piped or redirected are cut away.
    """
    text = page.read_text(encoding="utf-8")
    blocks = FENCE.findall(text) if page.suffix == ".md" else [text]
    for block in blocks:
        lines = block.replace("\\\n", " ").splitlines()
        prompted = [line.strip()[2:] for line in lines if line.strip().startswith("$ ")]
        for line in prompted or lines:
            if not line.lstrip().startswith("#"):
                yield from (found.strip() for found in COMMAND.findall(line))


EVERY = [(page.relative_to(ROOT).as_posix(), command) for page in PAGES for command in commands_of(page)]


def test_commands_are_found():
    assert len(EVERY) >= 20
    assert {command.split()[1] for _, command in EVERY} >= {
        "demo",
        "ls",
        "prep",
        "pretrain",
        "probe",
        "report",
        "embed",
    }


@pytest.mark.parametrize(("page", "command"), EVERY)
def test_the_program_understands(page, command):
    _, name, *arguments = shlex.split(command)
    if name.startswith("-"):
        return  # dubav --help
    assert name in COMMANDS, f"{page}: {command}"
    # shell variables stand for numbers where a number is asked for
    arguments = ["2/3" if "$SLURM_ARRAY" in a else "1" if a.startswith("$SLURM") else a for a in arguments]
    if {"-h", "--help"} & set(arguments):
        return
    try:
        load_command(name).make_context(name, arguments, resilient_parsing=False)
    except click.exceptions.ClickException as error:
        pytest.fail(f"{page}: {command}: {error.format_message()}")


def test_prompts_continued_lines_and_output_are_told_apart(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "dubav in text\n```console\n$ pip install . && dubav demo  # all of it\ndubav said so\n$ dubav ls movies/ \\\n"
        "    --json > out\n```\n\n```sh\ndubav prep movies/; dubav ls cache\n# dubav nothing\n```\n"
    )
    assert list(commands_of(page)) == [
        "dubav demo",
        "dubav ls movies/      --json",
        "dubav prep movies/",
        "dubav ls cache",
    ]


def test_a_wrong_command_would_be_noticed():
    with pytest.raises(Exception, match="No such option"):
        load_command("report").make_context("report", ["results/", "--no-such-option"])


@pytest.mark.parametrize("command", ["dubav --help", "dubav demo --help", "dubav probe --list"])
def test_cheap_commands_run(command, dubav):
    done = dubav(*command.split()[1:])
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_own_task_page_runs_as_it_stands(tmp_path, dubav):
    pytest.importorskip("py_nanotts")
    commands = list(commands_of(ROOT / "examples" / "own_task.md"))
    (make,) = (command for command in commands if command.startswith("dubav corpus"))
    (measure,) = (command for command in commands if "corpus/probes" in command)
    for command in (make, measure):
        few = ["--workers", "1"] if command == make else []  # each would import everything for one film
        done = dubav(*shlex.split(command)[1:], "--quiet", *few)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "folder-mood" / "random-seed0-tiny.json").is_file()


def test_hear_example_runs(tmp_path, monkeypatch, capsys):
    import numpy as np
    import soundfile

    from dubcli.core.checkpoint import model_entries, save_checkpoint
    from dubcli.core.models import DubModel
    from dubcli.core.variants import parse_variant

    model = DubModel(parse_variant("mono", "en", ["en"]), "tiny")
    save_checkpoint(tmp_path / "ckpt.pt", model_entries(model, mel_mean=-6.0, mel_std=5.0, config={}))
    noise = np.random.default_rng(0).normal(0, 0.1, 48000 * 4)
    soundfile.write(tmp_path / "noise.wav", noise, 48000)
    arguments = [str(ROOT / "examples" / "hear.py"), str(tmp_path / "ckpt.pt"), str(tmp_path / "noise.wav")]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(arguments[0], run_name="__main__")
    assert "scene: (1, 1024)" in capsys.readouterr().out


def test_batch_scripts_parse():
    for script in (ROOT / "examples" / "slurm").glob("*.sbatch"):
        subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("script", sorted((ROOT / "examples").rglob("*.py")), ids=lambda path: path.name)
def test_example_scripts_import(script, monkeypatch):
    monkeypatch.syspath_prepend(script.parent)  # as it is where Python starts it
    runpy.run_path(str(script), run_name="example")
