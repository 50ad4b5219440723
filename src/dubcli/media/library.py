"""From what the user names (files, folders, manifests) to films."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.films import Film, read_manifest
from dubcli.media.kinds import CLOSED, FILM, FILM_SUFFIXES, walk


def find_films(sources: Sequence[str | Path]) -> list[Film]:
    """Films in the order given, a folder's sorted by path. Raises UserError for a source that holds none.

    A source is a video file, a folder (searched recursively) or a ``.csv`` manifest. A folder that cannot be read is
    given as a film, which then fails for that reason.
    """
    films: list[Film] = []
    for source in map(Path, sources):
        if source.is_dir():
            found = sorted(Path(one.path) for one in walk(source, once=True) if one.kind in (FILM, CLOSED))
            if not found:
                suffixes = " ".join(sorted(FILM_SUFFIXES))
                raise UserError(f"no video file in {source}; files with one of {suffixes} are taken")
            films += [Film(video=path) for path in found]
        elif source.suffix.lower() == ".csv" and source.is_file():
            films += read_manifest(source)
        elif source.exists():
            films.append(Film(video=source))
        else:
            raise UserError(f"{source} is not there; give video files, folders or a .csv manifest")
    return list({(film.video.absolute(), film.title): film for film in films}.values())
