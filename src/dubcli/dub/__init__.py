"""A film and subtitles -> the film with synthetic dubs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.dub.config import DubConfig

if TYPE_CHECKING:
    from dubcli.dub.stage import dub_film as dub_film

__all__ = ["DubConfig", "dub_film"]


def __getattr__(name: str) -> Any:
    # loaded on first use, so that the command's help needs no numpy
    if name == "dub_film":
        from dubcli.dub.stage import dub_film

        return dub_film
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
