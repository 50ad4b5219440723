"""A film and subtitles -> the film with synthetic dubs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.dub.config import DubConfig
from dubcli.lazy import lazy_exports

if TYPE_CHECKING:
    from dubcli.dub.stage import dub_film as dub_film

__all__ = ["DubConfig", "dub_film"]

__getattr__ = lazy_exports(__name__, {"dub_film": "stage"})
