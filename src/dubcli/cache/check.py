"""Verify a cache deeply: sizes, offsets, every JPEG decodes, no NaN; every finding names its file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from dubcli.cache import layout
from dubcli.cache.reader import Movie
from dubcli.core.tracks import Track
from dubcli.errors import UserError

CLIPS_AT_ONCE = 64
# ln(1e-6) is the mel of silence; ln of the greatest power a full-scale window can have is below 13.
LOWEST, HIGHEST = -13.9, 14.0


def check_movie(movie: Movie) -> Iterator[str]:
    """Yield what is wrong with a movie's files, one line each; nothing when all is well."""
    if movie.id != movie.folder.name:
        yield f"{movie.folder / layout.MOVIE_FILE}: its id is {movie.id}, the folder's name is {movie.folder.name}"
    yield from _check_frames(movie)
    for track in movie.every_track:
        yield from _check_mel(movie, track)
    for language in movie.languages:
        first, stop = movie.tracks[language].get("valid_clips", [0, movie.n_clips])
        if not 0 <= first <= stop <= movie.n_clips:
            yield f"{movie.folder / layout.MOVIE_FILE}: {language}: valid_clips {first} to {stop} of {movie.n_clips}"
    yield from _leftovers(movie.folder)


def _check_frames(movie: Movie) -> Iterator[str]:
    path = movie.folder / layout.FRAMES_FILE
    try:
        offsets = movie.frame_offsets
    except UserError as error:
        yield str(error)
        return
    if bool((np.diff(offsets) <= 0).any()):
        yield f"{movie.folder / layout.FRAME_INDEX_FILE}: offsets do not rise"
        return
    size = tuple(movie.meta.get("frame_size", ())) or None
    for clip in range(movie.n_clips):
        for number, jpeg in enumerate(movie.frame_bytes(clip)):
            problem = _jpeg_problem(jpeg, size)
            if problem is not None:
                yield f"{path}: clip {clip}, frame {number}: {problem}"


def _jpeg_problem(jpeg: bytes, size: tuple[int, ...] | None) -> str | None:
    if not jpeg.endswith(b"\xff\xd9"):
        return "the JPEG has no end"
    try:
        with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
            image.load()
            return None if size is None or image.size == size else f"{image.size}, movie.json says {size}"
    except Exception as error:  # whatever the decoder raises is the finding
        return f"does not decode: {error}"


def _check_mel(movie: Movie, track: Track) -> Iterator[str]:
    path = movie.folder / track.mel_file
    try:
        mel = movie.mel(track)
    except UserError as error:
        yield str(error)
        return
    for start in range(0, movie.n_clips, CLIPS_AT_ONCE):
        block = np.asarray(mel[start : start + CLIPS_AT_ONCE], np.float32)
        bad = np.flatnonzero(~((block >= LOWEST) & (block <= HIGHEST)).all(axis=(1, 2, 3)))
        for clip in bad:
            values = block[clip]
            what = "NaN" if np.isnan(values).any() else f"values from {values.min():.4g} to {values.max():.4g}"
            yield f"{path}: clip {start + int(clip)}: {what}"


def _leftovers(folder: Path) -> Iterator[str]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".tmp-"):
            yield f"{entry}: left by a process that was killed; the next prep of this cache removes it"
