"""The examples that end a docstring, as a section of its own for the documentation's parser."""

from __future__ import annotations

from typing import Any

import griffe


class Doctests(griffe.Extension):
    """Puts ``Examples:`` before the first ``>>>`` of a docstring; all that follows belongs to it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every function, class and module that is read."""
        if obj.docstring is None or "Examples:" in obj.docstring.value:
            return
        lines = obj.docstring.value.splitlines()
        first = next((number for number, line in enumerate(lines) if line.startswith(">>> ")), None)
        if first is not None:
            examples = [f"    {line}".rstrip() for line in lines[first:]]
            obj.docstring.value = "\n".join([*lines[:first], "Examples:", *examples])
