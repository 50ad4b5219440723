"""Films with several sound tracks -> clip cache: choose tracks, decode, downmix, check the dubs' sync, write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.prep.config import PrepConfig

if TYPE_CHECKING:
    from dubcli.prep.stage import prepare as prepare

__all__ = ["PrepConfig", "prepare"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from dubcli.prep import stage

        return getattr(stage, name)
    raise AttributeError(name)
