"""Read a clip cache: memory-mapped arrays whose shapes are checked, and errors that name the file."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.cache import layout
from dubcli.core.atomic import read_json
from dubcli.core.tracks import FULL, KINDS, Track
from dubcli.errors import UserError


class Movie:
    """One prepared movie. Files are mapped on first use; nothing is read whole.

    Args:
        folder: the movie's, in a cache.

    Raises:
        UserError: ``movie.json`` is missing or lacks a field.

    >>> from dubcli.cache.reader import Cache, Movie
    >>> Movie(Cache("cache").movies[0].folder).languages
    ('en', 'es')
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.meta: dict[str, Any] = read_json(folder / layout.MOVIE_FILE)
        try:
            self.id: str = self.meta["id"]
            self.n_clips: int = self.meta["n_clips"]
            self.primary: str = self.meta["primary"]
            self.tracks: dict[str, dict[str, Any]] = self.meta["tracks"]
        except (KeyError, TypeError) as error:
            raise UserError(f"{folder / layout.MOVIE_FILE} lacks {error}; prepare the film again") from None

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages with a mel, the primary one first."""
        return tuple(sorted(self.tracks, key=lambda language: (language != self.primary, language)))

    @property
    def hours(self) -> float:
        """Duration of the clips, in hours."""
        return self.n_clips * layout.CLIP_SECONDS / 3600

    @property
    def every_track(self) -> tuple[Track, ...]:
        """All tracks with a mel: those of the languages first, then those made of them."""
        derived = [(language, kind) for kind in KINDS if kind != FULL for language in self.entries(kind)]
        return (*(Track(language) for language in self.languages), *(Track(*pair) for pair in derived))

    def entries(self, kind: str) -> dict[str, dict[str, Any]]:
        """What ``movie.json`` says of the tracks of a kind, by language."""
        found: dict[str, dict[str, Any]] = self.meta.get(layout.entries_key(kind), {})
        return found

    def has(self, track: Track | str) -> bool:
        """Whether this movie has that track's mel. A string is a track's name: ``en``, ``en-nospeech``."""
        track = Track.of(track)
        return track.language in self.entries(track.kind)

    def valid_range(self, tracks: Sequence[Track | str]) -> tuple[int, int]:
        """(first, stop): the clips whose sound is there in all of ``tracks``; half-open, possibly empty.

        A track that was made of another is valid where that one is, unless its own entry says more.
        """
        ranges = [self._valid_clips(Track.of(track)) for track in tracks]
        first = max([0, *(int(start) for start, _ in ranges)])
        return first, max(first, min([self.n_clips, *(int(stop) for _, stop in ranges)]))

    def _valid_clips(self, track: Track) -> tuple[int, int]:
        own = self.entries(track.kind).get(track.language, {})
        source = self.tracks.get(track.language, {})
        first, stop = own.get("valid_clips") or source.get("valid_clips") or (0, self.n_clips)
        return first, stop

    @functools.cached_property
    def frame_offsets(self) -> npt.NDArray[np.int64]:
        """(n_clips * 16 + 1,) byte offsets into the file of JPEGs. Raises UserError on a damaged index."""
        path = self.folder / layout.FRAME_INDEX_FILE
        offsets: npt.NDArray[np.int64] = _map(path, (self.n_clips * layout.FRAMES_PER_CLIP + 1,), np.dtype(np.int64))
        size = _size(self.folder / layout.FRAMES_FILE)
        if int(offsets[0]) != 0 or int(offsets[-1]) != size:
            raise UserError(
                f"{self.folder / layout.FRAMES_FILE} has {size} bytes, {path} says {int(offsets[-1])}; "
                "prepare the film again"
            )
        return offsets

    @functools.cached_property
    def _frames(self) -> npt.NDArray[np.uint8]:
        path = self.folder / layout.FRAMES_FILE
        try:
            return np.memmap(path, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise UserError(f"{path} cannot be read: {error}; prepare the film again") from error

    def frame_bytes(self, clip: int) -> list[bytes]:
        """The 16 JPEGs of a clip, in order of time."""
        first = self._check(clip) * layout.FRAMES_PER_CLIP
        bounds = self.frame_offsets[first : first + layout.FRAMES_PER_CLIP + 1].tolist()
        block = self._frames[bounds[0] : bounds[-1]].tobytes()
        return [block[a - bounds[0] : b - bounds[0]] for a, b in itertools.pairwise(bounds)]

    def mel(self, track: Track | str) -> npt.NDArray[np.float16]:
        """Memory-mapped float16 (n_clips, 2, 96, 280), or (…, 257) without speech: ln(mel power + 1e-6).

        Raises UserError when the movie has no such mel or its file is damaged.
        """
        track = Track.of(track)
        name = track.mel_file
        if name not in self._mels:
            if not self.has(track):
                raise UserError(f"{self.folder} has no {name}; it has {', '.join(map(str, self.every_track))}")
            shape = layout.mel_shape(self.n_clips, track.kind)
            self._mels[name] = _map(self.folder / name, shape, np.dtype(np.float16))
        return self._mels[name]

    @functools.cached_property
    def _mels(self) -> dict[str, npt.NDArray[np.float16]]:
        return {}

    def _check(self, clip: int) -> int:
        if not 0 <= clip < self.n_clips:
            raise IndexError(f"clip {clip} of {self.id}, which has {self.n_clips}")
        return clip

    def __getstate__(self) -> dict[str, Any]:
        # maps are opened again in the process that uses them: pickling one would copy the file's content
        return {key: value for key, value in self.__dict__.items() if key not in ("frame_offsets", "_frames", "_mels")}


class Cache:
    """A clip cache folder. ``movies`` are sorted by id, so that clip numbers mean the same everywhere.

    Args:
        path: the folder.
        damaged: takes a line for each movie that cannot be read, which is then left out.

    Raises:
        UserError: it is no cache, or one of another format version; a movie cannot be read and ``damaged`` is None.

    >>> movie = Cache("cache").movies[0]
    >>> movie.n_clips, movie.languages, movie.mel("es").shape
    (7, ('en', 'es'), (7, 2, 96, 280))
    """

    def __init__(self, path: str | Path, damaged: list[str] | None = None) -> None:
        self.path = Path(path)
        file = self.path / layout.CACHE_FILE
        if not file.is_file():
            raise UserError(f"{self.path} is no clip cache (no {layout.CACHE_FILE} in it); make one with dubav prep")
        self.info: dict[str, Any] = read_json(file)
        version = self.info.get("format") if isinstance(self.info, dict) else None
        if version != layout.FORMAT_VERSION:
            raise UserError(
                f"{file} is of format {version}, this dubav reads format {layout.FORMAT_VERSION}; "
                "prepare the films again into another folder with --cache"
            )
        self.movies: list[Movie] = []
        for folder in self._folders():
            try:
                self.movies.append(Movie(folder))
            except UserError as error:
                if damaged is None:
                    raise
                damaged.append(str(error))

    def _folders(self) -> list[Path]:
        root = self.path / layout.MOVIES_FOLDER
        if not root.is_dir():
            return []
        return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; prepare the film again") from error


def _map(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}; prepare the film again") from error
    if array.shape != shape or array.dtype != dtype:
        raise UserError(
            f"{path} is {array.dtype} {array.shape}, {layout.MOVIE_FILE} asks for {dtype} {shape}; "
            "prepare the film again"
        )
    return array
