"""What a model knows: features of held-out films in every language, and heads that read the factors from them.

``mixed`` heads are trained on all languages, each clip in one of them, and tested on all; ``transfer`` heads are
trained on the original alone and tested on the dubs. The regularisation is chosen on films of their own.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models import read_truth
from study import MAIN, RANDOM, Model, Study

from dubcli.cache.reader import Cache
from dubcli.core.atomic import atomic_write, write_json
from dubcli.core.checkpoint import load_trained
from dubcli.core.machine import choose_device
from dubcli.core.trained import TrainedModel, random_trained
from dubcli.core.transforms import normalise_mels
from dubcli.embed import EmbedConfig, embed_files
from dubcli.pretrain.training_films import mel_statistics, read_training_films
from dubcli.probe.scikit import standardised

FACTORS = ("place", "event", "voice", "mood", "count", "language", "words")
REGULARISATIONS = (1e-3, 1e-2, 1e-1)
_TRANSFERRED = ("place", "event", "voice", "mood", "count")
_BATCH = 128
_RANK_SHARE = 1e-6
Array = np.ndarray[Any, Any]


def features_file(study: Study, model: Model, epoch: int | None = None) -> Path:
    """Where a model's features are."""
    return study.out / "features" / f"{model.name}{f'-epoch{epoch:02d}' if epoch else ''}.npz"


def scores_file(study: Study, model: Model, epoch: int | None = None) -> Path:
    """Where its scores are."""
    return study.out / "scores" / f"{features_file(study, model, epoch).stem}.json"


def embed_model(study: Study, model: Model, epoch: int | None = None) -> None:
    """Write features of every held-out clip in every language: {language: float16 (clips, size)}."""
    target = features_file(study, model, epoch)
    if target.exists():
        return
    trained = _trained(study, model, epoch)
    movies = _heldout(study)
    features: dict[str, Array] = {}
    for language in study.corpus.languages:
        if trained.sample_rate == 48000:
            rows = [_embed(trained, movie.mel(language)) for movie in movies]
        else:  # the cache holds mels at 48 kHz; a codec takes or adds some samples of the last clip
            films = [str(study.corpus_folder(MAIN) / "heldout" / f"{movie.meta['title']}.mkv") for movie in movies]
            config = EmbedConfig(
                modalities=("audio",), per_chunk=True, lang=language, chunks="half", precision="fp32", compile=False
            )
            rows = [embed_files(films, trained, config=config).audio]
        features[language] = np.concatenate(rows).astype(np.float16)
    with atomic_write(target) as file:
        np.savez(file, **features)


def _trained(study: Study, model: Model, epoch: int | None) -> TrainedModel:
    if model.variant != RANDOM:
        return load_trained(study.checkpoint(model, epoch))
    from dataclasses import replace

    films = read_training_films(str(study.cache(MAIN)), "a", 0.0)
    mean, std = mel_statistics(films.train, films.variant)  # the same input as the trained models have
    return replace(random_trained(model.seed, study.training["preset"], study.backbones), mel_mean=mean, mel_std=std)


def _heldout(study: Study) -> list[Any]:
    return sorted(Cache(study.heldout_cache).movies, key=lambda movie: movie.meta["title"])


@torch.no_grad()
def _embed(trained: TrainedModel, mels: Array) -> Array:
    device = choose_device()
    model = trained.model.to(device)
    inputs = normalise_mels(torch.from_numpy(np.array(mels)), trained.mel_mean, trained.mel_std)
    return torch.cat([model.embed_audio(part.to(device)).cpu() for part in inputs.split(_BATCH)]).numpy()


def score_model(study: Study, model: Model, epoch: int | None = None) -> None:
    """Write what its features tell: per factor and kind of head the share of right answers, by film."""
    target = scores_file(study, model, epoch)
    if target.exists():
        return
    with np.load(features_file(study, model, epoch)) as content:
        features = {language: content[language].astype(np.float32) for language in study.corpus.languages}
    content = score_features(study, features)
    write_json(target, {"model": model.name, "kind": model.kind, "seed": model.seed, "epoch": epoch, "scores": content})


