"""Models of a study: trained by the product, and the ceiling, the same backbone trained on the labels themselves."""

from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
import torch
from study import RANDOM, SUPERVISED, Model, Study
from torch import Tensor, nn

from dubcli.core.backbones import BackboneSpec
from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.layout import lay_out
from dubcli.core.machine import choose_device
from dubcli.core.models import DubModel
from dubcli.core.transforms import draw_masks, mask_spectrograms, normalise_mels
from dubcli.core.variants import parse_variant
from dubcli.jobs.orphans import end_with_parent
from dubcli.jobs.progress import SILENT, Progress
from dubcli.pretrain import train
from dubcli.pretrain.training_films import mel_statistics, read_training_films

MAIN_FACTORS = ("place", "event", "voice")
IGNORED = -100  # of cross-entropy
Labelled = tuple[Tensor, dict[str, Tensor]]  # normalised mels (batch, 2, 96, frames), class numbers by factor
_LEVELS = 0.15  # standard deviations of the log-mels by which a sound is made louder or quieter


def train_models(study: Study, models: list[Model], jobs: int, progress: Progress) -> None:
    """Those that are not there; ``jobs`` at once, each on one thread. What was interrupted goes on."""
    waiting = [model for model in models if model.variant != RANDOM and not study.checkpoint(model).exists()]
    progress.message(f"{len(waiting)} of {len(models)} models to train")
    if jobs == 1:
        for model in waiting:
            train_one(study, model, progress)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        running = {pool.submit(train_one, study, model): model for model in waiting}
        for number, future in enumerate(as_completed(running), start=1):
            future.result()
            progress.message(f"{running[future].name} is trained ({number} of {len(waiting)})")


def _one_thread() -> None:
    torch.set_num_threads(1)
    end_with_parent()


def train_one(study: Study, model: Model, progress: Progress = SILENT) -> None:
    """One model."""
    if model.variant == SUPERVISED:
        train_supervised(study, model, progress)
    else:
        train(study.pretrain_config(model), progress)


def train_supervised(study: Study, model: Model, progress: Progress) -> None:
    """The audio backbone on the main factors' labels, of the films that the others learn from, in all languages."""
    films = read_training_films(str(study.cache(model.corpus)), "a-efj", 0.0)
    languages = study.corpus.languages
    truth = read_truth(study, model.corpus)
    labels = {factor: sorted({row[factor] for row in truth.values()}) for factor in MAIN_FACTORS}
    mean, std = mel_statistics(films.train, films.variant)
    batch, clips = study.training["batch_size"], films.train.clips
    steps = study.training["epochs"] * (clips // batch)
    draw = np.random.default_rng(model.seed)

    def batches() -> Iterator[Labelled]:
        for step in range(steps):
            chosen, spoken = draw.integers(0, clips, batch), draw.integers(0, len(languages), batch)
            mels, rows = [], []
            for clip, number in zip(chosen, spoken, strict=True):
                movie, place = films.train.locate(int(clip))
                mels.append(np.array(movie.mel(languages[number])[place]))
                rows.append(truth[movie.meta["title"], place, languages[number]])
            inputs = normalise_mels(torch.from_numpy(np.stack(mels)), mean, std)
            masks = draw_masks(model.seed, step, chosen.tolist(), "primary")
            yield varied(inputs, masks, draw), targets(rows, labels)

    entries = {"mel_mean": mean, "mel_std": std, "config": {"supervised": list(MAIN_FACTORS)}}
    progress.start(model.name, steps, "steps")
    network = learn_labels(
        batches(), steps, labels, preset=study.training["preset"], backbones=study.backbones, seed=model.seed,
        rate=study.supervised_rate, told=lambda step: progress.update(model.name, step),
    )  # fmt: skip
    progress.finish(model.name)
    save_checkpoint(study.checkpoint(model), model_entries(network, **entries))


def varied(inputs: Tensor, masks: Tensor, draw: np.random.Generator) -> Tensor:
    """Normalised mels turned round in time and louder or quieter, against learning clips by heart, and masked."""
    inputs = torch.roll(inputs, int(draw.integers(inputs.shape[3])), 3)
    inputs = inputs + torch.from_numpy(draw.normal(0, _LEVELS, (len(inputs), 1, 1, 1)).astype(np.float32))
    return mask_spectrograms(inputs, masks)


def targets(rows: Sequence[Mapping[str, str]], labels: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """Numbers of the rows' labels by factor; of two who speak it cannot be told who began, so they are not asked."""
    return {
        factor: torch.tensor(
            [names.index(row[factor]) if factor != "voice" or row["count"] == "1" else IGNORED for row in rows]
        )
        for factor, names in labels.items()
    }


def learn_labels(
    batches: Iterator[Labelled],
    steps: int,
    labels: Mapping[str, Sequence[str]],
    *,
    preset: str,
    backbones: Mapping[str, BackboneSpec],
    seed: int,
    rate: float,
    told: Callable[[int], None] = lambda step: None,
) -> DubModel:
    """A model whose audio backbone learnt from labelled batches, with linear heads; on a GPU if there is one."""
    torch.manual_seed(seed)
    network = DubModel(parse_variant("a", "en", ["en"]), preset, backbones=backbones)
    device = choose_device()
    lay_out(network.to(device), device)
    heads = nn.ModuleDict({factor: nn.Linear(1024, len(names)) for factor, names in labels.items()}).to(device)
    optimiser = torch.optim.AdamW([*network.audio.parameters(), *heads.parameters()], lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=0.05)
    for step, (inputs, asked) in enumerate(batches, start=1):
        features = network.embed_audio(inputs.to(device))
        losses = [nn.functional.cross_entropy(heads[factor](features), asked[factor].to(device)) for factor in labels]
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()
        schedule.step()
        told(step)
    return network


def read_truth(study: Study, corpus: str) -> dict[tuple[str, int, str], dict[str, str]]:
    """{(film, clip, language): row of the table of labels}."""
    with open(study.corpus_folder(corpus) / "labels.csv", newline="", encoding="utf-8") as file:
        return {(row["film"], int(row["clip"]), row["language"]): row for row in csv.DictReader(file)}
