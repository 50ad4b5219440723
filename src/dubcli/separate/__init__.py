"""Sound without speech by Demucs, in bounded memory (paper section 3.4, variant 4, and appendix D)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports
from dubcli.separate.config import SeparateConfig

if TYPE_CHECKING:
    from dubcli.separate.stage import separate

__all__ = ["SeparateConfig", "separate"]

__getattr__ = lazy_exports(__name__, {"separate": "stage"})
