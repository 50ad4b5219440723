"""Models of a study: trained by the product, and the ceiling, the same backbone trained on the labels themselves."""

from __future__ import annotations

import csv
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
import torch
from study import RANDOM, SUPERVISED, Model, Study
from torch import nn

from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.layout import lay_out
from dubcli.core.models import DubModel
from dubcli.core.transforms import draw_masks, mask_spectrograms, normalise_mels
from dubcli.core.variants import parse_variant
from dubcli.jobs.progress import SILENT, Progress
from dubcli.pretrain import train
from dubcli.pretrain.training_films import mel_statistics, read_training_films

MAIN_FACTORS = ("place", "event", "voice")
IGNORED = -100  # of cross-entropy
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
    torch.manual_seed(model.seed)
    variant = parse_variant("a", languages[0], list(languages))
    network = DubModel(variant, study.training["preset"])
    lay_out(network, torch.device("cpu"))
    labels = {factor: sorted({row[factor] for row in truth.values()}) for factor in MAIN_FACTORS}
    heads = nn.ModuleDict({factor: nn.Linear(1024, len(names)) for factor, names in labels.items()})
    mean, std = mel_statistics(films.train, films.variant)
    batch, clips = study.training["batch_size"], films.train.clips
    steps = study.training["epochs"] * (clips // batch)
    parameters = [*network.audio.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=study.supervised_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, study.supervised_rate, steps, pct_start=0.05)
    draw = np.random.default_rng(model.seed)
    progress.start(model.name, steps, "steps")
    for step in range(steps):
        chosen, spoken = draw.integers(0, clips, batch), draw.integers(0, len(languages), batch)
        mels, targets = [], {factor: [] for factor in MAIN_FACTORS}
        for clip, number in zip(chosen, spoken, strict=True):
            movie, place = films.train.locate(int(clip))
            mels.append(np.array(movie.mel(languages[number])[place]))
            for factor in MAIN_FACTORS:
                row = truth[movie.meta["title"], place, languages[number]]
                asked = factor != "voice" or row["count"] == "1"  # of two it cannot be told who began
                targets[factor].append(labels[factor].index(row[factor]) if asked else IGNORED)
        inputs = normalise_mels(torch.from_numpy(np.stack(mels)), mean, std)
        inputs = torch.roll(inputs, int(draw.integers(inputs.shape[3])), 3)  # against learning clips by heart
        inputs = inputs + torch.from_numpy(draw.normal(0, _LEVELS, (batch, 1, 1, 1)).astype(np.float32))
        inputs = mask_spectrograms(inputs, draw_masks(model.seed, step, chosen.tolist(), "primary"))
        features = network.embed_audio(inputs)
        losses = [nn.functional.cross_entropy(heads[f](features), torch.tensor(targets[f])) for f in MAIN_FACTORS]
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()
        schedule.step()
        progress.update(model.name, step + 1)
    progress.finish(model.name)
    entries = model_entries(network, mel_mean=mean, mel_std=std, config={"supervised": list(MAIN_FACTORS)})
    save_checkpoint(study.checkpoint(model), entries)


def read_truth(study: Study, corpus: str) -> dict[tuple[str, int, str], dict[str, str]]:
    """{(film, clip, language): row of the table of labels}."""
    with open(study.corpus_folder(corpus) / "labels.csv", newline="", encoding="utf-8") as file:
        return {(row["film"], int(row["clip"]), row["language"]): row for row in csv.DictReader(file)}
