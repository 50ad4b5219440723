"""The inputs of ``embed``: files, folders, lists of files and clip caches, as one stream of items in a fixed order."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.kinds import walk

_PATH_COLUMNS = ("path", "file", "filename", "file_name", "fname", "video", "audio")


@dataclass(frozen=True)
class MediaItem:
    """One input; ``kind`` is "file" or "movie" (a film of a clip cache). Size and time tell when it has changed.

    ``size``: of the file, or of a film's frames: also a measure of how much work it is.
    """

    path: str
    kind: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class Ignored:
    """A file in an input folder that is no sound and no video by its name."""

    path: str


def list_items(inputs: Iterable[str | os.PathLike[str]]) -> Iterator[MediaItem | Ignored]:
    """Yield the items of ``inputs`` in their order, folders sorted by name; nothing is opened but lists.

    Raises UserError for a list that cannot be read. A file that is not there is an item all the same: it fails when it
    is read.
    """
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            yield from _movies(path) if is_cache(path) else _folder(path)
        elif path.suffix.lower() == ".txt":
            yield from _listed(path, _text_lines(path))
        elif path.suffix.lower() == ".csv":
            yield from _listed(path, _csv_cells(path))
        else:
            yield file_item(str(given))


def check_inputs(inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raises UserError for an input that is not there."""
    for given in inputs:
        if not os.path.exists(given):
            raise UserError(f"{given} is not there; give files, folders, a .csv or .txt list, or a clip cache")


def is_cache(path: Path) -> bool:
    """Whether a folder is a clip cache."""
    return (path / "cache.json").is_file()


def file_item(path: str) -> MediaItem:
    """The item of one file, whether it is there or not."""
    try:
        status = os.stat(path)
    except OSError:
        return MediaItem(path, "file", -1, 0)
    return MediaItem(path, "file", status.st_size, status.st_mtime_ns)


def _folder(folder: Path) -> Iterator[MediaItem | Ignored]:
    for found in walk(folder):
        yield file_item(found.path) if found.is_media else Ignored(found.path)


def _movies(cache: Path) -> Iterator[MediaItem]:
    from dubcli.cache.layout import FRAMES_FILE, MOVIE_FILE
    from dubcli.cache.reader import Cache

    for movie in Cache(cache).movies:
        frames = file_item(str(movie.folder / FRAMES_FILE))
        yield MediaItem(str(movie.folder), "movie", frames.size, (movie.folder / MOVIE_FILE).stat().st_mtime_ns)


def _listed(source: Path, names: Iterable[str]) -> Iterator[MediaItem]:
    """Names in a list are relative to the list's own folder."""
    for name in names:
        yield file_item(os.path.join(source.parent, name) if source.parent != Path() else name)


def _text_lines(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            for line in file:
                if "\0" in line:
                    raise UserError(f"{path} is no text; a .txt input is a list with one file per line")
                if line.strip():
                    yield line.rstrip("\r\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _csv_cells(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            column = next((name for name in _PATH_COLUMNS if name in columns), None)
            if column is None:
                found = ", ".join(columns) or "none"
                raise UserError(
                    f"{path} has no column named path (columns: {found}); name the column with the files so"
                )
            yield from (row[column] for row in rows if row[column])
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a list: {error}") from None
