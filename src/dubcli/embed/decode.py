"""From an item to its chunks, in a decoding thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from dubcli.cache.frames import decode_frames
from dubcli.core.models import ModelSizes
from dubcli.core.tracks import KINDS, Track
from dubcli.embed.chunks import CHUNK_SECONDS, Chunk, cut
from dubcli.embed.frames import eval_clip
from dubcli.embed.inputs import MediaItem
from dubcli.embed.reading import Reading, Wanted
from dubcli.embed.sounds import SNDFILE_SUFFIXES, Heard, stereo_blocks
from dubcli.errors import InputError, UserError


def decode(item: MediaItem, wanted: Wanted, reading: Reading) -> Iterator[Chunk]:
    """Yield an item's chunks and fill ``reading``. Raises InputError when nothing of it can be used."""
    path = Path(wanted.base, item.path)
    if item.kind == "movie":
        yield from _decode_movie(path, wanted, reading)
    elif path.suffix.lower() in SNDFILE_SUFFIXES and wanted.lang is None:
        yield from _decode_sound(path, wanted, reading)
    else:
        from dubcli.embed.films import film_chunks

        yield from film_chunks(path, wanted, reading)


def _decode_sound(path: Path, wanted: Wanted, reading: Reading) -> Iterator[Chunk]:
    if "audio" not in wanted.modalities:
        raise InputError("a sound, and only video features are made")
    heard = Heard(expect=lambda seconds: reading.expect(seconds, wanted.chunks))
    yield from cut(stereo_blocks(path, wanted.sample_rate, heard), wanted.sample_rate, wanted.chunks)
    reading.seconds = heard.seconds
    if heard.warning:
        reading.warnings.append(heard.warning)


def _decode_movie(folder: Path, wanted: Wanted, reading: Reading) -> Iterator[Chunk]:
    """The clips of a film in a cache: its stored mels and frames, no decoding of media."""
    from dubcli.cache.reader import Movie

    try:
        movie = Movie(folder)
        reading.seconds = float(movie.n_clips * CHUNK_SECONDS)
        reading.expected.update(mel=movie.n_clips, frames=movie.n_clips)
        language = wanted.lang or movie.primary
        track, mels = Track(language, wanted.kind), None
        if "audio" in wanted.modalities:
            if movie.has(track):
                mels = movie.mel(track)
            else:
                reading.warnings.append(f"has no {KINDS[track.kind].title} of {language}")
        if mels is None and "video" not in wanted.modalities:
            raise InputError(reading.warning or "nothing that is asked for")
        valid = movie.valid_range([track])
        for clip in range(movie.n_clips):
            times = (clip, float(clip * CHUNK_SECONDS), float(CHUNK_SECONDS), 0.0)
            if mels is not None and valid[0] <= clip < valid[1]:
                yield Chunk("mel", *times, torch.from_numpy(mels[clip].copy()))
            if "video" in wanted.modalities:
                yield Chunk("frames", *times, _jpeg_clip(movie.frame_bytes(clip), wanted.sizes))
    except UserError as error:
        raise InputError(str(error)) from None


def _jpeg_clip(images: list[bytes], sizes: ModelSizes) -> Tensor:
    return eval_clip(decode_frames(images).permute(0, 2, 3, 1), sizes)
