"""What a plan of the experiment says: corpora, models and their seeds, and where everything lies.

A plan is a TOML file (``main.toml`` and the others beside it); its words are those of the classes here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubcli.core.backbones import BackboneSpec
from dubcli.corpus import CorpusConfig
from dubcli.prep.config import SHORT_SIDE
from dubcli.pretrain import PretrainConfig
from dubcli.pretrain.model import named_backbones

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RANDOM, SUPERVISED, MAIN = "random", "supervised", "main"
# what each corpus does otherwise than the main one
CORPORA: dict[str, dict[str, Any]] = {
    MAIN: {},
    "unlinked": {"link": 0.0},
    "silent": {"speech": "silent"},
    "same": {"dubs": "same"},
    "wrong": {"dubs": "wrong-background"},
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model: ``variant`` as of ``dubav pretrain``, random or supervised; the corpus that it learns from."""

    variant: str
    corpus: str = MAIN
    seed: int

    @property
    def kind(self) -> str:
        """The same for all seeds."""
        return self.variant if self.corpus == MAIN else f"{self.variant}@{self.corpus}"

    @property
    def name(self) -> str:
        """Of its run's folder and of its files."""
        return f"{self.kind}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """A plan. ``stages``: names of groups of models, each with its models in order. ``short_side``: of the caches'
    pictures, in pixels."""

    corpus: CorpusConfig
    stages: dict[str, tuple[Model, ...]]
    training: dict[str, Any]
    short_side: int = SHORT_SIDE
    supervised_rate: float = 4e-3
    head_films: int = 60
    valid_films: int = 12
    epochs_shown: tuple[int, ...] = ()
    epoch_kinds: tuple[str, ...] = ("mono", "efj")
    out: Path = field(default=Path("counterfactual"))

    @staticmethod
    def corpora(models: Sequence[Model]) -> tuple[str, ...]:
        """Those that these models learn from, the main one first: it has the films to measure on."""
        used = {model.corpus for model in models}
        return tuple(name for name in CORPORA if name == MAIN or name in used)

    @property
    def models(self) -> tuple[Model, ...]:
        """Of all stages."""
        return tuple(model for stage in self.stages.values() for model in stage)

    def corpus_config(self, name: str) -> CorpusConfig:
        """A control's corpus has no held-out films: all models are measured on those of the main one."""
        changes: dict[str, Any] = dict(CORPORA[name])
        if name != MAIN:
            changes["heldout"] = 0
        return CorpusConfig(**{**vars(self.corpus), **changes})

    def corpus_folder(self, name: str) -> Path:
        """Where a corpus is made."""
        return self.out / "corpora" / name

    def cache(self, name: str) -> Path:
        """Where it is prepared."""
        return self.out / "caches" / name

    @property
    def heldout_cache(self) -> Path:
        """Films that are measured on."""
        return self.out / "caches" / "heldout"

    def run(self, model: Model) -> Path:
        """A run's folder."""
        return self.out / "runs" / model.name

    def checkpoint(self, model: Model, epoch: int | None = None) -> Path:
        """Of an epoch, by default of the last."""
        return self.run(model) / f"epoch-{epoch or self.training['epochs']:02d}.pt"

    def pretrain_config(self, model: Model) -> PretrainConfig:
        """A model's training. Without a GPU one process reads and trains: several models at once use cores better."""
        return PretrainConfig(
            cache=str(self.cache(model.corpus)), variant=model.variant, seed=model.seed, out=str(self.run(model)),
            val_fraction=0.0, **{"loader_workers": 0, **self.training},
        )  # fmt: skip

    @property
    def backbones(self) -> dict[str, BackboneSpec]:
        """The plan's, for models that ``dubav pretrain`` does not make."""
        return named_backbones(self.pretrain_config(self.models[0]))

    def split_of(self, film: int) -> str:
        """Of a held-out film by its number: heads are trained on the first, chosen on the next, tested on the rest."""
        if film < self.head_films:
            return "train"
        return "valid" if film < self.head_films + self.valid_films else "test"


def read_study(path: Path, out: Path) -> Study:
    """The plan in a file."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    stages = {
        name: tuple(
            Model(variant=entry["variant"], corpus=entry.get("corpus", MAIN), seed=seed)
            for entry in entries
            for seed in entry["seeds"]
        )
        for name, entries in content.pop("stages").items()
    }
    corpus = CorpusConfig(heldout_as="films", **_tuples(content.pop("corpus")))
    return Study(corpus=corpus, stages=stages, out=out, **_tuples(content))


def _tuples(table: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
