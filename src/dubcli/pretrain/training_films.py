"""The films of a cache that a variant can train on: which, how many hours, which are held out, what their mels are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.cache.layout import CLIP_SECONDS, FRAME_RULE
from dubcli.cache.reader import Cache, Movie
from dubcli.core.languages import found_as
from dubcli.core.tracks import FULL, KINDS, Track
from dubcli.core.variants import Variant, parse_variant
from dubcli.errors import UserError
from dubcli.pretrain.config import OWN_FILMS

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
    """A variant's films: ``train`` and ``held_out``, and how many of the cache's films lack what is asked for.

    ``damaged``: of films that have it, but in files cut short: how many clips, and a line that names the file.
    ``shared``: the languages that every film of it has, whether or not the variant hears them. ``own_films``: how many
    films have what the variant itself needs. ``others``: languages of the cache that not every film of it needs to
    have. ``frame_rule``: of the cache.
    """

    variant: Variant
    train: Part
    held_out: Part
    lacking: int
    damaged: tuple[tuple[int, str], ...] = ()
    shared: tuple[str, ...] = ()
    own_films: int = 0
    others: tuple[str, ...] = ()
    frame_rule: str = "centres"

    @property
    def film_set(self) -> str:
        """12 hex digits of which clips of which films are trained on and held out: variants can be compared where
        they are the same."""
        digest = hashlib.sha256()
        for part in (self.train, self.held_out):
            entries = [(movie.id, *clips) for movie, clips in zip(part.movies, part.ranges, strict=True)]
            digest.update(json.dumps(sorted(entries)).encode())
        return digest.hexdigest()[:12]

    @property
    def facts(self) -> dict[str, str]:
        """What checkpoints and ``config.json`` say of them."""
        return {"film_set": self.film_set, "frame_rule": self.frame_rule}

    def record(self) -> dict[str, Any]:
        """What ``config.json`` says of them at length."""
        return {
            "languages": list(self.variant.languages),
            "tracks": {
                track.name: {"sample_rate": track.sample_rate, "mel_frames": track.mel_frames}
                for track in self.variant.tracks
            },
            "train_films": len(self.train.movies),
            "train_hours": round(self.train.hours, 4),
            "films_share": list(self.shared),
            **self.facts,
            "held_out_films": [movie.id for movie in self.held_out.movies],
            "damaged": [text for _, text in self.damaged],
        }

    def require_same(self, state: Mapping[str, Any], folder: Path) -> None:
        """Raise UserError where the run of a checkpoint had other films; one of an earlier version does not say."""
        if state.get("film_set", self.film_set) != self.film_set:
            raise UserError(
                f"the films of the run in {folder} have changed since (its set was {state['film_set']}, now "
                f"{self.film_set}); give the cache it had, another --out, or --fresh to start over"
            )

    @property
    def note(self) -> str:
        """What another choice of films would change, in one line; empty where it would change nothing."""
        films = len(self.train.movies) + len(self.held_out.movies) + len(self.damaged)
        if self.own_films == films:
            return ""
        alike = f"every variant but those that hear {' or '.join(self.others)}" if self.others else "every variant"
        return (
            f"{films} films have {', '.join(self.shared)}, on which {alike} trains alike; --films-with own: "
            f"{self.own_films} films ({self.own_films - films:+d}) that have what {self.variant.name} itself needs"
        )


def read_training_films(
    cache_path: str | Path, variant_text: str, val_fraction: float, films_with: str = ""
) -> TrainingFilms:
    """Open a cache for a variant.

    Args:
        cache_path: the clip cache.
        variant_text: as ``--variant`` takes it.
        val_fraction: share of the films that are held out; -1: 0.05 from 20 films on, else 0.
        films_with: which films: those that have these languages (``es,fr``), ``own`` (what the variant needs), or, by
            default, every language of the cache: all variants then see the same films, clips and hold-out, as the
            intersection of the paper's appendix B.1. No-speech mels are needed by those variants that hear them.

    Raises:
        UserError: no film has what is needed, or no film of the cache has a language of ``films_with``.
    """
    cache = Cache(cache_path)
    if not cache.movies:
        raise UserError(f"the cache {cache.path} has no films; prepare some with dubav prep")
    primary = str(cache.info["parameters"].get("primary") or cache.movies[0].primary)
    languages = _languages(cache.movies)
    variant = parse_variant(variant_text, primary, languages)
    shared = _shared(films_with, variant, languages, cache)
    own = [movie for movie in cache.movies if _clips(movie, variant.tracks)]
    if not own:
        raise UserError(_nothing(variant, cache))
    alike = [movie for movie in cache.movies if _clips(movie, [Track(language) for language in shared])]
    if not alike:
        raise UserError(
            f"no film in {cache.path} has {', '.join(shared)} together, which every variant would train on alike; "
            "--films-with own takes the films that have what the variant itself needs"
        )
    share = val_fraction if val_fraction >= 0 else VAL_FRACTION * (len(alike) >= VAL_FROM_FILMS)
    held_out = held_out_films([movie.id for movie in alike], share)
    tracks = [*(Track(language) for language in shared), *variant.tracks]
    usable = [(movie, clips) for movie in alike if (clips := _clips(movie, tracks))]
    if not usable:
        raise UserError(_nothing(variant, cache))
    damage = [_damage(movie, tracks, frames=variant.uses_video or not films_with) for movie, _ in usable]
    damaged = tuple((stop - first, text) for (_, (first, stop)), text in zip(usable, damage, strict=True) if text)
    whole = [entry for entry, text in zip(usable, damage, strict=True) if not text]
    return TrainingFilms(
        variant=variant,
        train=_part([entry for entry in whole if entry[0].id not in held_out]),
        held_out=_part([entry for entry in whole if entry[0].id in held_out]),
        lacking=len(cache.movies) - len(usable),
        damaged=damaged,
        shared=shared,
        own_films=len(own),
        others=tuple(language for language in languages if language not in shared),
        frame_rule=str(cache.info["parameters"].get(FRAME_RULE, "centres")),
    )


def _shared(films_with: str, variant: Variant, languages: Sequence[str], cache: Cache) -> tuple[str, ...]:
    """The languages that every film must have, the variant's own among them."""
    wanted: Sequence[str] = {"": languages, OWN_FILMS: ()}.get(films_with, films_with.split(","))
    wanted = [found_as(language, languages) for language in wanted]
    absent = [language for language in wanted if language not in languages]
    if absent:
        raise UserError(f"--films-with {films_with}: no film of {cache.path} has {absent[0]}; it has "
                        f"{', '.join(languages)}")  # fmt: skip
    return tuple(dict.fromkeys((*variant.languages, *wanted)))


def _clips(movie: Movie, tracks: Sequence[Track]) -> tuple[int, int] | None:
    """(first, stop) of the clips that are there in all the tracks; None where there are none."""
    if not all(movie.has(track) and movie.has(track.language) for track in tracks):
        return None
    first, stop = movie.valid_range(tracks)
    return (first, stop) if stop > first else None


def _damage(movie: Movie, tracks: Sequence[Track], *, frames: bool) -> str:
    """What is wrong with the film's files, in one line; empty where their sizes are right."""
    try:
        if frames:
            _ = movie.frame_offsets
        for track in tracks:
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
    """(mean, standard deviation) of the primary training mels, over at most 512 clips evenly spaced.

    They normalise the mels of every track of the run, and are kept in its checkpoints: one model, two numbers.
    """
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
