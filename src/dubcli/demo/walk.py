"""The whole way: corpus, clip cache, two models, features, probes, a table. Only the stages' public functions are used.

What is there from an interrupted walk in the same folder is not done again: every stage knows its own results.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubcli.core.machine import gpu_count
from dubcli.corpus.stage import Corpus, make_corpus
from dubcli.demo.config import DemoConfig
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import JobSummary
from dubcli.jobs.progress import SILENT, Progress

if TYPE_CHECKING:
    from dubcli.probe.results import ProbeResult


@dataclass(frozen=True, kw_only=True)
class DemoSummary:
    """What the walk made. ``scores``: {factor: {model: top-1}}; ``seconds``: {step: wall time}.

    ``test_sounds``: in the smallest test set.
    """

    folder: Path
    kept: bool
    films: int
    clips: int
    test_sounds: int
    chance: dict[str, float]
    scores: dict[str, dict[str, float]]
    seconds: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**dataclasses.asdict(self), "folder": str(self.folder)}


def run_demo(config: DemoConfig = DemoConfig(), progress: Progress = SILENT) -> DemoSummary:  # noqa: B008 - frozen
    """Walk the whole way on a small corpus that is made for it: prep, pretrain, embed, probe, report.

    Args:
        config: the corpus, the variants, the folder that is kept (else a temporary one).
        progress: takes bars and lines.

    Returns:
        Where everything is, and the scores.

    Raises:
        UserError: the demo extra is not installed.

    >>> from dubcli.demo import DemoConfig, run_demo
    >>> run_demo(DemoConfig(variants=("mono", "es"), epochs=2))  # doctest: +SKIP
    """
    with _folder(config) as folder:
        return _Walk(folder, config, progress).run()


@contextmanager
def _folder(config: DemoConfig) -> Iterator[Path]:
    if config.keep is not None:
        config.keep.mkdir(parents=True, exist_ok=True)
        yield config.keep
        return
    folder = Path(tempfile.mkdtemp(prefix="dubav-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Walk:
    def __init__(self, folder: Path, config: DemoConfig, progress: Progress) -> None:
        self.folder, self.config, self.progress = folder, config, progress
        self.options = JobOptions(workers=config.workers)
        self.seconds: dict[str, float] = {}

    def run(self) -> DemoSummary:
        """Every step in order."""
        with self._step("corpus"):
            corpus = make_corpus(
                self.folder / "corpus", self.config.corpus, options=self.options, progress=self.progress
            )
        with self._step("prep"):
            clips = self._prepare(corpus)
        for variant in self.config.variants:
            with self._step(f"pretrain {variant}"):
                self._pretrain(variant)
        with self._step("embed"):
            self._embed()
        with self._step("probe"):
            results = self._probe(corpus)
        return DemoSummary(
            folder=self.folder,
            kept=self.config.keep is not None,
            films=self.config.corpus.films,
            clips=clips,
            test_sounds=min(sum(_label_counts(corpus.probes / factor / "test")) for factor in results),
            chance={factor: _majority(corpus.probes / factor / "test") for factor in results},
            scores={factor: {_short(r.model): r.mean for r in found} for factor, found in results.items()},
            seconds=self.seconds,
        )

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        self.progress.message(f"{name} ...")
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)

    def _prepare(self, corpus: Corpus) -> int:
        from dubcli.cache.reader import Cache
        from dubcli.prep import PrepConfig, prepare

        config = PrepConfig(languages=corpus.config.languages, cache=self.folder / "cache")
        _all_done(prepare([corpus.films], config, self.options, self.progress))
        return sum(movie.n_clips for movie in Cache(self.folder / "cache").movies)

    def _pretrain(self, variant: str) -> None:
        from dubcli.pretrain import PretrainConfig, train

        config = PretrainConfig(
            cache=str(self.folder / "cache"),
            variant=variant,
            preset=self.config.preset,
            epochs=self.config.epochs,
            batch_size=self.config.batch_size,
            k=self.config.k,
            precision=_precision(),
            seed=self.config.seed,
            out=str(self.folder / "runs" / variant),
        )
        train(config, self.progress)

    def _embed(self) -> None:
        from dubcli.embed import EmbedConfig, embed

        run = self.folder / "runs" / self.config.variants[-1]
        _all_done(
            embed(
                [str(self.folder / "cache")],
                str(run),
                self.folder / "features" / run.name,
                EmbedConfig(),
                self.options,
                self.progress,
            )
        )

    def _probe(self, corpus: Corpus) -> dict[str, list[ProbeResult]]:
        from dubcli.probe import ProbeConfig, probe

        models = ["random", *(str(self.folder / "runs" / variant) for variant in self.config.variants)]
        results = {}
        for factor in self.config.factors:
            config = ProbeConfig(
                data=corpus.probes / factor,
                out=self.folder / "results",
                protocol="logreg",
                preset=self.config.preset,
                seed=self.config.seed,
            )
            results[factor] = probe("folder", models, config, self.progress)
        return results


def _precision() -> str:
    """bf16 on CPUs with matrix instructions for it, where a step takes 0.6 of its time in fp32."""
    import torch

    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if capabilities.get("amx_bf16") and not gpu_count() else "auto"


def _all_done(summary: JobSummary) -> None:
    for failure in summary.failures:
        raise UserError(f"the demo cannot go on: {failure.key}: {failure.reason}")


def _short(model: str) -> str:
    """``efj-ckpt`` -> ``efj``, ``random-seed0-tiny`` -> ``random``."""
    return "random" if model.startswith("random") else model.removesuffix("-ckpt")


def _majority(folder: Path) -> float:
    """The score of always giving the commonest label: what a model must beat."""
    counts = _label_counts(folder)
    return max(counts) / sum(counts)


def _label_counts(folder: Path) -> list[int]:
    return [sum(1 for _ in label.iterdir()) for label in folder.iterdir() if label.is_dir()]
