"""Files that users write: TOML, read in one way with errors in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dubcli.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def parse_toml(text: str) -> dict[str, Any]:
    """Raises ValueError (tomllib's TOMLDecodeError)."""
    found: dict[str, Any] = tomllib.loads(text)
    return found


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The file's content. ``what`` it should have been, for the error's text: ``a plan such as examples/paper.toml``.

    Raises UserError where it cannot be read.
    """
    if path.is_dir() or not path.exists():  # a pipe will do
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; give {what}")
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # not to be read, no UTF-8, no TOML
        raise UserError(f"{path} cannot be read as TOML: {getattr(error, 'strerror', None) or error}") from None
