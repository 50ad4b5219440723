"""The films of a cache that a variant can train on: which, how many hours, which are held out, what their mels are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.cache.reader import Cache, Movie
from dubcli.core.tracks import FULL, KINDS
from dubcli.core.variants import Variant, parse_variant
from dubcli.errors import UserError

VAL_FRACTION = 0.05
VAL_FROM_FILMS = 20
_STATISTICS_CLIPS = 512


@dataclass(frozen=True)
class Part:
    """Films and, of each, the first and the stop of the clips that have all the sound the variant needs.

    Clips are numbered through the films laid end to end.
    """

    movies: tuple[Movie, ...]
    ranges: tuple[tuple[int, int], ...]

    @property
    def clips_per_movie(self) -> list[int]:
        """How many clips of each film can be used."""
        return [stop - first for first, stop in self.ranges]

    @property
    def clips(self) -> int:
        """All of them."""
        return sum(self.clips_per_movie)

    @property
    def hours(self) -> float:
        """Duration of all clips, in hours."""
        return self.clips * CLIP_SECONDS / 3600

    def locate(self, clip: int) -> tuple[Movie, int]:
        """The film of a clip number and the clip's number in the film's own files."""
        movie = int(np.searchsorted(self._ends, clip, side="right"))
        before = int(self._ends[movie - 1]) if movie else 0
        return self.movies[movie], self.ranges[movie][0] + clip - before

    def name(self, clip: int) -> str:
        """For messages: ``<movie id>:<clip>``."""
        movie, number = self.locate(clip)
        return f"{movie.id}:{number}"

    @property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.cumsum(self.clips_per_movie)


@dataclass(frozen=True)
class TrainingFilms:
    """A variant's films: ``train`` and ``held_out``, and how many of the cache's films lack what it needs.

    ``damaged``: of films that have it, but in files cut short: how many clips, and a line that names the file.
    """

    variant: Variant
    train: Part
    held_out: Part
    lacking: int
    damaged: tuple[tuple[int, str], ...] = ()


def read_training_films(cache_path: str | Path, variant_text: str, val_fraction: float) -> TrainingFilms:
    """Open a cache for a variant. ``val_fraction`` -1: 0.05 from 20 films on, else 0.

    Raises UserError where no film has what the variant needs.
    """
    cache = Cache(cache_path)
    if not cache.movies:
        raise UserError(f"the cache {cache.path} has no films; prepare some with dubav prep")
    primary = str(cache.info["parameters"].get("primary") or cache.movies[0].primary)
    variant = parse_variant(variant_text, primary, _languages(cache.movies))
    usable = []
    for movie in cache.movies:
        if not all(movie.has(track) and movie.has(track.language) for track in variant.tracks):
            continue
        first, stop = movie.valid_range(variant.tracks)
        if stop > first:
            usable.append((movie, (first, stop)))
    if not usable:
        raise UserError(_nothing(variant, cache))
    share = val_fraction if val_fraction >= 0 else VAL_FRACTION * (len(usable) >= VAL_FROM_FILMS)
    held_out = held_out_films([movie.id for movie, _ in usable], share)
    lacking = len(cache.movies) - len(usable)
    damage = [_damage(movie, variant) for movie, _ in usable]
    damaged = tuple((stop - first, text) for (_, (first, stop)), text in zip(usable, damage, strict=True) if text)
    usable = [entry for entry, text in zip(usable, damage, strict=True) if not text]
    return TrainingFilms(
        variant=variant,
        train=_part([entry for entry in usable if entry[0].id not in held_out]),
        held_out=_part([entry for entry in usable if entry[0].id in held_out]),
        lacking=lacking,
        damaged=damaged,
    )


def _damage(movie: Movie, variant: Variant) -> str:
    """What is wrong with the film's files, in one line; empty where their sizes are right."""
    try:
        if variant.uses_video:
            _ = movie.frame_offsets
        for track in variant.tracks:
            movie.mel(track)
    except UserError as error:
        return str(error)
    return ""


def held_out_films(film_ids: Sequence[str], fraction: float) -> set[str]:
    """The films with the smallest hashes, ``fraction`` of all, at least one where it is not 0; never all of them.

    A pure function of the ids: whichever films are added later, a film's place in the order stays.
    """
    if fraction <= 0 or len(film_ids) < 2:
        return set()
    count = min(max(1, round(len(film_ids) * fraction)), len(film_ids) - 1)
    return set(sorted(film_ids, key=lambda name: hashlib.sha256(name.encode()).hexdigest())[:count])


def mel_statistics(part: Part, variant: Variant) -> tuple[float, float]:
    """(mean, standard deviation) of the primary training mels, over at most 512 clips evenly spaced."""
    chosen = np.unique(np.linspace(0, part.clips - 1, min(part.clips, _STATISTICS_CLIPS)).round().astype(int))
    count, total, squares = 0, 0.0, 0.0
    for clip in chosen:
        movie, number = part.locate(int(clip))
        mel = np.asarray(movie.mel(variant.primary)[number], np.float64)
        count, total, squares = count + mel.size, total + float(mel.sum()), squares + float((mel**2).sum())
    mean = total / count
    return mean, max(1e-3, (squares / count - mean**2) ** 0.5)


def _languages(movies: Sequence[Movie]) -> list[str]:
    return sorted({language for movie in movies for language in movie.languages})


def _part(entries: Sequence[tuple[Movie, tuple[int, int]]]) -> Part:
    return Part(tuple(movie for movie, _ in entries), tuple(valid for _, valid in entries))


def _nothing(variant: Variant, cache: Cache) -> str:
    for track in variant.tracks:
        if track.kind != FULL and not any(movie.has(track) for movie in cache.movies):
            kind = KINDS[track.kind]
            missing = f"{kind.title}s of {track.language}"
            return f"variant {variant.name} needs {missing}, no film in {cache.path} has them; run {kind.made_by} first"
    wanted = ", ".join(map(str, variant.tracks))
    return f"no film in {cache.path} has {wanted} together; dubav ls {cache.path} shows what there is"
