"""Frozen features of sounds, videos and clip caches (paper section 3.5).

``embed`` writes a folder of features from the inputs of ``dubav embed``, ``embed_files`` returns the features of a list
of files and keeps them in a folder, ``Embedder`` turns waveforms and frames in memory into features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.embed.config import EmbedConfig

if TYPE_CHECKING:
    from dubcli.embed.embedder import Embedder
    from dubcli.embed.run import embed, embed_files
    from dubcli.embed.store import Features, load_features

__all__ = ["EmbedConfig", "Embedder", "Features", "embed", "embed_files", "load_features"]

_HOMES = {
    "Embedder": "embedder",
    "Features": "store",
    "load_features": "store",
    "embed": "run",
    "embed_files": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
