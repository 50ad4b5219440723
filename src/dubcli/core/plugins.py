"""Plug-ins: code from outside the package, by MODULE:NAME or by the name of an entry point. The one room for both.

A package offers plug-ins in its ``pyproject.toml``, in one of ``GROUPS``, and whoever installs it asks for the name::

    [project.entry-points."dubcli.tasks"]
    urbansound8k = "urbansound8k:TASK"

``MODULE:NAME`` needs no package; the module is looked for in the working folder, too. Names built in come first: what
is installed beside the package cannot change what they mean.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from dubcli.errors import UserError, did_you_mean

GROUPS = ("dubcli.backbones", "dubcli.tasks", "dubcli.protocols", "dubcli.separators", "dubcli.speech")


def load(group: str, name: str, builtin: Mapping[str, Any] | None = None, *, asked: str) -> Any:
    """What ``name`` means: one of ``builtin``, the object of an entry point of ``group``, or that of MODULE:NAME.

    Args:
        group: one of ``GROUPS``.
        name: as the user gave it.
        builtin: the package's own, by name.
        asked: what the user was asked for, as errors begin: ``"--protocol"`` or ``"task"``.

    Raises:
        UserError: one line: no such name (with near ones), or a module that does not import or lacks the name.
    """
    if builtin is not None and name in builtin:
        return builtin[name]
    installed = {entry.name: entry for entry in entry_points(group=group)}
    if name in installed:
        return _entry_object(installed[name], asked)
    if ":" in name:
        return load_object(name, asked=asked)
    known = names(group, builtin)
    listed = f"one of {', '.join(known)}, or " if known else ""
    raise UserError(f"{asked} is {name!r}{did_you_mean(name, known)}; give {listed}MODULE:NAME of your own")


def names(group: str, builtin: Mapping[str, Any] | None = None) -> list[str]:
    """The names that ``load`` knows: those built in, then those of entry points. Nothing is imported."""
    return list(dict.fromkeys([*(builtin or ()), *sorted(entry.name for entry in entry_points(group=group))]))


def load_object(spec: str, *, asked: str) -> Any:
    """``"module:name"`` -> the object; ``name`` may have dots. Raises UserError as ``load`` does."""
    module_name, _, name = spec.partition(":")
    if not module_name or not name:
        raise UserError(f"{asked} is {spec!r}; give MODULE:NAME, as in mymodule:thing")
    return _attribute(load_module(module_name, asked=f"{asked} {spec}"), name, f"{asked} {spec}")


def load_module(name: str, *, asked: str) -> ModuleType:
    """Import a module; the working folder counts. Raises UserError that says why it cannot be, and on which line."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    importlib.invalidate_caches()  # a file may be younger than what Python remembers of its folder
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            near = did_you_mean(error.name, [module.name for module in pkgutil.iter_modules()])
            why = f"there is no module {error.name}{near}; install it, or stand in its folder"
            raise UserError(f"{asked} cannot be imported: {why}") from None
        raise UserError(f"{asked} cannot be imported: {_said(error)}") from None
    except Exception as error:  # whatever goes wrong in code that is not ours
        raise UserError(f"{asked} cannot be imported: {_said(error)}") from None


def _entry_object(entry: EntryPoint, asked: str) -> Any:
    origin = f" of the package {entry.dist.name}" if entry.dist is not None else ""
    said = f"{asked} {entry.name}{origin}"
    return _attribute(load_module(entry.module, asked=said), entry.attr, said)


def _attribute(module: ModuleType, path: str, asked: str) -> Any:
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            there = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
            raise UserError(f"{asked}: {module.__name__} has no {path}{did_you_mean(part, there)}")
        found = getattr(found, part)
    return found


def _said(error: Exception) -> str:
    """The error's kind and first line, and the line of code that raised it."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename or '').name}, line {error.lineno})"
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = next(iter(str(error).splitlines()), "")
    place = "" if "importlib" in last.filename else f" ({Path(last.filename).name}, line {last.lineno})"
    return f"{type(error).__name__}: {text}{place}"
