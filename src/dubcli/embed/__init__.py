"""Frozen features of sounds, videos and clip caches (paper section 3.5).

``embed`` writes a folder of features from the inputs of ``dubav embed``, ``embed_files`` returns the features of a list
of files and keeps them in a folder, ``Embedder`` turns waveforms and frames in memory into features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.embed.config import EmbedConfig
from dubcli.lazy import lazy_exports

if TYPE_CHECKING:
    from dubcli.embed.embedder import Embedder
    from dubcli.embed.run import embed, embed_files
    from dubcli.embed.store import Features, load_features

__all__ = ["EmbedConfig", "Embedder", "Features", "embed", "embed_files", "load_features"]

__getattr__ = lazy_exports(
    __name__,
    {
        "Embedder": "embedder",
        "Features": "store",
        "load_features": "store",
        "embed": "run",
        "embed_files": "run",
    },
)
