"""Write a clip cache so that it reads at every moment: whole movie folders by one rename, added mels likewise."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from dubcli.cache import layout
from dubcli.core.atomic import atomic_folder, atomic_write, read_json, remove_leftovers, write_json, writing
from dubcli.core.same import require_same
from dubcli.core.tracks import Track
from dubcli.errors import UserError

_HEADER_BYTES = 128  # of the .npy header, fixed so that the number of rows can be filled in at the end


def open_cache(path: Path, parameters: Mapping[str, Any]) -> Path:
    """Make the cache folder, or check that it was made with the same ``parameters``. Returns ``path``.

    Raises UserError with both values where a parameter differs, and when the folder cannot be written.
    """
    with writing(path, "--cache"):
        (path / layout.MOVIES_FOLDER).mkdir(parents=True, exist_ok=True)
        with cache_lock(path):
            sweep(path)
            if not (path / layout.CACHE_FILE).exists():
                write_json(path / layout.CACHE_FILE, {"format": layout.FORMAT_VERSION, "parameters": dict(parameters)})
    info = read_json(path / layout.CACHE_FILE)
    if info.get("format") != layout.FORMAT_VERSION:
        raise UserError(
            f"{path} is a cache of format {info.get('format')}, this dubav writes format {layout.FORMAT_VERSION}; "
            "choose another folder with --cache"
        )
    made_with = {**layout.BEFORE_OPTIONS, **info["parameters"]}
    require_same(
        made_with,
        {**layout.BEFORE_OPTIONS, **parameters},
        f"{path} was made with",
        "give the former or another --cache",
    )
    return path


def sweep(path: Path) -> None:
    """Remove what killed processes of this machine left half written."""
    movies = path / layout.MOVIES_FOLDER
    remove_leftovers(path)
    remove_leftovers(movies)
    with suppress(OSError):
        for folder in movies.iterdir():
            remove_leftovers(folder)


@contextmanager
def cache_lock(path: Path) -> Iterator[None]:
    """Hold the cache's lock (released by the system when the process dies) while ``*.json`` in it are changed."""
    with open(path / ".lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class ArrayWriter:
    """A ``.npy`` file that grows by rows; the header's row count is written at the end, in place."""

    def __init__(self, file: IO[bytes], row_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._file, self._row_shape, self._dtype = file, row_shape, np.dtype(dtype)
        self.rows = 0
        self.discarded = False  # set it to leave no file behind
        file.write(self._header())

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Write (n, *row_shape). Raises ValueError on another shape."""
        if rows.shape[1:] != self._row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]}, the file holds {self._row_shape}")
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self.rows += len(rows)

    def truncate(self, rows: int) -> None:
        """Keep the first ``rows`` rows."""
        self._file.flush()
        self._file.truncate(_HEADER_BYTES + rows * self._dtype.itemsize * int(np.prod(self._row_shape)))
        self._file.seek(0, os.SEEK_END)
        self.rows = min(self.rows, rows)

    def close(self) -> None:
        """Write the final header; the caller closes the file."""
        self._file.seek(0)
        self._file.write(self._header())

    def _header(self) -> bytes:
        shape = (self.rows, *self._row_shape)
        text = f"{{'descr': {self._dtype.str!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
        body = text.ljust(_HEADER_BYTES - 11).encode("latin1") + b"\n"
        return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


class MovieWriter:
    """The files of one movie while they grow, in a temporary folder."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self._frames: IO[bytes] = stack.enter_context((folder / layout.FRAMES_FILE).open("wb"))
        self._offsets = [0]
        self._mels: dict[str, ArrayWriter] = {}
        self.frame_size = (0, 0)  # (width, height) in pixels, for ``movie.json``

    @property
    def frame_count(self) -> int:
        """Frames written so far."""
        return len(self._offsets) - 1

    def add_frame(self, jpeg: bytes) -> None:
        """Append the next frame's JPEG."""
        self._frames.write(jpeg)
        self._offsets.append(self._offsets[-1] + len(jpeg))

    def drop_frames(self) -> None:
        """Forget the frames; they can be written anew."""
        self._frames.seek(0)
        self._frames.truncate()
        self._offsets = [0]

    def add_mel(self, language: str, rows: npt.NDArray[Any]) -> None:
        """Append the next clips' mels, (clips, 2, 96, 280)."""
        if language not in self._mels:
            file = self._stack.enter_context((self.folder / layout.mel_file(language)).open("wb"))
            self._mels[language] = ArrayWriter(file, layout.mel_shape(0)[1:], np.float16)
        self._mels[language].append(rows)

    def drop_mel(self, language: str) -> None:
        """Forget a language's mel; it can be written anew."""
        if self._mels.pop(language, None) is not None:
            (self.folder / layout.mel_file(language)).unlink()

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Cut everything to ``meta["n_clips"]`` clips and write the index, the headers and ``movie.json``.

        Raises ValueError when frames or mels of some clips are missing.
        """
        n_clips = meta["n_clips"]
        frames = n_clips * layout.FRAMES_PER_CLIP
        if len(self._offsets) <= frames or any(mel.rows < n_clips for mel in self._mels.values()):
            rows = {language: mel.rows for language, mel in self._mels.items()}
            raise ValueError(f"{n_clips} clips announced, written {self.frame_count} frames and mels of {rows} clips")
        self._frames.flush()
        self._frames.truncate(self._offsets[frames])
        with (self.folder / layout.FRAME_INDEX_FILE).open("wb") as file:
            # not numpy.save: on a full disk its error says nothing of the disk
            index = ArrayWriter(file, (), np.int64)
            index.append(np.array(self._offsets[: frames + 1], np.int64))
            index.close()
        for mel in self._mels.values():
            mel.truncate(n_clips)
            mel.close()
        write_json(self.folder / layout.MOVIE_FILE, meta)


@contextmanager
def new_movie(cache: Path, movie_id: str) -> Iterator[MovieWriter]:
    """Write a movie; its folder appears (or replaces the one there) when the block ends without an exception.

    ``finish`` must have been called by then.
    """
    with atomic_folder(layout.movie_folder(cache, movie_id)) as folder, ExitStack() as stack:
        yield MovieWriter(folder, stack)
        stack.close()
        if not (folder / layout.MOVIE_FILE).exists():
            raise ValueError(f"MovieWriter.finish was not called for {movie_id}")


@contextmanager
def added_mel(folder: Path, track: Track | str) -> Iterator[ArrayWriter]:
    """Write a mel beside the others of the movie in ``folder``; it appears by one rename. See ``update_movie``."""
    shape = layout.mel_shape(0, Track.of(track).kind)[1:]
    with suppress(_Discarded), atomic_write(folder / layout.mel_file(track)) as file:
        writer = ArrayWriter(file, shape, np.float16)
        yield writer
        if writer.discarded:
            raise _Discarded
        writer.close()


class _Discarded(Exception):
    """Ends an atomic write without a file."""


def update_movie(cache: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change ``movie.json`` in place under the cache's lock, so that two processes' changes both stay."""
    with cache_lock(cache):
        meta = read_json(folder / layout.MOVIE_FILE)
        change(meta)
        write_json(folder / layout.MOVIE_FILE, meta)