def score_features(study: Study, features: dict[str, Array]) -> dict[str, Any]:
    """{factor: {mixed or transfer: {accuracy, C, right and total by test film}}}."""
    clips = Clips(study)
    stacked = np.stack([features[name] for name in study.corpus.languages])
    everything = np.arange(len(stacked))
    original, dubs = everything[:1], everything[1:]
    heads = {
        "mixed": Rows(stacked, clips, everything, everything),
        "transfer": Rows(stacked, clips, original, dubs),
        "original": Rows(stacked, clips, original, original),
    }
    scores: dict[str, Any] = {}
    for factor in FACTORS:
        if factor == "words":  # which have nothing to do with each other across languages
            scores[factor] = {"mixed": _score(heads["original"], clips, factor)}
            continue
        names = ("mixed", "transfer") if factor in _TRANSFERRED else ("mixed",)
        scores[factor] = {name: _score(heads[name], clips, factor) for name in names}
    return scores


class Clips:
    """Labels, splits and films of the held-out clips, in the order of features: (languages, clips) arrays."""

    def __init__(self, study: Study) -> None:
        truth = read_truth(study, MAIN)
        self.films = [movie.meta["title"] for movie in _heldout(study) for _ in range(movie.n_clips)]
        places = [clip for movie in _heldout(study) for clip in range(movie.n_clips)]
        rows = [[truth[film, clip, language] for film, clip in zip(self.films, places, strict=True)]
                for language in study.corpus.languages]  # fmt: skip
        self.labels = {factor: np.array([[row[factor] for row in line] for line in rows]) for factor in FACTORS}
        # of two who speak in a clip, an average over time cannot tell who began
        self.asked = {factor: np.array([[factor != "voice" or row["count"] == "1" for row in line] for line in rows])
                      for factor in FACTORS}  # fmt: skip
        self.split = np.array([study.split_of(int(film.rsplit("-", 1)[1]) - 1) for film in self.films])
        self.film = np.array(self.films)

    def cells(self, split: str, languages: Array, *, turns: bool) -> tuple[Array, Array]:
        """(language numbers, clip numbers): each clip of a split in all ``languages``, or in one of them in turn."""
        clips = np.flatnonzero(self.split == split)
        if turns:
            return languages[np.arange(len(clips)) % len(languages)], clips
        return np.repeat(languages, len(clips)), np.tile(clips, len(languages))


class Rows:
    """What heads are trained, chosen and tested on: features in standard deviations of the training rows.

    They are turned into the directions that these rows span, of which there are fewer than features, since a backbone's
    last layer has fewer inputs than outputs. A rotation changes nothing for a head, but that it is faster.
    """

    def __init__(self, features: Array, clips: Clips, learnt: Array, asked: Array) -> None:
        self.cells = (
            clips.cells("train", learnt, turns=True), clips.cells("valid", learnt, turns=False),
            clips.cells("test", asked, turns=False),
        )  # fmt: skip
        sizes = [len(numbers) for _, numbers in self.cells]
        scaled = standardised(np.concatenate([features[cells] for cells in self.cells]), np.arange(sizes[0]))
        _, strengths, directions = np.linalg.svd(scaled[: sizes[0]], full_matrices=False)
        kept = directions[strengths**2 > _RANK_SHARE * (strengths**2).sum()]
        self.parts = np.split(scaled @ kept.T, np.cumsum(sizes[:2]))


def _score(rows: Rows, clips: Clips, factor: str) -> dict[str, Any]:
    asked = [clips.asked[factor][cells] for cells in rows.cells]
    parts = [part[kept] for part, kept in zip(rows.parts, asked, strict=True)]
    train, valid, test = (clips.labels[factor][cells][kept] for cells, kept in zip(rows.cells, asked, strict=True))
    found = [_fitted(parts, train, valid, c) for c in REGULARISATIONS]
    _, c, head = max(found, key=lambda one: one[0])
    right = head.predict(parts[2]) == test
    films = clips.film[rows.cells[2][1]][asked[2]]
    names = np.unique(films)
    return {
        "accuracy": float(right.mean()),
        "C": c,
        "films": names.tolist(),
        "right": [int(right[films == name].sum()) for name in names],
        "total": [int((films == name).sum()) for name in names],
    }


def _fitted(parts: list[Array], train: Array, valid: Array, c: float) -> tuple[float, float, Any]:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged: the validation films choose among what it reaches
        model = LogisticRegression(C=c, max_iter=200, tol=1e-3).fit(parts[0], train)
    return float(model.score(parts[1], valid)), c, model
