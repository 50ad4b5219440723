"""Films and clip caches of a study: made, prepared, and given the true background as the no-speech track."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from study import MAIN, Model, Study

from dubcli.cache.reader import Cache
from dubcli.cache.writer import added_mel, update_movie
from dubcli.core.features import SAMPLE_RATE, log_mel
from dubcli.core.tracks import NOSPEECH, Track
from dubcli.corpus import make_corpus
from dubcli.corpus.sounds import CLIP_SAMPLES
from dubcli.corpus.stage import Materials
from dubcli.corpus.tracks import mixed_down, six_channels
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import Progress
from dubcli.media.resample import resampled
from dubcli.prep import PrepConfig, prepare


def make_corpora(study: Study, models: list[Model], jobs: JobOptions, progress: Progress) -> None:
    """All that the models need; what is there is kept."""
    for name in study.corpora(models):
        make_corpus(study.corpus_folder(name), study.corpus_config(name), options=jobs, progress=progress)


def corpus_hash(study: Study) -> str:
    """Digits of the main corpus's truth: labels of every clip in every language."""
    return hashlib.sha256((study.corpus_folder(MAIN) / "labels.csv").read_bytes()).hexdigest()[:16]


def prepare_all(study: Study, models: list[Model], jobs: JobOptions, progress: Progress) -> None:
    """Clip caches. A dub over the wrong background is out of sync with everything, so that nothing is checked there."""
    languages = study.corpus.languages
    for name in study.corpora(models):
        # a control's dubs are the original once more, on purpose
        config = PrepConfig(
            languages=languages,
            cache=study.cache(name),
            short_side=study.short_side,
            sync_check=name != "wrong",
            keep_same=name in ("silent", "same"),
        )
        _done(prepare([study.corpus_folder(name) / "films"], config, jobs, progress))
    config = PrepConfig(languages=languages, cache=study.heldout_cache, short_side=study.short_side, sync_check=False)
    _done(prepare([study.corpus_folder(MAIN) / "heldout"], config, jobs, progress))
    for name in {model.corpus for model in models if model.variant == "sep"}:
        _write_true_background(study, name)


def _done(summary: Any) -> None:
    for failure in summary.failures:
        raise UserError(f"{failure.key} could not be prepared: {failure.reason}")


def _write_true_background(study: Study, name: str) -> None:
    """The no-speech mels from the background itself: a separation without errors, which no program reaches."""
    materials = Materials(study.corpus_config(name), study.corpus_folder(name))
    numbers = {materials.plan(index, heldout=False).name: index for index in range(study.corpus.films)}
    for movie in Cache(study.cache(name)).movies:
        if movie.has(Track(movie.primary, NOSPEECH)):
            continue
        bed = materials.beds.background(materials.plan(numbers[movie.meta["title"]], heldout=False))
        stereo = mixed_down(six_channels(bed, np.zeros((1, bed.shape[1]), np.float32)))
        clips = []
        for clip in range(movie.n_clips):
            part = resampled(stereo[:, clip * CLIP_SAMPLES : (clip + 1) * CLIP_SAMPLES], SAMPLE_RATE, 44100)
            clips.append(log_mel(torch.from_numpy(part), 44100).numpy().astype(np.float16))
        with added_mel(movie.folder, Track(movie.primary, NOSPEECH)) as writer:
            writer.append(np.stack(clips))
        update_movie(study.cache(name), movie.folder, _with_nospeech)


def _with_nospeech(meta: dict[str, Any]) -> None:
    meta.setdefault(NOSPEECH, {})[meta["primary"]] = {"model": "the background itself"}
