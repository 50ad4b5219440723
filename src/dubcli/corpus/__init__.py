"""Nothing -> a counterfactual corpus with its truth: one background, one picture, other words in each language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.corpus.config import CorpusConfig
from dubcli.lazy import lazy_exports

if TYPE_CHECKING:
    from dubcli.corpus.stage import make_corpus as make_corpus

__all__ = ["CorpusConfig", "make_corpus"]

__getattr__ = lazy_exports(__name__, {"make_corpus": "stage"})
