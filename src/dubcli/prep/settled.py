"""What a film was prepared of and for: where nothing of it has changed, it is done, and nothing has to be opened.

``movie.json`` keeps under ``settled`` what was asked for and size and times of every file that was looked at. It is a
short cut alone: without it, or where a time differs, contents are compared.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubcli.cache import layout
from dubcli.cache.writer import update_movie
from dubcli.core.atomic import read_json
from dubcli.errors import InputError
from dubcli.media.films import Film
from dubcli.media.joined import files_of
from dubcli.media.sources import sidecars
from dubcli.prep.config import PrepConfig
from dubcli.prep.landmarks import landmarks_file

KEY = "settled"


def film_state(film: Film, config: PrepConfig) -> dict[str, Any] | None:
    """What decides what becomes of a film, as JSON has it; None where a file cannot be looked at."""
    named = [path for _, path, _ in film.named_tracks]
    try:
        files = [*files_of(film.video), *named, *(path for _, path in sidecars(film.video))]
        return {
            "asked": [
                list(config.languages),
                list(config.regions),
                config.assume_primary,
                config.keep_same,
                config.unknown,
                [[language, str(path), stream] for language, path, stream in film.named_tracks],
                list(film.without),
            ],
            "files": {str(path): _times(path) for path in sorted(set(files))},
        }
    except (OSError, InputError):
        return None


def _times(path: Path) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def settled(meta: Mapping[str, Any] | None, film: Film, config: PrepConfig) -> dict[str, Any] | None:
    """Details for the log of a film that the cache has, where nothing is to be done; else None."""
    if meta is None or KEY not in meta or meta[KEY] != film_state(film, config):
        return None
    if not landmarks_file(layout.movie_folder(config.cache, meta["id"])).is_file():
        return None  # prepared by a version that made none
    return {"movie": meta["id"], "clips": meta["n_clips"], "languages": list(meta["tracks"])}


def settle(cache: Path, folder: Path, state: dict[str, Any] | None) -> None:
    """Note that a film is done; ``state`` as it was before its files were read."""
    if state is not None and read_json(folder / layout.MOVIE_FILE).get(KEY) != state:
        update_movie(cache, folder, lambda meta: meta.update({KEY: state}))
