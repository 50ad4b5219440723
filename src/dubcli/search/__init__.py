"""Ask a model: which clips sound, or look, like this?

``build_index`` places the clips of a cache or of a folder in a model's contrastive space, ``search`` ranks them by a
query: a sound, a picture, a video, or a clip of the index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports
from dubcli.search.config import SearchConfig

if TYPE_CHECKING:
    from dubcli.search.build import build_index
    from dubcli.search.index import Index, IndexRow
    from dubcli.search.stage import Hit, search

__all__ = ["Hit", "Index", "IndexRow", "SearchConfig", "build_index", "search"]

__getattr__ = lazy_exports(
    __name__, {"build_index": "build", "Index": "index", "IndexRow": "index", "Hit": "stage", "search": "stage"}
)
