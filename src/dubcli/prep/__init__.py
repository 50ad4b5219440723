"""Films with several sound tracks -> clip cache: choose tracks, decode, downmix, check the dubs' sync, write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports
from dubcli.prep.config import PrepConfig

if TYPE_CHECKING:
    from dubcli.prep.stage import prepare as prepare

__all__ = ["PrepConfig", "prepare"]

__getattr__ = lazy_exports(__name__, {"prepare": "stage"})
