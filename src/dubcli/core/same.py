"""Made with X, now Y: what is there is compared with what is asked for before it is kept, added to or gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dubcli.errors import UserError


def first_difference(
    made_with: Mapping[str, Any], wanted: Mapping[str, Any], *, new_names_differ: bool = True
) -> tuple[str, Any, Any] | None:
    """(name, value there, value wanted) of the first of ``wanted`` that differs; None where all are the same.

    ``new_names_differ``: whether a name that is not there, since an earlier version did not know it, is a difference.
    """
    for name, value in wanted.items():
        if (name in made_with or new_names_differ) and made_with.get(name) != value:
            return name, made_with.get(name), value
    return None


def require_same(
    made_with: Mapping[str, Any],
    wanted: Mapping[str, Any],
    what: str,
    advice: str,
    *,
    now: str = "now it is",
    new_names_differ: bool = True,
) -> None:
    """Raise UserError in one line, with both values, where something differs.

    ``what`` begins it (``"cache/ was made with"``), ``now`` goes before the value wanted, ``advice`` says what to do.
    """
    found = first_difference(made_with, wanted, new_names_differ=new_names_differ)
    if found is not None:
        name, was, value = found
        raise UserError(f"{what} {name} {_told(was)}, {now} {_told(value)}; {advice}")


def _told(value: Any) -> Any:
    """An option that is not given has an empty value."""
    return "unset" if value in ("", None) else value
