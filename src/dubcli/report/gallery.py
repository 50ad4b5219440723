"""The retrieval gallery: for a clip the nearest sounds by several models side by side, and the reverse.

Of each cache some clips, the same for all models; every one is shown with frames, mel and, where its film is at hand,
a player (a cache holds no waveforms). Clips of the same instant in another language are marked: with dubs in training
they should be among the nearest. What cannot be shown is named in ``Gallery.left_out`` and
``Gallery.not_asked``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from dubcli.cache.clips import TrackClip
from dubcli.cache.projected import project
from dubcli.cache.reader import Cache, Movie
from dubcli.core.checkpoint import load_trained
from dubcli.core.machine import choose_device
from dubcli.core.memory import keep_freed_memory
from dubcli.core.retrieval import retrieval
from dubcli.core.tracks import FULL, Track
from dubcli.core.trained import TrainedModel
from dubcli.errors import InputError, UserError
from dubcli.jobs.progress import Progress
from dubcli.pages.pictures import frame_strip, mel_picture
from dubcli.pages.players import cut_players, data_uri
from dubcli.report.collect import Run
from dubcli.report.config import ReportConfig
from dubcli.report.tables import Cell, Table

NEAREST = 5
_STRIP_FRAMES, _STRIP_WIDTH = 4, 120
_COLUMNS = ("model", "asked", "track", "clips", "R@1", "R@5", "median rank", "R@1 in validation", "films held out")


@dataclass(frozen=True)
class GalleryItem:
    """A clip as the page shows it. ``picture``, ``mel`` and ``sound``: keys of ``Gallery.media``; "" where none is."""

    caption: str
    picture: str
    mel: str
    sound: str


@dataclass(frozen=True)
class GalleryHit:
    """A clip that was found. ``same``: of the query's own instant, in whatever language."""

    item: GalleryItem
    cosine: float
    same: bool


@dataclass(frozen=True)
class GalleryAnswer:
    """What a model finds. ``rank``: of the first hit of the query's own instant; None where it has no such clip."""

    model: str
    rank: int | None
    hits: Sequence[GalleryHit]


@dataclass(frozen=True)
class GalleryQuery:
    """``direction``: what is asked with, and what for."""

    direction: str
    item: GalleryItem
    answers: Sequence[GalleryAnswer]


@dataclass(frozen=True)
class Gallery:
    """Of one cache. ``recalls``: R@1 by model and direction. ``media``: pictures, mels and sounds as data URIs.
    ``left_out``: what is damaged; ``not_asked``: models that can place nothing of the cache."""

    name: str
    told: str
    models: Sequence[str]
    recalls: dict[tuple[str, str], float]
    queries: Sequence[GalleryQuery]
    media: dict[str, str]
    left_out: Sequence[str]
    not_asked: Sequence[str]
    scores: Table

    @property
    def has_sound(self) -> bool:
        """Whether any clip can be heard."""
        return any(key.startswith("sound ") for key in self.media)


def galleries(
    runs: Sequence[tuple[str, Run]], caches: Sequence[Cache], config: ReportConfig, progress: Progress
) -> list[Gallery]:
    """A gallery of each cache with the last checkpoint of every run, each under its name.

    A damaged checkpoint or frame costs itself and a line. Raises UserError where the device cannot be used.
    """
    device = choose_device(config.device)
    keep_freed_memory()
    shelves = [_Shelf(cache, [run for _, run in runs], config) for cache in caches]
    for name, run in runs:
        try:
            trained = load_trained(run.path)
        except (UserError, InputError) as error:
            for shelf in shelves:
                shelf.left_out.append(f"{name}: {error}")
            continue
        for shelf in shelves:
            try:
                shelf.ask(name, run, trained, device, progress)
            except (UserError, InputError) as error:
                shelf.not_asked.append(f"{name}: {error}")
        del trained
    names = _distinct([cache.path.resolve().name for cache in caches])
    return [shelf.filled(name, config, progress) for shelf, name in zip(shelves, names, strict=True)]


def _distinct(names: Sequence[str]) -> list[str]:
    return [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]


@dataclass(frozen=True)
class _Answer:
    """Before its pictures are fetched: all sounds of one track are cut in one pass."""

    model: str
    rank: int | None
    hits: list[tuple[TrackClip, float]]


@dataclass(frozen=True)
class _Way:
    """``direction``: as the page says it. ``is_back``: from the sounds to what they are contrasted with."""

    direction: str
    is_back: bool


@dataclass
class _Direction:
    """A way to ask: by query the answers of the models that were trained on it."""

    asked_with: dict[TrackClip, TrackClip] = field(default_factory=dict)
    answers: dict[TrackClip, list[_Answer]] = field(default_factory=dict)


