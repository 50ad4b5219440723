"""Which films of a cache are at hand, so that their clips can be heard. No torch here, as in ``cache/clips``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile

from dubcli.cache.reader import Movie
from dubcli.media.kinds import walk

# libsndfile writes MP3 from 1.1 on; both play in every browser
SOUND_SUFFIX = "mp3" if "MP3" in soundfile.available_formats() else "flac"
SOUND_KIND = "audio/mpeg" if SOUND_SUFFIX == "mp3" else "audio/flac"


def has_film(movie: Movie, language: str, sources: Sequence[Path]) -> bool:
    """Whether the file that a track was read from is at hand, so that it can be heard."""
    return source_of(movie, movie.tracks[language], sources) is not None


def source_of(movie: Movie, track: Mapping[str, Any], sources: Sequence[Path]) -> Path | None:
    """The file that a track was read from, or one of its name in ``sources``; None where it is not at hand."""
    return _find(Path(track.get("path") or movie.meta["source"]["path"]), sources)


def _find(path: Path, sources: Sequence[Path]) -> Path | None:
    for candidate in (path, *(folder / path.name for folder in sources)):
        if candidate.is_file():
            return candidate
    below = (Path(found.path) for folder in sources for found in walk(folder))
    return next((candidate for candidate in below if candidate.name == path.name), None)
