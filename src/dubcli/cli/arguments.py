"""From a command's arguments to what its stage is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Asked = TypeVar("Asked")


def asked(kind: type[Asked], given: Mapping[str, Any], **read: Any) -> Asked:
    """What a stage is asked: of a command's arguments those that are called as fields of ``kind``, and ``read``.

    A test holds that every argument of a command is such a field or used by its name: none is dropped.

    Args:
        kind: a stage's config, or ``JobOptions``.
        given: the command's ``locals()``.
        read: fields by name whose arguments are written otherwise than they are kept, or called otherwise.

    Raises:
        UserError: a value that the config refuses.
    """
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in given.items() if name in names} | read)
