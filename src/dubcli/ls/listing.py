"""Look into sources or a cache, title by title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.cache.check import check_movie
from dubcli.cache.reader import Cache, Movie
from dubcli.core.languages import check_languages, regional_tag
from dubcli.core.subsets import LanguageSubsets, language_subsets
from dubcli.core.tracks import FULL, KINDS
from dubcli.jobs.progress import SILENT, Progress
from dubcli.ls.films import AskedLanguages, judge, look, most_have
from dubcli.ls.title import TitleRow, TrackRow
from dubcli.media.films import require_new, write_manifest
from dubcli.media.library import Looking, find_library

TASK = "titles"


@dataclass(frozen=True)
class Listing:
    """What sources or a cache hold.

    Attributes:
        titles: a row for each.
        primary: the language that they are dubs of (the cache's primary; of sources the one most of them have).
        notes: what of the sources was left out or put together.
    """

    titles: tuple[TitleRow, ...]
    primary: str
    notes: tuple[str, ...] = ()

    @property
    def subsets(self) -> LanguageSubsets:
        """Titles and hours of the languages that titles have together, as in table B4."""
        usable = [(title.languages, title.hours) for title in self.titles if title.problem is None]
        return language_subsets(usable, self.primary)

    @property
    def findings(self) -> list[str]:
        """Everything that ``--check`` found, one line each."""
        return [finding for title in self.titles for finding in title.findings]


def list_cache(path: Path, *, check: bool = False, progress: Progress = SILENT) -> Listing:
    """The movies of a cache.

    Args:
        path: the cache.
        check: read every file of it; what is wrong stands in ``findings``.
        progress: takes a bar.

    Returns:
        A row per movie.

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


def list_sources(
    sources: Sequence[Path],
    languages: Sequence[str] = (),
    looking: Looking = Looking(),
    *,
    assume_primary: bool = False,
    manifest: Path | None = None,
    progress: Progress = SILENT,
) -> Listing:
    """The films of files, folders and manifests, by their headers alone, and what prep would take of them.

    Args:
        sources: files, folders, ``.csv`` manifests.
        languages: as ``dubav prep --lang`` has them, the primary first; none: all that there are.
        looking: which files of folders are films.
        assume_primary: as ``dubav prep`` has it.
        manifest: where to write what would be taken, as a manifest for ``dubav prep``.
        progress: takes a bar.

    Returns:
        A row per film; one that cannot be used has its ``problem``.

    Raises:
        UserError: there are none, a language is none, or the manifest cannot be written.

    >>> from pathlib import Path
    >>> [title.languages for title in list_sources([Path("films")]).titles]
    [('en', 'es')]
    """
    tags = check_languages(list(languages))
    regions = {tag: regional_tag(written) or "" for tag, written in zip(tags, languages, strict=True)}
    choice = AskedLanguages(languages=tags, regions=regions, assume_primary=assume_primary)
    library = find_library(sources, looking)
    films = library.films
    if manifest is not None:
        require_new(manifest)
    progress.start(TASK, len(films), "titles")
    looked = []
    for number, film in enumerate(films, start=1):
        looked.append(look(film))
        progress.update(TASK, number)
    progress.finish(TASK)
    primary = tags[0] if tags else most_have(looked)
    titles = [judge(one, choice, primary) for one in looked]
    if manifest is not None:
        found = sorted({tag for one in titles for tag in one.in_manifest.tracks}, key=lambda tag: (tag != primary, tag))
        write_manifest(manifest, tags or found, [one.in_manifest for one in titles])
    return Listing(tuple(one.row for one in titles), primary, tuple(library.notes))


def _from_movie(movie: Movie, findings: tuple[str, ...]) -> TitleRow:
    video: dict[str, Any] = movie.meta.get("video", {})
    notes = [f"{language} left out" for language in movie.meta.get("left_out", {})]
    for kind, about in KINDS.items():
        if kind != FULL and movie.entries(kind):
            notes.append(f"{about.title.removesuffix(' mel')}: {', '.join(movie.entries(kind))}")
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
                index=track.get("stream"),
                tag=str(track.get("tag", "")),
                title=str(track.get("title", "")),
                taken_for=(language,),
                why=str(track.get("found_by", "")),
            )
            for language, track in ((language, movie.tracks[language]) for language in movie.languages)
        ),
        note="; ".join(notes),
        findings=findings,
    )
