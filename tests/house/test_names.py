"""One name, one thing: no two public classes of the package share a name, nor two functions that could be confused."""

import ast
from collections import defaultdict
from pathlib import Path

import dubcli

ROOT = Path(dubcli.__file__).parent
READERS = ("read", "read_own")  # of a data set, each in the file of its task, as probe/tasks/registry.py calls them
PLUGINS = ("core/plugins.py", "mteb.py")  # ``plugins.load`` and ``dubcli.mteb.load`` are called by these names alone


def places(kind):
    """{name: the files that define it}, of what is public and stands on its own."""
    found = defaultdict(list)
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, kind) and not node.name.startswith("_"):
                found[node.name].append(file.relative_to(ROOT).as_posix())
    return found


def is_command_of_stage(name, files):
    """A command is called as the stage's function that it calls."""
    return len(files) == 2 and f"cli/{name}.py" in files


def test_no_two_public_classes_of_one_name():
    found = places(ast.ClassDef)
    assert len(found) > 250  # the walk found them
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def test_no_two_public_functions_of_one_name():
    found = places(ast.FunctionDef)
    assert len(found) > 600
    assert {
        name: files
        for name, files in found.items()
        if len(files) > 1
        and not is_command_of_stage(name, files)
        and not (name in READERS and all(file.startswith("probe/tasks/") for file in files))
        and not (name == "load" and tuple(files) == PLUGINS)
    } == {}
