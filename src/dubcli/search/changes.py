"""Whether a clip cache is still what an index was built of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from dubcli.cache.layout import CACHE_FILE
from dubcli.cache.reader import Cache, Movie
from dubcli.core.tracks import FULL, Track


def films_placed(cache: Cache, kind: str) -> dict[str, str]:
    """{id: digest} of the cache's films; a digest changes with the clips, and with the tracks of a kind."""
    return {movie.id: _digest(movie, kind) for movie in cache.movies}


def _digest(movie: Movie, kind: str) -> str:
    tracks = {
        # a film that was moved has the same tracks at another path
        language: [*movie.valid_range([Track(language, kind)]), entry.get("fingerprint") if kind == FULL else entry]
        for language, entry in movie.entries(kind).items()
    }
    return hashlib.sha256(json.dumps([movie.n_clips, tracks], sort_keys=True).encode()).hexdigest()[:16]


def changes_since(before: Mapping[str, str], place: Path, kind: str) -> str:
    """What has become of a cache's films since ``films_placed`` told ``before``, in a sentence; "" where nothing has,
    and where the cache is not there any more."""
    if not (place / CACHE_FILE).is_file():
        return ""
    now = films_placed(Cache(place, damaged=[]), kind)
    counts = {
        "more": len(now.keys() - before.keys()),
        "fewer": len(before.keys() - now.keys()),
        "changed": sum(now[film] != before[film] for film in now.keys() & before.keys()),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    if not said:
        return ""
    return f"films of {place} since the index was built: {said}; build it again to find what is there now"