class _Shelf:
    """The clips of one cache that are searched, and what models find among them."""

    def __init__(self, cache: Cache, runs: Sequence[Run], config: ReportConfig) -> None:
        self.cache = cache
        self.left_out: list[str] = []
        self.not_asked: list[str] = []
        self._readable: dict[tuple[str, Track], bool] = {}
        there = {movie.id for movie in cache.movies}
        told = [there & set(run.config.get("held_out_films") or ()) for run in runs]
        self.held_out = set.intersection(*told) if told else set()
        self.movies = [movie for movie in cache.movies if movie.id in self.held_out] or list(cache.movies)
        self.clips = self._choose(config.gallery_clips)
        step = len(self.clips) / max(1, min(config.gallery, len(self.clips)))
        self.asked = [self.clips[int(step * (number + 0.5))] for number in range(min(config.gallery, len(self.clips)))]
        self.directions: dict[str, _Direction] = {}
        self.models: list[str] = []
        self.recalls: dict[tuple[str, str], float] = {}
        self.rows: list[tuple[Cell, ...]] = []

    def _choose(self, most: int) -> list[TrackClip]:
        """Clips with sound, evenly over the films, whose frames decode."""
        every = [TrackClip(m, clip) for m in self.movies for clip in range(*m.valid_range([Track(m.primary)]))]
        self.all_clips = len(every)
        chosen = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
        whole = []
        for item in (every[int(index)] for index in chosen):
            try:
                frame_strip(item.movie.frame_bytes(item.clip))
                whole.append(item)
            except (InputError, UserError) as error:
                self.left_out.append(f"{item.caption}: {error}; prepare the film again")
        return whole

    def ask(self, name: str, run: Run, trained: TrainedModel, device: torch.device, progress: Progress) -> None:
        """Search the clips by a model. Raises UserError where it can place nothing of them, or as ``project``."""
        variant = trained.variant
        sees = trained.model.video is not None
        tracks = [track for track in variant.tracks if sees or track != variant.primary]
        if not tracks:
            raise UserError("it compares a sound with itself, which finds nothing in a cache")
        sounds = [sound for track in tracks for sound in self._sounds(track)]
        anchors = self.clips if sees else self._sounds(variant.primary)
        if not sounds or not anchors:
            raise UserError(f"the cache has no {' or '.join(map(str, tracks))} of the clips")
        progress.start("gallery", len(anchors) + len(sounds), "clips")
        placed = project(trained, [*anchors, *sounds], device, lambda done: progress.update("gallery", done))
        progress.finish("gallery")
        self.models.append(name)
        kinds = ("pictures", "sounds") if sees else ("originals", "dubs")
        there, back = f"{kinds[0]} -> {kinds[1]}", f"{kinds[1]} -> {kinds[0]}"
        ways = ((_Way(there, False), anchors, sounds), (_Way(back, True), sounds, anchors))
        rows = dict(zip([*anchors, *sounds], placed, strict=True))
        for way, queries, targets in ways:
            self._find(name, way.direction, queries, targets, rows)
            self._score(name, run, way, tracks, rows, anchors)

    def _sounds(self, track: Track) -> list[TrackClip]:
        """The clips that have sound in a track."""
        return [
            TrackClip(one.movie, one.clip, track.name)
            for one in self.clips
            if self._reads(one.movie, track) and _within(one, one.movie.valid_range([track]))
        ]

    def _reads(self, movie: Movie, track: Track) -> bool:
        """Whether a film has a track's mel. One that is damaged is named once."""
        key = movie.id, track
        if key not in self._readable:
            self._readable[key] = movie.has(track)
            try:
                if movie.has(track):
                    movie.mel(track)
            except UserError as error:
                self._readable[key] = False
                self.left_out.append(str(error))
        return self._readable[key]

    def _find(
        self,
        name: str,
        direction: str,
        queries: Sequence[TrackClip],
        targets: Sequence[TrackClip],
        rows: dict[TrackClip, Tensor],
    ) -> None:
        found = self.directions.setdefault(direction, _Direction())
        matrix = torch.stack([rows[target] for target in targets])
        for asked in self.asked:
            query = next((one for one in queries if one.same_instant(asked)), None)
            if query is None:
                continue
            found.asked_with.setdefault(asked, query)
            cosines = matrix @ rows[query]
            own = [place for place, target in enumerate(targets) if target.same_instant(asked)]
            rank = 1 + int((cosines > cosines[own].max()).sum()) if own else None
            best = torch.topk(cosines, min(NEAREST, len(targets)))
            hits = [(targets[at], value) for value, at in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
            found.answers.setdefault(asked, []).append(_Answer(name, rank, hits))

    def _score(
        self,
        name: str,
        run: Run,
        way: _Way,
        tracks: Sequence[Track],
        rows: dict[TrackClip, Tensor],
        anchors: Sequence[TrackClip],
    ) -> None:
        """R@1 of each track, as validation measures it: of one language at a time, so chance is 1 in clips."""
        held_out = {movie.id for movie in self.movies} & set(run.config.get("held_out_films") or ())
        recalls = []
        for track in tracks:
            pairs = [(one, TrackClip(one.movie, one.clip, track.name)) for one in anchors]
            both = [
                torch.stack(side) for side in zip(*([rows[a], rows[b]] for a, b in pairs if b in rows), strict=True)
            ]
            if not both:
                continue
            found = retrieval(*(reversed(both) if way.is_back else both))
            recalls.append(found["r@1"])
            head = "video" if anchors[0].language is None else "primary"
            metric = f"val/{f'audio->{head}' if way.is_back else f'{head}->audio'}/{track.name}/r@1"
            said = [line[metric] for line in run.metrics if isinstance(line.get(metric), (int, float))]
            shares = [found["r@1"], found["r@5"], found["median_rank"], said[-1] if said else None]
            self.rows.append((
                Cell(name), Cell(way.direction), Cell(track.name), Cell(str(len(both[0])), len(both[0])),
                *(Cell("-" if value is None else f"{value:.3g}", value) for value in shares),
                Cell(f"{len(held_out)} of {len(self.movies)}"),
            ))  # fmt: skip
        if recalls:
            self.recalls[name, way.direction] = fmean(recalls)

    def filled(self, name: str, config: ReportConfig, progress: Progress) -> Gallery:
        """With pictures, mels and players of all that is shown."""
        heard = [item for item in self._all_shown() if Track.of(str(item.language)).kind == FULL]
        players = cut_players(heard, config.sources, progress)
        media: dict[str, str] = {}
        queries = [
            GalleryQuery(direction, self._shown(way.asked_with[asked], media, players), [
                GalleryAnswer(one.model, one.rank, [
                    GalleryHit(self._shown(hit, media, players), cosine, hit.same_instant(asked))
                    for hit, cosine in one.hits
                ]) for one in way.answers[asked]
            ])
            for direction, way in self.directions.items()
            for asked in way.answers
        ]  # fmt: skip
        films = len(self.movies)
        which = f"{films} films that no run was trained on" if self.held_out else f"all {films} films"
        told = f"{len(self.clips)} of {self.all_clips} clips of {which} are searched; {len(self.asked)} are asked for."
        title = f"Retrieval among {len(self.clips)} clips of {name}"
        note = "Of one track at a time, so by chance R@1 is 1 / clips. In validation: the run's last, on its own clips."
        scores = Table(f"retrieval-{name}", title, _COLUMNS, tuple(self.rows), note)
        return Gallery(name, told, self.models, self.recalls, queries, media, self.left_out, self.not_asked, scores)

    def _all_shown(self) -> Iterator[TrackClip]:
        for way in self.directions.values():
            for asked, answers in way.answers.items():
                for item in (way.asked_with[asked], *(hit for one in answers for hit, _ in one.hits)):
                    yield item if item.language else TrackClip(item.movie, item.clip, item.movie.primary)

    def _shown(self, item: TrackClip, media: dict[str, str], players: dict[TrackClip, str]) -> GalleryItem:
        """A picture with the film's own sound, a sound with the film's picture."""
        movie, clip = item.movie, item.clip
        heard = item if item.language else TrackClip(movie, clip, movie.primary)
        place = f"{movie.id} {clip}"
        keys = [f"picture {place}", f"mel {place} {heard.language}", f"sound {place} {heard.language}"]
        if keys[0] not in media:
            media[keys[0]] = data_uri("image/jpeg", _strip(item))
        if keys[1] not in media:
            media[keys[1]] = data_uri("image/png", mel_picture(movie.mel(str(heard.language))[clip]))
        if heard in players:
            media[keys[2]] = players[heard]
        return GalleryItem(item.caption, keys[0], keys[1], keys[2] if heard in players else "")


def _within(item: TrackClip, clips: tuple[int, int]) -> bool:
    return clips[0] <= item.clip < clips[1]


def _strip(item: TrackClip) -> bytes:
    frames = item.movie.frame_bytes(item.clip)
    return frame_strip(frames[:: len(frames) // _STRIP_FRAMES], columns=2, width=_STRIP_WIDTH)
