"""An index on disk: where clips are in a model's contrastive space, and what they are.

::

    index.json     format, source, model (name, content hash, path), rows; of a cache its films, as they were then
    vectors.npy    float32 (rows, width of the space), rows of length 1
    rows.csv       kind, film, title, start_seconds, seconds, track, path

All scores of a query are one matrix product over ``vectors.npy``, in blocks: exact, and for a million clips of the
paper's 128 numbers (512 MB) well under a second once it is in memory.
"""

from __future__ import annotations

import csv
import functools
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.core.atomic import atomic_write, read_json, write_json
from dubcli.core.languages import found_as
from dubcli.core.tracks import CLIP_SECONDS, Track
from dubcli.core.variants import variant_from_dict
from dubcli.errors import UserError
from dubcli.search.changes import changes_since

FORMAT = 1
INDEX_FILE, VECTORS_FILE, ROWS_FILE = "index.json", "vectors.npy", "rows.csv"
_AT_ONCE = 1 << 18
Float = npt.NDArray[np.float32]


@dataclass(frozen=True)
class IndexRow:
    """A clip as picture or as sound.

    Attributes:
        kind: ``picture`` or ``sound``.
        film: its id in its cache, or a file's path.
        title: of the film.
        start_seconds: of the clip.
        seconds: its length.
        track: of a sound.
        path: of a file.
    """

    kind: str
    film: str
    title: str
    start_seconds: float
    seconds: float = CLIP_SECONDS
    track: str = ""
    path: str = ""

    def same_instant(self, other: IndexRow) -> bool:
        """Whether both are the same clip of the same film, in whatever kind and track."""
        return self.film == other.film and self.start_seconds == other.start_seconds


class Index:
    """An index that is there, its vectors mapped.

    Args:
        folder: of the index.

    Raises:
        UserError: it is no index, one of another format, or damaged.

    >>> from dubcli.search import Index, build_index
    >>> _ = build_index("index", "cache", "runs/es")
    >>> len(Index("index").rows)
    63
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        file = self.folder / INDEX_FILE
        if not file.is_file():
            raise UserError(f"{self.folder} is no index (no {INDEX_FILE}); make one: dubav search {self.folder} "
                            "--build CACHE --model CKPT")  # fmt: skip
        self.info: dict[str, Any] = read_json(file)
        if self.info.get("format") != FORMAT:
            raise UserError(f"{file} is of format {self.info.get('format')}, this dubav reads {FORMAT}; build it again")
        try:
            self.vectors: Float = np.load(self.folder / VECTORS_FILE, mmap_mode="r", allow_pickle=False)
            self.rows = _read_rows(self.folder / ROWS_FILE)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.folder} is damaged ({error}); build it again") from None
        if len(self.rows) != len(self.vectors) or self.vectors.ndim != 2:
            raise UserError(
                f"{self.folder} is damaged: {len(self.rows)} rows, {len(self.vectors)} vectors; build it again"
            )

    @property
    def is_of_cache(self) -> bool:
        """Whether it was built from a clip cache."""
        return bool(self.info["of"] == "cache")

    @property
    def primary(self) -> Track:
        """The model's own track."""
        return variant_from_dict(self.info["variant"]).primary

    @functools.cached_property
    def changes(self) -> str:
        """What has become of the cache since this was built, in a sentence; "" where nothing has, and of files."""
        films = self.info.get("films")
        return "" if films is None else changes_since(films, Path(self.info["source"]), self.primary.kind)

    @functools.cached_property
    def titles(self) -> dict[str, str]:
        """Titles by film."""
        return {row.film: row.title for row in self.rows}

    @functools.cached_property
    def tracks(self) -> tuple[str, ...]:
        """Names of the sounds' tracks."""
        return tuple(sorted({row.track for row in self.rows if row.track}))

    def track_called(self, name: str) -> str:
        """A track as the index has it: of a macrolanguage's member the macrolanguage's; what is not there stays."""
        track = Track.of(name)
        languages = [one.language for one in map(Track.of, self.tracks) if one.kind == track.kind]
        return str(Track(found_as(track.language, languages), track.kind))

    def scores(self, query: Float) -> Float:
        """(rows,): cosines with a query of length 1."""
        found = np.empty(len(self.vectors), np.float32)
        for start in range(0, len(found), _AT_ONCE):
            found[start : start + _AT_ONCE] = self.vectors[start : start + _AT_ONCE] @ query
        return found


def write_index(folder: Path, vectors: Float, rows: Iterable[IndexRow], info: dict[str, Any]) -> None:
    """Write an index; ``index.json`` comes last and makes it one."""
    (folder / INDEX_FILE).unlink(missing_ok=True)
    with atomic_write(folder / VECTORS_FILE) as file:
        np.save(file, np.ascontiguousarray(vectors, dtype=np.float32))
    with atomic_write(folder / ROWS_FILE, "w") as text:
        writer = csv.DictWriter(text, [field.name for field in fields(IndexRow)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    write_json(folder / INDEX_FILE, {"format": FORMAT, **info, "rows": len(vectors)})


def _read_rows(path: Path) -> list[IndexRow]:
    with open(path, newline="", encoding="utf-8") as file:
        return [
            IndexRow(
                kind=row["kind"],
                film=row["film"],
                title=row["title"],
                start_seconds=float(row["start_seconds"]),
                seconds=float(row["seconds"]),
                track=row["track"],
                path=row["path"],
            )
            for row in csv.DictReader(file)
        ]
