"""The face of the command: help without torch, errors in one line, exit statuses."""

import subprocess
import sys

import pytest

from dubcli.cli.app import COMMANDS, load_command


def test_help_imports_no_torch_and_lists_every_command():
    code = (
        "import sys; sys.argv = ['dubav', '--help']\n"
        "from dubcli.cli.app import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules and 'av' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented_and_every_command_has_examples(name):
    command = load_command(name)
    assert command.help
    assert "dubav " in (command.epilog or "")
    undocumented = [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]
    assert not undocumented
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--quiet" in options


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_torch(name):
    code = (
        "import sys\n"
        "from dubcli.cli.app import load_command\n"
        f"load_command({name!r})\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_is_exit_status_2(dubav):
    done = dubav("pretend")
    assert done.returncode == 2
    assert "No such command 'pretend'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--make-corpus", "c", "--films", "1"], "dubav corpus DIR"),
        (["--dub=film.mkv", "--subs", "x.es.srt", "--out", "o.mkv"], "dubav dub FILE --subs es.srt,fr.srt"),
    ],
)
def test_options_of_demo_that_are_commands_now_say_so(old, new, dubav):
    done = dubav("demo", *old)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines() == [f"dubav: {old[0].split('=')[0]} is a command of its own now: {new}"]
