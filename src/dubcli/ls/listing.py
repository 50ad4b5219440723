"""Look into sources or a cache, title by title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.cache.check import check_movie
from dubcli.cache.layout import CACHE_FILE
from dubcli.cache.reader import Cache, Movie
from dubcli.core.subsets import LanguageSubsets, language_subsets
from dubcli.core.tracks import NOSPEECH
from dubcli.errors import InputError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.ls.title import TitleRow, TrackRow
from dubcli.media.sources import Film, find_films
from dubcli.media.streams import AudioTrack, MediaInfo, probe

TASK = "titles"


@dataclass(frozen=True)
class Listing:
    """Titles and the language that they are dubs of (the cache's primary; of sources the one most of them have)."""

    titles: tuple[TitleRow, ...]
    primary: str

    @property
    def subsets(self) -> LanguageSubsets:
        """Titles and hours of the languages that titles have together, as in table B4."""
        usable = [(title.languages, title.hours) for title in self.titles if title.problem is None]
        return language_subsets(usable, self.primary)

    @property
    def findings(self) -> list[str]:
        """Everything that ``--check`` found, one line each."""
        return [finding for title in self.titles for finding in title.findings]


def is_cache(path: Path) -> bool:
    """Whether ``path`` is a clip cache."""
    return (path / CACHE_FILE).exists()


def list_cache(path: Path, *, check: bool = False, progress: Progress = SILENT) -> Listing:
    """The movies of a cache.

    Args:
        path: the cache.
        check: read every file of it; what is wrong stands in ``findings``.
        progress: takes a bar.

    Raises:
        UserError: it is no cache.

    >>> from pathlib import Path
    >>> listing = list_cache(Path("cache"))
    >>> len(listing.titles), listing.primary, listing.findings
    (3, 'en', [])
    """
    cache = Cache(path)
    progress.start(TASK, len(cache.movies), "titles")
    titles = []
    for number, movie in enumerate(cache.movies, start=1):
        titles.append(_from_movie(movie, tuple(check_movie(movie)) if check else ()))
        progress.update(TASK, number)
    progress.finish(TASK)
    return Listing(tuple(titles), str(cache.info.get("parameters", {}).get("primary", "")))


def list_sources(sources: Sequence[Path], *, progress: Progress = SILENT) -> Listing:
    """The films of files, folders and manifests, by their headers alone.

    Args:
        sources: files, folders, ``.csv`` manifests.
        progress: takes a bar.

    Raises:
        UserError: there are none.

    >>> from pathlib import Path
    >>> [title.languages for title in list_sources([Path("films")]).titles]
    [('en', 'es')]
    """
    films = find_films(sources)
    progress.start(TASK, len(films), "titles")
    titles = []
    for number, film in enumerate(films, start=1):
        titles.append(_from_film(film))
        progress.update(TASK, number)
    progress.finish(TASK)
    counts: dict[str, int] = {}
    for title in titles:
        for language in title.languages:
            counts[language] = counts.get(language, 0) + 1
    primary = "en" if "en" in counts else max(counts, key=lambda language: counts[language], default="")
    return Listing(tuple(titles), primary)


def _from_movie(movie: Movie, findings: tuple[str, ...]) -> TitleRow:
    video: dict[str, Any] = movie.meta.get("video", {})
    notes = [f"{language} left out" for language in movie.meta.get("left_out", {})]
    if movie.entries(NOSPEECH):
        notes.append("no-speech: " + ", ".join(movie.entries(NOSPEECH)))
    return TitleRow(
        title=movie.id,
        duration_seconds=movie.n_clips * 3.0,
        video=f"{video.get('codec', '')} {video.get('width', '')}x{video.get('height', '')}".strip(),
        tracks=tuple(
            TrackRow(
                language=language,
                codec=str(track.get("codec", "")),
                channels=int(track.get("channels", 0)),
                layout=", ".join(track.get("layouts", [])),
                note=str(track.get("sync", {}).get("status", "")),
            )
            for language, track in ((language, movie.tracks[language]) for language in movie.languages)
        ),
        note="; ".join(notes),
        findings=findings,
    )


def _from_film(film: Film) -> TitleRow:
    try:
        info = probe(film.video)
    except InputError as error:
        return TitleRow(title=film.name, problem=str(error))
    if info.video is None:
        return TitleRow(title=film.name, problem="no video stream", tracks=_tracks(info))
    notes = [note for note, holds in ((info.video.hdr, info.video.hdr), ("interlaced", info.video.interlaced)) if holds]
    return TitleRow(
        title=film.name,
        duration_seconds=info.duration_seconds or 0.0,
        video=f"{info.video.codec} {info.video.width}x{info.video.height}",
        tracks=_tracks(info),
        note=", ".join(map(str, notes)),
    )


def _tracks(info: MediaInfo) -> tuple[TrackRow, ...]:
    return tuple(
        TrackRow(
            language=track.language or "und",
            codec=track.codec or "no decoder",
            channels=track.channels,
            layout=track.layout,
            note=_note(track),
        )
        for track in info.audio
    )


def _note(track: AudioTrack) -> str:
    return f"not taken: {track.title or 'commentary or description'}" if track.special else ""
