"""Every page, picture and sound of a cache by its address; each is made when it is asked for.

``dubav view`` writes them all into a folder; ``dubav view --serve`` makes those that a browser asks for. Addresses are
relative to the first page, so that the folder can be moved or opened from a disk::

    index.html
    films/<film>/page-1.html                     24 clips a page
    films/<film>/clip-000012.jpg                 its 16 frames
    films/<film>/clip-000012.en.png|mp3          a track's mel, its sound
    map.html, vega.js                            of a run
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from dubcli.cache.clips import TrackClip, clock, has_a_word
from dubcli.cache.layout import CLIP_SECONDS
from dubcli.cache.reader import Cache, Movie
from dubcli.core.tracks import FULL, Track
from dubcli.errors import UserError, did_you_mean
from dubcli.pages.at_hand import SOUND_KIND, SOUND_SUFFIX, has_film
from dubcli.pages.charts import library
from dubcli.pages.pictures import frame_strip, mel_picture
from dubcli.pages.shell import render
from dubcli.view.config import ViewConfig
from dubcli.view.facts import FilmFacts, facts, sync_chart, track_line

if TYPE_CHECKING:
    from dubcli.pages.charts import Chart

CLIPS_A_PAGE = 24
MOST_CLIPS_OF_A_FILM = 24
_KINDS = {"html": "text/html; charset=utf-8", "jpg": "image/jpeg", "png": "image/png", "js": "text/javascript",
          SOUND_SUFFIX: SOUND_KIND}  # fmt: skip
_CLIP = re.compile(r"clip-(\d{6,})(?:\.(.+))?\.(\w+)")


@dataclass(frozen=True)
class Resource:
    """What is at an address: its MIME type and its bytes."""

    kind: str
    content: bytes


class Site:
    """The pages of a cache.

    Args:
        cache: whose films are shown.
        config: which films and clips.
        every_clip: whether all clips are shown unless ``config`` says how many: where they are made on demand.
        title: of the first page; the cache's name where it is None.

    Raises:
        UserError: no film has the words asked for.

    >>> from dubcli.cache.reader import Cache
    >>> from dubcli.view import Site, ViewConfig
    >>> next(iter(Site(Cache("cache"), ViewConfig()).addresses()))
    'index.html'
    """

    def __init__(self, cache: Cache, config: ViewConfig, *, every_clip: bool = False, title: str | None = None) -> None:
        self.title = title or cache.path.resolve().name
        self.config = config
        self.films = {one.movie.id: one for one in map(facts, cache.movies) if _matches(one, config.films)}
        if not self.films:
            names = [facts(movie).title for movie in cache.movies]
            near = "".join(did_you_mean(word, names) for word in config.films)
            raise UserError(f"no film of {cache.path} has {' or '.join(config.films)} in its title{near}"
                            if names else f"{cache.path} holds no film yet; dubav prep makes them")  # fmt: skip
        self._most = _clips_of_a_film(config, len(self.films), every_clip=every_clip)
        self._playable: dict[tuple[str, str], bool] = {}
        self.map_chart: Chart | None = None

    clips_a_page = CLIPS_A_PAGE

    def clips(self, movie: Movie) -> list[int]:
        """Numbers of the clips that are shown of a film, evenly over it."""
        count = movie.n_clips if self._most is None else min(self._most, movie.n_clips)
        return [int((index + 0.5) * movie.n_clips / count) for index in range(count)]

    def addresses(self) -> Iterator[str]:
        """All of them, the first page first."""
        yield "index.html"
        yield "vega.js"
        if self.map_chart is not None:
            yield "map.html"
        for film, one in self.films.items():
            clips = self.clips(one.movie)
            for number in range(_pages(len(clips))):
                yield f"films/{film}/page-{number + 1}.html"
            for clip in clips:
                yield f"films/{film}/clip-{clip:06}.jpg"
                for track in one.movie.every_track:
                    yield f"films/{film}/clip-{clip:06}.{track}.png"
                    if self._can_play(one, track):
                        yield f"films/{film}/clip-{clip:06}.{track}.{SOUND_SUFFIX}"

    def get(self, address: str) -> Resource | None:
        """What is at an address; None where nothing is, or a sound whose film is not at hand.

        Raises UserError for files of the cache that are damaged, InputError for frames that do not decode.
        """
        if address == "index.html":
            return _page(self._index())
        if address == "vega.js":
            return Resource(_KINDS["js"], library().encode())
        if address == "map.html" and self.map_chart is not None:
            return _page(render("dubcli.view", "map.html", title=f"{self.title}: map", chart_of_map=self.map_chart))
        match address.split("/"):
            case ["films", film, name] if film in self.films:
                return self._of_film(self.films[film], name)
        return None

    def _of_film(self, one: FilmFacts, name: str) -> Resource | None:
        if page := re.fullmatch(r"page-([1-9]\d{0,6})\.html", name):
            number = int(page[1])
            return _page(self._film(one, number)) if number <= _pages(len(self.clips(one.movie))) else None
        found = _CLIP.fullmatch(name)
        if found is None or int(found[1]) not in self.clips(one.movie):
            return None
        clip, track, suffix = int(found[1]), found[2], found[3]
        content: bytes | None = None
        if suffix == "jpg" and track is None:
            content = frame_strip(one.movie.frame_bytes(clip))
        elif track in one.languages and suffix == "png":
            content = mel_picture(one.movie.mel(track)[clip])
        elif track in one.movie.tracks and suffix == SOUND_SUFFIX:
            from dubcli.pages.players import cut_sound  # torch: seconds before the first page otherwise

            content = cut_sound(TrackClip(one.movie, clip, track), self.config.sources)
        return None if content is None else Resource(_KINDS[suffix], content)

    def _index(self) -> str:
        languages = list(dict.fromkeys(track for one in self.films.values() for track in one.languages))
        hours = sum(one.movie.hours for one in self.films.values())
        shown = {
            "films": self.films.values(),
            "languages": languages,
            "length": clock(3600 * hours),
            "middle": self._middle,
        }
        has_map = self.map_chart is not None
        return render(
            "dubcli.view",
            "index.html",
            title=self.title,
            has_map=has_map,
            address=_address,
            **shown,
        )

    def _middle(self, movie: Movie) -> int | None:
        clips = self.clips(movie)
        return clips[len(clips) // 2] if clips else None

    def _film(self, one: FilmFacts, number: int) -> str:
        clips = self.clips(one.movie)
        on_page = clips[(number - 1) * CLIPS_A_PAGE : number * CLIPS_A_PAGE]
        tracks = [
            _TrackFacts(track, track_line(one.movie, track), one.movie.valid_range([track]), self._can_play(one, track))
            for track in one.movie.every_track
        ]
        return render("dubcli.view", "film.html", title=one.title, film=one, clips=on_page, all_clips=len(clips),
                      tracks=tracks, sync=sync_chart(one.movie), number=number, pages=_pages(len(clips)),
                      sound_suffix=SOUND_SUFFIX, clock=clock, clip_seconds=CLIP_SECONDS)  # fmt: skip

    def _can_play(self, one: FilmFacts, track: Track) -> bool:
        key = one.movie.id, track.name
        if key not in self._playable:
            there = track.kind == FULL and has_film(one.movie, track.language, self.config.sources)
            self._playable[key] = there
        return self._playable[key]


@dataclass(frozen=True)
class _TrackFacts:
    track: Track
    line: str
    valid: tuple[int, int]
    has_sound: bool


def _page(html: str) -> Resource:
    return Resource(_KINDS["html"], html.encode())


def _address(movie: Movie, name: str) -> str:
    return f"films/{quote(movie.id)}/{quote(name)}"


def _pages(clips: int) -> int:
    return max(1, -(-clips // CLIPS_A_PAGE))


def _matches(one: FilmFacts, words: tuple[str, ...]) -> bool:
    return not words or has_a_word(one.title, one.movie.id, words)


def _clips_of_a_film(config: ViewConfig, films: int, *, every_clip: bool) -> int | None:
    if config.clips is not None or every_clip:
        return config.clips
    return min(MOST_CLIPS_OF_A_FILM, max(1, config.clips_in_all // films))
