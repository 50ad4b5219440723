"""A small dubbed corpus from nothing, the whole way through it, and dubs for one's own film from subtitles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.demo.config import CorpusConfig, DemoConfig, DubConfig

if TYPE_CHECKING:
    from dubcli.demo.corpus import make_corpus
    from dubcli.demo.dub import dub_film
    from dubcli.demo.walk import run_demo

__all__ = ["CorpusConfig", "DemoConfig", "DubConfig", "dub_film", "make_corpus", "run_demo"]

_HOMES = {"make_corpus": "corpus", "run_demo": "walk", "dub_film": "dub"}


def __getattr__(name: str) -> Any:
    # loaded on first use, so that the command's help needs no numpy
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"dubcli.demo.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
