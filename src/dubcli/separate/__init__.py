"""Sound without speech by Demucs, in bounded memory (paper section 3.4, variant 4, and appendix D)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.separate.config import SeparateConfig

if TYPE_CHECKING:
    from dubcli.separate.stage import separate

__all__ = ["SeparateConfig", "separate"]


def __getattr__(name: str) -> Any:
    if name == "separate":
        from dubcli.separate.stage import separate

        return separate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
