"""The command ``dubav``: its subcommands, and the one place where errors become exit statuses."""

from __future__ import annotations

import functools
import importlib
import inspect
import io
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from dubcli import __version__
from dubcli.cli.completion import complete_values
from dubcli.cli.panels import panel_of
from dubcli.errors import InputError, UserError, did_you_mean

# One line per subcommand, in the order of the work. Its module is imported only when the subcommand is called or its
# own help is asked for, so that `dubav --help` stays fast however many there are.
COMMANDS = {
    "demo": "Show what dubs teach: make small dubbed films, go the whole way, one page.",
    "ls": "Show what films or a clip cache hold: titles, languages, codecs, hours.",
    "prep": "Turn films with several sound tracks into a clip cache.",
    "separate": "Remove the speech (Demucs) and write no-speech mels.",
    "pretrain": "Train a model by contrasting films with their sound tracks and dubs.",
    "embed": "Write frozen features of sounds, videos or a clip cache.",
    "probe": "Measure a model with linear heads on one task or all.",
    "report": "Make tables, plots and one HTML page from runs and results.",
    "view": "Look at a cache or a run: clips, sounds, dubs, a map; as pages.",
    "search": "Ask a model which clips sound or look like something.",
    "reproduce": "Do a whole study, from films to the paper's tables, by one plan.",
    "export": "Turn a checkpoint into safetensors, a config and a model card.",
    "corpus": "Make a counterfactual corpus: dubbed films with their truth, and probe sounds.",
    "dub": "Dub a film from subtitles with synthesised speech.",
}


class _LazyGroup(TyperGroup):
    """A group that knows its subcommands' names and one-line helps before it imports them."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}{did_you_mean(args[0], COMMANDS)}; dubav --help lists them")
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load_command(name), rest


class _Command(TyperCommand):
    """A command that says where an option went (``MOVED`` of its module) when the option is still used, and that takes
    no empty text (a shell's variable that is not set) for the folder where it stands."""

    moved: dict[str, str]
    paths: set[str]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if (empty := self._empty_path(args)) is not None:
            raise typer.Exit(_complain(f"{empty} is empty; give a path", 2))
        for argument in args:
            if (option := argument.split("=", 1)[0]) in self.moved:
                raise typer.Exit(_complain(f"{option} is a command of its own now: {self.moved[option]}", 2))
        return super().parse_args(ctx, args)

    def _empty_path(self, args: list[str]) -> str | None:
        options = {option for parameter in self.params if parameter.name in self.paths for option in parameter.opts}
        parts = [part for argument in args for part in ([argument[:-1], ""] if argument.endswith("=") else [argument])]
        for before, argument in itertools.pairwise(["", *parts]):
            if argument == "" and not before.startswith("-"):
                return "an argument"
            if argument == "" and before in options:
                return before
        return None


def load_command(name: str) -> Any:
    """The click command of a subcommand, from the function of that name in ``dubcli.cli.<name>``."""
    module = importlib.import_module(f"dubcli.cli.{name}")
    single = typer.Typer(add_completion=False, rich_markup_mode="rich", context_settings=_CONTEXT)
    single.command(name, cls=_Command, epilog=getattr(module, "EPILOG", None))(_with_exit_status(getattr(module, name)))
    command: Any = typer.main.get_command(single)
    command.moved = getattr(module, "MOVED", {})
    hints = inspect.signature(getattr(module, name), eval_str=True).parameters.values()
    command.paths = {parameter.name for parameter in hints if "pathlib" in str(parameter.annotation)}
    # typer keeps a docstring's line breaks after the first paragraph; the terminal's own are better
    command.help = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    for parameter in command.params:
        complete_values(name, parameter)
        parameter.rich_help_panel = panel_of(name, parameter)
        text = getattr(parameter, "help", None)
        if text:
            # rich would take "[default: ...]" for a style and drop it
            parameter.help = text.replace("[", "\\[")
    return command


def _with_exit_status(function: Callable[..., Any]) -> Callable[..., Any]:
    """Exit with what the command returns (None is 0), with 2 on a user's error, 130 on Ctrl-C and 143 on SIGTERM."""

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> None:
        try:
            with _terminable():
                status = function(*args, **options)
                sys.stdout.flush()
        except (UserError, InputError) as error:
            status = _complain(str(error), 2)
        except _Terminated:
            status = _complain("ended by SIGTERM; run the same command again to go on", 128 + signal.SIGTERM)
        except KeyboardInterrupt:
            status = _complain("interrupted; run the same command again to go on", 130)
        raise typer.Exit(status or 0)

    return run


class _Terminated(KeyboardInterrupt):
    """SIGTERM: what is under way is tidied up as after Ctrl-C."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM (of a scheduler, a container's end) raise ``_Terminated``, where nothing else is done about it."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if ours and signal.getsignal(signal.SIGTERM) is _terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


def _complain(text: str, status: int) -> int:
    print(f"dubav: {' '.join(text.split())}", file=sys.stderr)
    return status


_CONTEXT = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="dubav",
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,  # a bug keeps its whole traceback
    context_settings=_CONTEXT,
    help="Learn audiovisual representations from movies with several dubbed sound tracks, and measure them.",
    epilog=(
        "Start with [bold]dubav demo[/bold]. Then, with films of your own: "
        "[bold]dubav prep movies/ --lang en,es,fr,ja[/bold], [bold]dubav pretrain --variant efj --gpus 4[/bold], "
        "[bold]dubav probe esc50 runs/efj/ckpt.pt[/bold]"
    ),
)


def _print_version(value: bool) -> None:
    if value:
        print(f"dubav {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", "-V", "-v", callback=_print_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 some inputs failed, 2 the user's error, 130 Ctrl-C, 143 SIGTERM."""
    sys.stdout, sys.stderr = _for_a_reader_that_may_go(sys.stdout), _for_a_reader_that_may_go(sys.stderr)
    app()


def _for_a_reader_that_may_go(output: TextIO) -> TextIO:
    try:
        output.flush()
        raw = _ReaderMayGo(output.fileno(), "w", closefd=False)
    except (AttributeError, io.UnsupportedOperation):
        return output  # held in memory: no reader can go
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=output.encoding,
        # a file's name may be no UTF-8; it must not end the run, and in JSON this is the escape of it
        errors="backslashreplace",
        line_buffering=getattr(output, "line_buffering", False),
    )


class _ReaderMayGo(io.FileIO):
    """An output whose reader may have seen enough (``dubav ... | head``): what comes then is nobody's.

    Both libraries that print for us, rich and typer, would end with status 1, and work in the middle (``|& head``).
    """

    def write(self, content: Any) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(content)


if __name__ == "__main__":
    main()
