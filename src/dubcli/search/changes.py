"""Whether a clip cache is still what an index was built of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dubcli.cache.layout import CACHE_FILE
from dubcli.cache.reader import Cache, Movie
from dubcli.core.tracks import FULL
from dubcli.search.index import Index


def films_placed(cache: Cache, kind: str) -> dict[str, str]:
    """{id: digest} of the cache's films; a digest changes with the clips, and with the tracks of a kind."""
    return {movie.id: _digest(movie, kind) for movie in cache.movies}


def _digest(movie: Movie, kind: str) -> str:
    tracks = [
        # a film that was moved has the same tracks at another path
        (track.name, *movie.valid_range([track]), entry.get("fingerprint") if track.kind == FULL else entry)
        for track in movie.every_track
        if track.kind == kind
        for entry in (movie.entries(kind)[track.language],)
    ]
    return hashlib.sha256(json.dumps([movie.n_clips, sorted(tracks)], sort_keys=True).encode()).hexdigest()[:16]


def changes_since(index: Index) -> str:
    """What has become of the films since the index was built, in a sentence; "" where nothing has, of an index of
    files, and where the cache is not there any more."""
    before, place = index.info.get("films"), Path(index.info["source"])
    if before is None or not (place / CACHE_FILE).is_file():
        return ""
    now = films_placed(Cache(place, damaged=[]), index.primary.kind)
    counts = {
        "more": len(now.keys() - before.keys()),
        "fewer": len(before.keys() - now.keys()),
        "changed": sum(now[film] != before[film] for film in now.keys() & before.keys()),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    if not said:
        return ""
    return f"films of {place} since the index was built: {said}; build it again to find what is there now"
