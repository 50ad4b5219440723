"""The retrieval gallery: for a clip its frames and the nearest sounds, and the reverse, with players.

A cache holds no waveforms, so players are cut from the film itself where it can be found. Clips of the same instant in
another language are marked: with dubs in training they should be among the nearest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dubcli.cache.projected import TrackClip, project
from dubcli.cache.reader import Cache
from dubcli.core.checkpoint import load_trained
from dubcli.core.machine import choose_device
from dubcli.core.memory import keep_freed_memory
from dubcli.core.tracks import FULL
from dubcli.jobs.progress import Progress
from dubcli.pages.players import cut_players, data_uri
from dubcli.report.collect import Run
from dubcli.report.config import ReportConfig

NEAREST = 5
FRAMES_SHOWN = 4


@dataclass
class GalleryItem:
    """An item as the page shows it: images and a sound as data URIs."""

    caption: str
    similarity: float | None
    same: bool
    frames: list[str]
    audio: str | None


@dataclass
class GalleryQuery:
    """A query and what is nearest to it."""

    direction: str
    query: GalleryItem
    nearest: list[GalleryItem]


def gallery(run: Run, cache: Cache, config: ReportConfig, progress: Progress) -> list[GalleryQuery]:
    """Queries in both directions with a run's last checkpoint. Empty for models without video or without speech.

    Raises UserError where the device cannot be used or has too little memory.
    """
    device = choose_device(config.device)
    trained = load_trained(run.path)
    keep_freed_memory()
    if trained.model.video is None or trained.variant.primary.kind != FULL:
        return []
    clips = _choose(cache, run, config.gallery_clips)
    languages = [track.language for track in trained.variant.tracks if track.kind == FULL]  # players have speech
    sounds = [TrackClip(i.movie, i.clip, lang) for i in clips for lang in languages if i.movie.has(lang)]
    progress.start("gallery", len(clips) + len(sounds), "clips")
    placed = project(trained, [*clips, *sounds], device, lambda done: progress.update("gallery", done))
    pictures, heard = placed[: len(clips)], placed[len(clips) :]
    progress.finish("gallery")
    similarity = pictures @ heard.T
    found = []
    step = max(1, len(clips) // max(config.gallery, 1))
    for row in list(range(step // 2, len(clips), step))[: config.gallery]:
        found.append(_Found("video -> sounds", clips[row], _nearest(sounds, similarity[row])))
        column = next(index for index, sound in enumerate(sounds) if sound.same_instant(clips[row]))
        found.append(_Found("sound -> videos", sounds[column], _nearest(clips, similarity[:, column])))
    shown = [item for one in found for item in (one.query, *(near for near, _ in one.nearest))]
    players = cut_players([item for item in shown if item.language is not None], config.sources, progress)
    return [one.shown(players) for one in found]


def _choose(cache: Cache, run: Run, most: int) -> list[TrackClip]:
    """Clips spread evenly over the films the run held out, or over all where it held out none."""
    heldout = set(run.config.get("held_out_films") or ())
    movies = [movie for movie in cache.movies if movie.id in heldout] or cache.movies
    every = [TrackClip(movie, clip) for movie in movies for clip in range(movie.n_clips)]
    chosen = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
    return [every[int(index)] for index in chosen]


def _nearest(items: Sequence[TrackClip], similarity: Tensor) -> list[tuple[TrackClip, float]]:
    best = torch.topk(similarity, min(NEAREST, len(items)))
    return [(items[index], value) for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)]


@dataclass(frozen=True)
class _Found:
    """A query before its pictures and sounds are fetched: all sounds of one track are cut in one pass."""

    direction: str
    query: TrackClip
    nearest: list[tuple[TrackClip, float]]

    def shown(self, players: Mapping[TrackClip, str]) -> GalleryQuery:
        """With pictures and sounds."""
        nearest = [_show(item, value, item.same_instant(self.query), players) for item, value in self.nearest]
        return GalleryQuery(self.direction, _show(self.query, None, False, players), nearest)


def _show(item: TrackClip, similarity: float | None, same: bool, players: Mapping[TrackClip, str]) -> GalleryItem:
    frames = item.movie.frame_bytes(item.clip)[:: 16 // FRAMES_SHOWN] if item.language is None else []
    return GalleryItem(
        item.caption, similarity, same, [data_uri("image/jpeg", frame) for frame in frames], players.get(item)
    )
