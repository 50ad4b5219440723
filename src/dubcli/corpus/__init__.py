"""Nothing -> a counterfactual corpus with its truth: one background, one picture, other words in each language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.corpus.config import CorpusConfig

if TYPE_CHECKING:
    from dubcli.corpus.stage import make_corpus as make_corpus

__all__ = ["CorpusConfig", "make_corpus"]


def __getattr__(name: str) -> Any:
    # loaded on first use, so that the command's help needs no numpy
    if name == "make_corpus":
        from dubcli.corpus.stage import make_corpus

        return make_corpus
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
