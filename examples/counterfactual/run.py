"""Do dubs help? The paper's question on a corpus that anyone can make (README.md beside says what came out).

Every model is trained on the same films with several seeds and probed on every factor that the corpus was made from.
Test films are looked at once, by the probes; nothing is chosen by their scores. Run again to go on after a stop.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dubcli.cache.reader import Cache
from dubcli.cache.writer import added_mel, update_movie
from dubcli.cli.console import make_progress
from dubcli.core.features import SAMPLE_RATE, log_mel
from dubcli.core.tracks import NOSPEECH, Track
from dubcli.corpus import CorpusConfig, make_corpus
from dubcli.corpus.plan import plan_film
from dubcli.corpus.probes import FACTORS
from dubcli.corpus.sounds import background
from dubcli.corpus.stage import downmixed
from dubcli.jobs.options import JobOptions
from dubcli.media.resample import resampled
from dubcli.prep import PrepConfig, prepare
from dubcli.pretrain import PretrainConfig, train
from dubcli.probe import ProbeConfig, probe


def main() -> None:
    options = _arguments()
    progress = make_progress(quiet=options.quiet)
    jobs = JobOptions(workers=options.workers)
    corpus = make_corpus(
        options.out / "corpus",
        CorpusConfig(
            films=options.films,
            heldout=options.heldout,
            minutes=options.minutes,
            speech_db=options.speech_db,
            one_scene=options.one_scene,
        ),
        options=jobs,
        progress=progress,
    )
    cache = options.out / "cache"
    prepare([corpus.films], PrepConfig(languages=corpus.config.languages, cache=cache), jobs, progress)
    if "sep" in options.variants:
        write_true_background(cache, corpus.config)
    for seed in range(options.seeds):
        for variant in options.variants:
            config = PretrainConfig(
                cache=str(cache), variant=variant, preset=options.preset, epochs=options.epochs, seed=seed,
                batch_size=options.batch_size, k=options.batch_size // 2, precision=options.precision,
                mask_probability=options.mask_probability,
                out=str(run_folder(options, variant, seed)),
            )  # fmt: skip
            if not (run_folder(options, variant, seed) / f"epoch-{options.epochs:02d}.pt").exists():
                train(config, progress)
        models = [f"random:{options.preset}:{seed}"]
        models += [str(run_folder(options, variant, seed)) for variant in options.variants]
        for factor in FACTORS:
            config_of_probe = ProbeConfig(
                data=corpus.probes / factor, out=options.out / "results", protocol="logreg", preset=options.preset
            )
            probe("folder", models, config_of_probe, progress)
    print(table(options))


def run_folder(options: argparse.Namespace, variant: str, seed: int) -> Path:
    return options.out / "runs" / f"{variant}-seed{seed}"


def write_true_background(cache: Path, config: CorpusConfig) -> None:
    """The no-speech mels from the background itself: a separation without errors, which no program reaches."""
    plans = {plan.name: plan for plan in (plan_film(config, index) for index in range(config.films))}
    for movie in Cache(cache).movies:
        if movie.has(Track(movie.primary, NOSPEECH)):
            continue
        stereo = torch.from_numpy(downmixed(background(plans[movie.meta["title"]])))
        clips = []
        for clip in range(movie.n_clips):
            part = stereo[:, clip * 144000 : (clip + 1) * 144000]
            at_44100 = torch.from_numpy(resampled(part.numpy(), SAMPLE_RATE, 44100))
            clips.append(log_mel(at_44100, 44100).numpy().astype(np.float16))
        with added_mel(movie.folder, Track(movie.primary, NOSPEECH)) as writer:
            writer.append(np.stack(clips))
        update_movie(cache, movie.folder, _with_nospeech)


def _with_nospeech(meta: dict[str, Any]) -> None:
    meta.setdefault(NOSPEECH, {})[meta["primary"]] = {"model": "the background itself"}


def table(options: argparse.Namespace) -> str:
    """Mean and standard deviation over seeds of each model on each factor, as Markdown."""
    columns = ["random", *options.variants]
    lines = ["| factor | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for factor in FACTORS:
        scores: dict[str, list[float]] = {name: [] for name in columns}
        for path in sorted((options.out / "results" / f"folder-{factor}").glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            scores["random" if path.name.startswith("random") else path.name.split("-seed")[0]].append(content["mean"])
        lines.append(f"| {factor} | " + " | ".join(_cell(scores[name]) for name in columns) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.fmean(values):.3f}" + (f"±{statistics.stdev(values):.3f}" if len(values) > 1 else "")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("counterfactual"))
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--heldout", type=int, default=72)
    parser.add_argument("--minutes", type=float, default=0.75)
    parser.add_argument("--speech-db", type=float, default=6.0)
    parser.add_argument("--one-scene", action="store_true", help="films for pretraining of one scene each")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--mask-probability", type=float, default=0.5)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--precision", default="auto", help="bf16 is faster on CPUs with AMX")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument(
        "--variants", type=lambda text: text.split(","), default=["mono", "es", "efj", "sep", "a", "a-efj"]
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
