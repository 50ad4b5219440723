"""What the walk can be told. No torch, no numpy here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dubcli.corpus.config import CorpusConfig


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """The walk: corpus, prep, pretrain, embed, probe, table. ``keep`` None: a temporary folder, removed at the end."""

    keep: Path | None = None
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    variants: tuple[str, ...] = ("mono", "efj")
    factors: tuple[str, ...] = ("place", "event")
    preset: str = "tiny"
    epochs: int = 4
    batch_size: int = 12
    k: int = 6
    seed: int = 0
    workers: int | None = None
