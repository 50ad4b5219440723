"""The face of the command: help without torch, errors in one line, exit statuses."""

import os
import subprocess
import sys
from collections import Counter

import pytest
from typer.testing import CliRunner

from dubcli import __version__
from dubcli.cli.app import COMMANDS, _with_exit_status, app, load_command
from dubcli.cli.panels import _PANELS


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


SHARED = ("--quiet", "--json", "--device", "--gpus", "--chunks", "--scheduler", "--shard", "--strict", "--max-failures",
          "--speech-engine", "--assume-primary")  # fmt: skip


@pytest.mark.parametrize("option", SHARED)
def test_an_option_that_means_the_same_in_several_commands_is_one(option):
    commands = [name for name in COMMANDS if (name, option) != ("reproduce", "--gpus")]  # there it is the plan's
    found = [
        (sorted(parameter.opts), parameter.metavar, parameter.help)
        for name in commands
        for parameter in load_command(name).params
        if option in parameter.opts
    ]
    assert len(found) > 1
    assert all(one == found[0] for one in found)


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


def test_an_unknown_command_is_exit_status_2_with_near_names(dubav):
    done = dubav("pretend")
    assert done.returncode == 2
    assert "No such command 'pretend' (did you mean pretrain?)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["prep", "", "--lang", "en"], "an argument"),
        (["report", "results", "--out", ""], "--out"),
        (["view", "--serve", "cache", "--out="], "--out"),
        (["search", "index", ""], "an argument"),
        (["demo", "--open", "--out", ""], "--out"),
        (["pretrain", "--variant", "efj", ""], "an argument"),
    ],
)
def test_an_empty_path_is_not_the_folder_where_one_stands(arguments, what, tmp_path, monkeypatch):
    """As from a shell's variable that is not set: ``dubav prep "$MOVIES"``."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"dubav: {what} is empty; give a path\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--version", "-V", "-v"])
def test_the_version_has_short_names(option):
    done = CliRunner().invoke(app, [option])
    assert (done.exit_code, done.output) == (0, f"dubav {__version__}\n")


@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_a_reader_that_has_seen_enough_is_no_failure(output, tmp_path):
    """As in ``dubav ls movies | head -1`` and ``dubav prep movies |& head -1`` once head has gone: work goes on."""
    read, write = os.pipe()
    os.close(read)
    done = tmp_path / "done"
    code = (
        "import sys\n"
        "from dubcli.cli import app\n"
        "def work():\n"
        f"    print('x' * 100_000, file=sys.{output}, flush=True)\n"
        f"    open({str(done)!r}, 'w').close()\n"
        f"    print('x' * 100_000, file=sys.{output})\n"
        "app.app = app._with_exit_status(work)\n"
        "try: app.main()\n"
        "except app.typer.Exit as end: raise SystemExit(end.exit_code)"
    )
    outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, output: write}
    try:
        ended = subprocess.run([sys.executable, "-c", code], **outputs, text=True)
    finally:
        os.close(write)
    assert (ended.returncode, (ended.stdout or "") + (ended.stderr or "")) == (0, "")
    assert done.exists()


def test_a_broken_pipe_within_the_work_is_a_failure():
    """That of a worker that died, say: nothing of the output's."""

    def work():
        raise BrokenPipeError("a worker")

    with pytest.raises(BrokenPipeError):
        _with_exit_status(work)()


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


def test_a_table_too_wide_for_the_terminal_is_a_block_for_each_row(monkeypatch, capsys):
    from dubcli.cli.console import print_table

    columns, row = ("title", "h:mm:ss", "video", "en", "note"), ("a.mkv", "0:00:30", "h264 640x360", "5.1(side)", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    monkeypatch.setenv("COLUMNS", "40")
    print_table(None, columns, [row])
    assert capsys.readouterr().out == ("a.mkv\n  h:mm:ss  0:00:30\n  video    h264 640x360\n  en       5.1(side)\n")
    monkeypatch.setenv("COLUMNS", "60")
    print_table(None, columns, [row])
    assert "a.mkv   0:00:30   h264 640x360   5.1(side)" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_read_in_a_terminal_of_80_columns(name, monkeypatch):
    """Options in panels of a few, none cut off; examples one a line."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    command = load_command(name)
    panels = Counter(getattr(parameter, "rich_help_panel", None) for parameter in command.params)
    assert max(panels.values()) <= 18
    lines = CliRunner().invoke(app, [name, "--help"]).stdout.splitlines()
    assert not [line for line in lines if "…" in line or len(line) > 80]
    begun = lines.index(next(line for line in lines if line.strip() == "Examples:"))
    examples = [line for line in lines[begun + 1 :] if line.startswith(f" dubav {name}")]
    assert len(examples) >= 2
    assert not [line for line in examples if line.count(f"dubav {name}") > 1]


def test_every_name_in_a_panel_is_an_option():
    for name, panels in _PANELS.items():
        names = [option for own in panels.values() for option in own]
        assert not set(names) - {parameter.name for parameter in load_command(name).params}
        assert len(names) == len(set(names))
