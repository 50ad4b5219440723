"""``search``: an index and a query -> ranked clips."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dubcli.cache.clips import clock, has_a_word
from dubcli.errors import UserError, did_you_mean
from dubcli.jobs.progress import SILENT, Progress
from dubcli.search.config import SearchConfig
from dubcli.search.index import Index, IndexRow
from dubcli.search.nearest import nearest
from dubcli.search.query import Query, read_query


@dataclass(frozen=True)
class Hit:
    """A clip that was found.

    Attributes:
        rank: from 1.
        score: the cosine.
        row: the clip.
        same: whether it is the query's instant, in another kind or track.
    """

    rank: int
    score: float
    row: IndexRow
    same: bool

    @property
    def clock(self) -> str:
        """Where the clip begins, as h:mm:ss or m:ss."""
        return clock(self.row.start_seconds)


def search(
    index: Index | str | os.PathLike[str],
    query: str,
    config: SearchConfig = SearchConfig(),  # noqa: B008 - frozen
    progress: Progress = SILENT,
) -> tuple[Query, list[Hit]]:
    """Rank the clips of an index by their likeness to a query.

    Args:
        index: an index or its folder.
        query: ``FILM@H:MM:SS`` (a clip of the index; FILM is its title, its id or a part of one), or the path of a
            sound, a picture or a video (of more than one chunk: their mean).
        config: what is sought, and among which clips.
        progress: is told where of very many clips not all are compared (see ``nearest``), and where the cache has
            changed since the index was built.

    Returns:
        The query as it was understood, and at most ``config.top`` clips, the likest first; among equals, those first
        that come first in the index. The query itself is not among them.

    Raises:
        UserError: a query that is not understood, a filter that leaves nothing.

    >>> from dubcli.search import SearchConfig, build_index, search
    >>> index = build_index("index", "cache", "runs/es")
    >>> query, hits = search(index, f"{next(iter(index.titles))}@0:03", SearchConfig(tracks=("es",), top=2))
    >>> [hit.row.track for hit in hits]
    ['es', 'es']
    """
    index = index if isinstance(index, Index) else Index(index)
    if index.changes:
        progress.message(index.changes)
    asked = read_query(query, index, config)
    wanted = _wanted(index, asked, config)
    if not wanted.any():
        raise UserError(f"no {config.find} of the index is left to be found; widen --among, --film and --other-films")
    numbers = np.flatnonzero(wanted)
    found, scores = nearest(index, asked.vector, numbers, config.top, progress)
    hits = []
    for rank, (number, score) in enumerate(zip(found, scores, strict=True), 1):
        row = index.rows[int(number)]
        same = asked.row is not None and row.same_instant(asked.row)
        hits.append(Hit(rank, float(score), row, same))
    return asked, hits


def _wanted(index: Index, asked: Query, config: SearchConfig) -> npt.NDArray[np.bool_]:
    for word in config.films:
        if not any(has_a_word(title, film, [word]) for film, title in index.titles.items()):
            near = did_you_mean(word, index.titles.values())
            raise UserError(f"--film is {word}, but no film of the index has it in its title{near}")
    tracks = [index.track_called(track) for track in config.tracks]
    unknown = [track for track in tracks if track not in index.tracks]
    if unknown:
        near = did_you_mean(unknown[0], index.tracks)
        raise UserError(f"no sound of the index is of track {unknown[0]}{near}; it has {', '.join(index.tracks)}")

    def is_wanted(row: IndexRow) -> bool:
        if row.kind != config.find or row == asked.row:
            return False
        if tracks and row.track not in tracks:
            return False
        if config.other_films and asked.row is not None and row.film == asked.row.film:
            return False
        return not config.films or has_a_word(row.title, row.film, config.films)

    return np.fromiter(map(is_wanted, index.rows), bool, len(index.rows))
