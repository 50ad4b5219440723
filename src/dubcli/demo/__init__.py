"""Nothing -> a small dubbed corpus and the whole way through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.demo.config import DemoConfig, demo_corpus
from dubcli.lazy import lazy_exports

if TYPE_CHECKING:
    from dubcli.demo.walk import run_demo as run_demo

__all__ = ["DemoConfig", "demo_corpus", "run_demo"]

__getattr__ = lazy_exports(__name__, {"run_demo": "walk"})
