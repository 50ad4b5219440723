"""Nothing -> a small dubbed corpus and the whole way through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.demo.config import DemoConfig, demo_corpus

if TYPE_CHECKING:
    from dubcli.demo.walk import run_demo as run_demo

__all__ = ["DemoConfig", "demo_corpus", "run_demo"]


def __getattr__(name: str) -> Any:
    # loaded on first use, so that the command's help needs no numpy
    if name == "run_demo":
        from dubcli.demo.walk import run_demo

        return run_demo
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
