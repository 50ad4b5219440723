"""What a step was made of: a small file per step, so that a plan goes on where it was, and redoes what it changes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.core.atomic import read_json, strict, write_json
from dubcli.core.same import first_difference
from dubcli.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Mark:
    """``recipe``: what the step was made of. ``seconds``: how long it took, over all its starts; None: not finished."""

    recipe: Mapping[str, Any]
    outputs: tuple[Path, ...] = ()
    seconds: float | None = None
    spent_seconds: float = 0.0


class Marks:
    """The marks of a plan, in ``OUT/steps``. Every process writes those of its own steps only.

    ``writes`` False: of the machines that train together, all but the first read them alone.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder = folder
        self.writes = writes

    def read(self, name: str) -> Mark | None:
        """None where the step was never begun, or its mark is damaged: then it is done again."""
        file = self._file(name)
        if not file.is_file():
            return None
        with suppress(UserError, KeyError, TypeError):
            content = read_json(file)
            return Mark(
                recipe=content["recipe"],
                outputs=tuple(self.folder.parent / path for path in content["outputs"]),
                seconds=content["seconds"],
                spent_seconds=float(content["spent_seconds"]),
            )
        return None

    def begin(self, name: str, recipe: Mapping[str, Any]) -> float:
        """Note that the step is under way. Returns the seconds that its former starts with this recipe took."""
        before = self.read(name)
        same = before is not None and before.seconds is None and before.recipe == as_json(recipe)
        spent = before.spent_seconds if before is not None and same else 0.0
        self._write(name, recipe, (), None, spent)
        return spent

    def pause(self, name: str, recipe: Mapping[str, Any], spent_seconds: float) -> None:
        """Note how long the step has taken when it is interrupted."""
        self._write(name, recipe, (), None, spent_seconds)

    def finish(self, name: str, recipe: Mapping[str, Any], outputs: Iterable[Path], seconds: float) -> None:
        """Note that the step is done."""
        self._write(name, recipe, outputs, seconds, seconds)

    def _write(
        self, name: str, recipe: Mapping[str, Any], outputs: Iterable[Path], seconds: float | None, spent: float
    ) -> None:
        if not self.writes:
            return
        content = {
            "step": name,
            "recipe": as_json(recipe),
            "outputs": [_relative(path, self.folder.parent) for path in outputs],
            "seconds": None if seconds is None else round(seconds, 3),
            "spent_seconds": round(spent, 3),
            "written": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_json(self._file(name), content)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name.replace('/', '--')}.json"


def as_json(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as it comes back from JSON."""
    found: dict[str, Any] = json.loads(json.dumps(strict(recipe)))
    return found


def digest(recipe: Mapping[str, Any]) -> str:
    """12 hex digits of a recipe."""
    return hashlib.sha256(json.dumps(as_json(recipe), sort_keys=True).encode()).hexdigest()[:12]


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first word of two recipes that differs, with both values: ``epochs was 10, now 20``. Empty: none does."""
    found = first_difference(before, as_json(now)) or first_difference(as_json(now), before)
    if found is None:
        return ""
    name = found[0]
    return f"{name} was {before.get(name, 'not said')}, now {as_json(now).get(name, 'not said')}"


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
