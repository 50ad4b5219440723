"""Build an index: from a clip cache film by film, or from sounds and videos through ``embed``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dubcli.cache.clips import TrackClip
from dubcli.cache.layout import CACHE_FILE, CLIP_SECONDS, MOVIE_FILE
from dubcli.cache.projected import project
from dubcli.cache.reader import Cache, Movie
from dubcli.core.atomic import atomic_write, require_free, writing
from dubcli.core.checkpoint import load_trained
from dubcli.core.machine import choose_device
from dubcli.core.trained import TrainedModel
from dubcli.embed import EmbedConfig, Features, embed, load_features
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.search.changes import films_placed
from dubcli.search.config import PICTURE, SOUND
from dubcli.search.index import INDEX_FILE, Float, Index, IndexRow, write_index

_WORK = ".building"


def build_index(
    folder: str | os.PathLike[str],
    source: str | os.PathLike[str],
    model: str | os.PathLike[str],
    *,
    lang: str | None = None,
    device: str | None = None,
    progress: Progress = SILENT,
) -> Index:
    """Place the clips of ``source`` in the contrastive space of ``model`` and write them as an index.

    Of a cache every picture and every track that the model's primary one is of a kind with; of files the picture and
    one track. A killed build goes on where it was; what is there of the same model and source is used again.

    Args:
        folder: of the index.
        source: a clip cache, or a sound, a video, a folder or a list of them.
        model: a checkpoint, a run folder or an exported folder.
        lang: the track of films that are no cache; None: the main one.
        device: torch's name; None is CUDA where there is one.
        progress: takes bars and lines.

    Returns:
        The index.

    Raises:
        UserError: a source or model that is not there, a folder that holds other things.

    >>> from dubcli.search import build_index
    >>> index = build_index("index", "cache", "runs/es")
    >>> sorted({row.track or row.kind for row in index.rows})
    ['en', 'es', 'picture']
    """
    target, place = Path(folder), Path(source)
    ours = (target / INDEX_FILE).is_file() or (target / _WORK).is_dir()
    require_free(target, ours=ours, named="for the index")
    of_cache = (place / CACHE_FILE).is_file()
    if of_cache and lang is not None:
        raise UserError("of a cache all tracks are placed; leave --lang out, and give --track when you search")
    trained = load_trained(model)
    work = target / _WORK
    with writing(target, "folder for the index"):
        work.mkdir(parents=True, exist_ok=True)
    more: dict[str, object] = {}
    if of_cache:
        cache = Cache(place)
        rows, vectors = _of_cache(cache, trained, work, choose_device(device), progress)
        more = {"films": films_placed(cache, trained.variant.primary.kind)}
    else:
        config = EmbedConfig(per_chunk=True, projected=True, lang=lang, device=device)
        rows, vectors = _of_files(place, trained, work, config, progress)
    if not rows:
        raise UserError(f"{place} has no clip that {trained.name} can place")
    about = {"name": trained.name, "content_hash": trained.content_hash, "path": os.path.abspath(model)}
    write_index(target, vectors, rows, {"of": "cache" if of_cache else "files", "source": os.path.abspath(place),
                                        "model": about, "variant": trained.variant.to_dict(), **more})  # fmt: skip
    shutil.rmtree(work, ignore_errors=True)
    return Index(target)


def _of_cache(
    cache: Cache, trained: TrainedModel, work: Path, device: torch.device, progress: Progress
) -> tuple[list[IndexRow], Float]:
    rows: list[IndexRow] = []
    parts: list[Float] = []
    done = 0
    progress.start("index", sum(len(items_of(movie, trained)) for movie in cache.movies), "pictures and sounds")
    for movie in cache.movies:
        items = items_of(movie, trained)
        block = work / f"{_made_of(movie, trained, items)}.npy"
        if not block.is_file():
            placed = project(trained, items, device, partial(_told, progress, done))
            with atomic_write(block) as file:
                np.save(file, placed.numpy())
        done += len(items)
        progress.update("index", done)
        parts.append(np.load(block, allow_pickle=False))
        title = str(movie.meta.get("title") or movie.id)
        rows += [
            IndexRow(PICTURE if item.language is None else SOUND, movie.id, title, float(item.start_seconds),
                     CLIP_SECONDS, item.language or "", str(movie.meta.get("source", {}).get("path", "")))
            for item in items
        ]  # fmt: skip
    progress.finish("index")
    return rows, np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def items_of(movie: Movie, trained: TrainedModel) -> list[TrackClip]:
    """What of a film is placed: pictures, and where they are there the sounds of tracks of the primary one's kind."""
    pictures = [TrackClip(movie, clip) for clip in range(movie.n_clips)] if trained.variant.uses_video else []
    sounds = [
        TrackClip(movie, clip, track.name)
        for track in movie.every_track
        if track.kind == trained.variant.primary.kind
        for clip in range(*movie.valid_range([track]))
    ]
    return pictures + sounds


def _told(progress: Progress, before: int, count: int) -> None:
    progress.update("index", before + count)


def _made_of(movie: Movie, trained: TrainedModel, items: Sequence[TrackClip]) -> str:
    """A name that changes with what the vectors depend on: a film that is prepared again, or gains a track."""
    status = (movie.folder / MOVIE_FILE).stat()
    what = [movie.id, status.st_size, status.st_mtime_ns, trained.content_hash, len(items)]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def _of_files(
    source: Path, trained: TrainedModel, work: Path, config: EmbedConfig, progress: Progress
) -> tuple[list[IndexRow], Float]:
    embed([source], trained, work / "places", config, progress=progress)
    features = load_features(work / "places")
    rows: list[IndexRow] = []
    parts: list[Float] = []
    for kind, array in ((PICTURE, features.video), (SOUND, features.audio)):
        chosen = list(_rows_with(features, kind))
        if array is None or not chosen:
            continue
        parts.append(array[[number for number, _ in chosen]])
        rows += [row for _, row in chosen]
    return rows, np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def _rows_with(features: Features, kind: str) -> Iterator[tuple[int, IndexRow]]:
    column = "video" if kind == PICTURE else "audio"
    for number, chunk in enumerate(features.chunks):
        if int(chunk[column]):
            path, start = str(chunk["path"]), float(chunk["start_seconds"])
            seconds = float(chunk["stop_seconds"]) - start
            yield number, IndexRow(kind, path, Path(path).name, start, seconds, "", path)
