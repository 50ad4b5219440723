"""What a shell completes: asked as bash asks, through the program's own answer to it."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from dubcli.cli.app import COMMANDS, app, load_command
from dubcli.cli.completion import values_of


def completed(words):
    asked = {"_DUBAV_COMPLETE": "complete_bash", "COMP_WORDS": f"dubav {words}", "COMP_CWORD": str(len(words.split()))}
    return CliRunner().invoke(app, [], env=asked, prog_name="dubav").output.split()


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("pre", ["prep", "pretrain"]),
        ("pretrain --variant e", ["es", "efj"]),
        ("pretrain --preset t", ["tiny"]),
        ("pretrain --negatives c", ["cross"]),
        ("pretrain --audio-backbone e", ["efficientnet_b0"]),
        ("probe es", ["esc50"]),
        ("probe esc50 random --protocol l", ["linear", "logreg"]),
        ("probe esc50 random --precision b", ["bf16"]),
        ("prep movies --decoder c", ["cpu", "cuda"]),
        ("prep movies --lang j", ["ja", "jv"]),
        ("prep movies --lang en,f", ["en,fa", "en,ff", "en,fi", "en,fj", "en,fo", "en,fr", "en,fy"]),
        ("embed a.wav random --device cp", ["cpu"]),
        ("embed a.wav random --chunks p", ["padded"]),
        ("separate a.wav --model sp", ["spleeter"]),
        ("corpus c --casting a", ["alike", "any"]),
        ("search index a.wav --find p", ["picture"]),
        ("dub a.mkv --speech c", ["centre"]),
    ],
)
def test_values_are_completed(words, values):
    assert completed(words) == values


def test_every_option_whose_values_the_help_lists_has_them():
    """Also those that a table by name has: a value that is completed is one that the help or the table knows."""
    listed = [
        (name, parameter)
        for name in COMMANDS
        for parameter in load_command(name).params
        if "|" in (parameter.metavar or "") and parameter.metavar.islower()
    ]
    assert len(listed) >= 20
    for name, parameter in listed:
        assert set(parameter.metavar.split("|")) <= set(values_of(name, parameter)), (name, parameter.name)


COMMANDS_THAT_PRINT = ["--help", "--version", "prep --help", "probe --list", "pretrain --readings", "ls films"]


@pytest.mark.parametrize("command", COMMANDS_THAT_PRINT)
def test_a_reader_that_has_gone_is_no_failure_of_any_command(command, tmp_path):
    """``dubav ... | true``: nothing on standard error, status 0 (with bash's pipefail)."""
    from helpers.containers import Track, make_film

    if command == "ls films":
        (tmp_path / "films").mkdir()
        make_film(tmp_path / "films" / "a.mkv", seconds=2, size=(32, 32), tracks=[Track("eng")])
    line = f"set -o pipefail; {sys.executable} -m dubcli {command} | (exec <&-; sleep 0.1)"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
