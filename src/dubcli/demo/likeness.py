"""How alike the tracks of a clip are to a model, and whether a clip's pictures find its sound: on films never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dubcli.cache.clips import TrackClip
from dubcli.cache.projected import project
from dubcli.cache.reader import Cache
from dubcli.core.retrieval import retrieval
from dubcli.core.trained import TrainedModel
from dubcli.errors import UserError
from dubcli.jobs.progress import Progress
from dubcli.pretrain.validation import alignment

Array = np.ndarray[Any, Any]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Of one model. Matrices are languages by languages.

    same, others: the mean cosine of the features of two tracks of the same clip, and of different clips. found:
    {language: R@1, R@5, R@10, median rank of a clip's sound among all clips' where its pictures are asked}.
    """

    model: str
    languages: tuple[str, ...]
    clips: int
    same: Matrix
    others: Matrix
    found: dict[str, dict[str, float]]

    @property
    def shared(self) -> Matrix:
        """How far ``same`` is on the way from ``others`` to 1: 0 for tracks no more alike than those of any two clips,
        1 for tracks that are one thing to the model. The cosines themselves cannot be compared between models: all
        features of one may lie close together."""
        return tuple(
            tuple((one - other) / (1 - other) if other < 1 else 0.0 for one, other in zip(*rows, strict=True))
            for rows in zip(self.same, self.others, strict=True)
        )

    def between(self, matrix: Matrix) -> float:
        """The mean over pairs of different languages."""
        rows = np.asarray(matrix, dtype=np.float64)
        return float(rows[~np.eye(len(rows), dtype=bool)].mean()) if len(rows) > 1 else float("nan")


@dataclass(frozen=True)
class PlacedClips:
    """Where a model puts clips, rows of length 1: their pictures and each track in its contrastive space, float32
    (clips, width), and each track's ``features``."""

    clips: tuple[TrackClip, ...]
    pictures: Tensor
    sounds: dict[str, Tensor]
    features: dict[str, Tensor]

    def by_pictures(self, language: str) -> Tensor:
        """(clips, clips): the cosines of each clip's pictures with each clip's sound in a language."""
        return self.pictures @ self.sounds[language].T

    def by_sound(self, asked: str, language: str) -> Tensor:
        """(clips, clips): the cosines of the features of each clip's sound in ``asked`` with those in ``language``."""
        return self.features[asked] @ self.features[language].T


@dataclass(frozen=True)
class Placements:
    """{model: its clips}, of films that the trained ones learnt from, and of films that were kept from training."""

    learnt: dict[str, PlacedClips]
    kept: dict[str, PlacedClips]


def clips_of(cache: Path, films: Sequence[str], languages: Sequence[str], most: int) -> list[TrackClip]:
    """Clips of the films with the ids ``films`` that have sound in every language, at most so many, evenly over them.

    Raises UserError where there are fewer than two.
    """
    whole = [m for m in Cache(cache).movies if m.id in films and all(m.has(language) for language in languages)]
    every = [TrackClip(movie, clip) for movie in whole for clip in range(*movie.valid_range(languages))]
    if len(every) < 2:
        raise UserError(
            f"no film that was kept from training has sound in all of {', '.join(languages)}, so that nothing can be "
            "shown on it; give more --films, or another --seed"
        )
    chosen = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
    return [every[int(index)] for index in chosen]


def place_clips(
    trained: TrainedModel, clips: Sequence[TrackClip], languages: Sequence[str], device: torch.device, told: Progress
) -> PlacedClips:
    """Put pictures and all tracks of ``clips`` into the model's spaces. Raises UserError as ``project``."""
    tracks = [TrackClip(clip.movie, clip.clip, language) for language in languages for clip in clips]
    told.start("clips", len(clips) + 2 * len(tracks), "pictures and sounds")
    rows = project(trained, [*clips, *tracks], device, lambda done: told.update("clips", done))
    pictures, *sounds = torch.split(rows, len(clips))
    before = len(rows)
    features = project(trained, tracks, device, lambda done: told.update("clips", before + done), features=True)
    told.finish("clips")
    return PlacedClips(
        tuple(clips),
        pictures,
        dict(zip(languages, sounds, strict=True)),
        dict(zip(languages, torch.split(features, len(clips)), strict=True)),
    )


def likeness(model: str, placed: PlacedClips) -> Likeness:
    """What is asked of ``placed``, by the rules of the validation of ``pretrain``."""
    pairs = [[alignment(one, other) for other in placed.features.values()] for one in placed.features.values()]
    return Likeness(
        model=model,
        languages=tuple(placed.features),
        clips=len(placed.clips),
        same=_matrix(pairs, "same"),
        others=_matrix(pairs, "others"),
        found={language: retrieval(placed.pictures, rows) for language, rows in placed.sounds.items()},
    )


def _matrix(pairs: Sequence[Sequence[dict[str, float]]], name: str) -> Matrix:
    return tuple(tuple(pair[name] for pair in line) for line in pairs)
