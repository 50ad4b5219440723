"""Functions and files stay of a size that can be read at once."""

import ast
import importlib
from dataclasses import fields
from pathlib import Path

import dubcli

ROOT = Path(dubcli.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MOST_ARGUMENTS, MOST_FUNCTION_LINES, MOST_FILE_LINES = 6, 59, 399


def functions(file):
    """Those of a file but GPU kernels, whose arguments are the strides and sizes of their tensors."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef) and not any(
            ast.unparse(one).endswith(".jit") for one in node.decorator_list
        ):
            yield node


def is_command(file, function):
    """A subcommand's signature is its table of options, which typer reads."""
    return file.parent.name == "cli" and function.name == file.stem


def arguments(function):
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [one.arg for one in every if one.arg not in ("self", "cls")]


def test_files_and_functions_are_short():
    long = [f"{file.relative_to(ROOT)}" for file in FILES if len(file.read_text().splitlines()) > MOST_FILE_LINES]
    long += [
        f"{file.relative_to(ROOT)}: {function.name}"
        for file in FILES
        for function in functions(file)
        if function.end_lineno - function.lineno + 1 > MOST_FUNCTION_LINES
    ]
    assert long == []


def test_functions_of_many_arguments_take_a_value_that_carries_them():
    found = {
        f"{file.relative_to(ROOT)}: {function.name}": arguments(function)
        for file in FILES
        for function in functions(file)
        if not is_command(file, function)
    }
    assert len(found) > 1500  # the walk found them
    assert {name: many for name, many in found.items() if len(many) > MOST_ARGUMENTS} == {}


def configs_asked(file, function):
    """The dataclasses that a command fills from its arguments by ``asked``, from where it imports them."""
    homes = {
        alias.name: node.module
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "asked":
            name = ast.unparse(call.args[0])
            yield getattr(importlib.import_module(homes[name]), name), {one.arg for one in call.keywords}


def test_no_argument_of_a_command_is_dropped():
    """``asked`` takes those that are called as the config's fields; all others the command uses by their names."""
    commands = 0
    for file in (ROOT / "cli").glob("*.py"):
        for function in functions(file):
            if not is_command(file, function) or not (configs := list(configs_asked(file, function))):
                continue
            commands += 1
            taken = {one.name for kind, read in configs for one in fields(kind) if one.name not in read}
            used = {node.id for node in ast.walk(ast.Module(function.body, [])) if isinstance(node, ast.Name)}
            assert set(arguments(function)) - taken - used == set(), file.name
    assert commands >= 5
