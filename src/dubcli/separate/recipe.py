"""What each output file was made of and with: written when it is complete, compared before it is taken for done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dubcli.core.atomic import read_json, write_json
from dubcli.core.same import first_difference
from dubcli.errors import UserError

RECIPES_FOLDER = ".separate"
"""In the output folder, and hidden, so that a data set's readers do not see it. It has the layout of the outputs."""


def recipe_file(out: Path, target: Path) -> Path:
    """Where the recipe of the output ``target`` lies."""
    return out / RECIPES_FOLDER / target.parent.relative_to(out) / f"{target.name}.json"


Recipes = Mapping[Path, Mapping[str, Any]]
"""By output file."""


def what_differs(out: Path, recipes: Recipes) -> str | None:
    """Why an output has to be made; None where all are there, made by the same recipe."""
    for target, recipe in recipes.items():
        if not target.exists():
            return "not there"
        file = recipe_file(out, target)
        if not file.exists():
            return f"{target.name} was there without a recipe"
        try:
            found = first_difference(read_json(file), recipe)
        except UserError:
            return f"{target.name} was there with a recipe that cannot be read"
        if found is not None:
            return f"{target.name} was made with {found[0]} {found[1]}, now it is {found[2]}"
    return None


def forget(out: Path, targets: Iterable[Path]) -> None:
    """Before outputs are made anew: a kill between an output and its recipe must leave no lie."""
    for target in targets:
        recipe_file(out, target).unlink(missing_ok=True)


def record(out: Path, recipes: Recipes) -> None:
    """The outputs are complete. Names that are no text are kept as they are. Raises OSError."""
    for target, recipe in recipes.items():
        file = recipe_file(out, target)
        os.makedirs(file.parent, exist_ok=True)
        write_json(file, dict(recipe))


def owner(out: Path, target: Path) -> str | None:
    """The name of the file that an output is of; None where nothing says so."""
    try:
        return str(read_json(recipe_file(out, target))["file"])
    except (UserError, KeyError):
        return None
