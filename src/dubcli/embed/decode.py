"""From an item to its chunks, in a decoding thread: a sound file, a film of a cache, or a container.

Of a container the picture and one sound track are each decoded once, on the film's own clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import torch
from torch import Tensor

from dubcli.cache.frames import decode_frames
from dubcli.core.languages import found_as
from dubcli.core.models import ModelSizes
from dubcli.core.tracks import KINDS, Track
from dubcli.core.transforms import eval_clip
from dubcli.embed.chunks import CHUNK_SECONDS, Chunk, DecodeNotes, Wanted, cut, exact_hop
from dubcli.embed.inputs import MediaItem
from dubcli.embed.stereo import SNDFILE_SUFFIXES, Heard, film_blocks, stereo_blocks
from dubcli.errors import InputError, UserError
from dubcli.media.clock import read_packets
from dubcli.media.jpeg import Scaler, colour_matrix
from dubcli.media.picture import (
    FrameSkipper,
    Instants,
    SlidingInstants,
    decode_pictures,
    on_screen,
    shown_seconds,
    usual_seconds,
)
from dubcli.media.shown import Cropper, PictureShape, PixelAspect, Turns, frame_size, usual_shape
from dubcli.media.sound import problem_summary
from dubcli.media.sources import choose_track
from dubcli.media.streams import MediaInfo, VideoTrack, open_media, read_info


def decode(item: MediaItem, wanted: Wanted, reading: DecodeNotes) -> Iterator[Chunk]:
    """Yield an item's chunks and fill ``reading``. Raises InputError when nothing of it can be used."""
    path = Path(wanted.base, item.path)
    if item.kind == "movie":
        yield from _decode_movie(path, wanted, reading)
    elif path.suffix.lower() in SNDFILE_SUFFIXES and wanted.lang is None:
        yield from _decode_sound(path, wanted, reading)
    else:
        yield from film_chunks(path, wanted, reading)


def _decode_sound(path: Path, wanted: Wanted, reading: DecodeNotes) -> Iterator[Chunk]:
    if "audio" not in wanted.modalities:
        raise InputError("a sound, and only video features are made")
    heard = Heard(expect=lambda seconds: reading.expected.update(wave=wanted.count(seconds)))
    blocks = stereo_blocks(path, wanted.sample_rate, heard)
    yield from cut(blocks, wanted.sample_rate, wanted.chunks, wanted.hop_seconds)
    reading.seconds = heard.seconds
    if heard.warning:
        reading.warnings.append(heard.warning)


def _decode_movie(folder: Path, wanted: Wanted, reading: DecodeNotes) -> Iterator[Chunk]:
    """The clips of a film in a cache: its stored mels and frames, no decoding of media."""
    from dubcli.cache.reader import Movie

    try:
        movie = Movie(folder)
        reading.seconds = float(movie.n_clips * CHUNK_SECONDS)
        reading.expected.update(mel=movie.n_clips, frames=movie.n_clips)
        language = found_as(wanted.lang or movie.primary, movie.languages)
        track, mels = Track(language, wanted.kind), None
        if "audio" in wanted.modalities:
            if movie.has(track):
                mels = movie.mel(track)
            else:
                there = ", ".join(map(str, movie.every_track))
                reading.warnings.append(f"has no {KINDS[track.kind].title} of {language} (there are: {there})")
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


def film_chunks(path: Path, wanted: Wanted, reading: DecodeNotes) -> Iterator[Chunk]:
    """Chunks of the sound, then of the picture, of those that are wanted and there.

    What is not there is a warning, as long as something is. Raises InputError when nothing can be used.
    """
    info = read_info(path)
    if info.duration_seconds:
        count = wanted.count(info.duration_seconds)
        reading.expected.update({"wave": count} if info.audio else {}, **({"frames": count} if info.video else {}))
    problems = []
    given = 0
    for modality, part in (("audio", _sound), ("video", _picture)):
        if modality not in wanted.modalities:
            continue
        before = given
        try:
            for chunk in part(info, wanted, reading):
                given += 1
                yield chunk
        except InputError as error:
            if given > before:  # what was read of it turned out to be of no use
                raise
            problems.append(str(error))
    if not given:
        raise InputError("; ".join(problems) or "holds no samples and no frames")
    # a sound file has no picture, and nobody missed it
    reading.warnings += [text for text in problems if info.video is not None or text != _NO_PICTURE]


_NO_PICTURE = "no picture"


def _sound(info: MediaInfo, wanted: Wanted, reading: DecodeNotes) -> Iterator[Chunk]:
    track = choose_track(info.audio, wanted.lang)
    heard = Heard()
    blocks = film_blocks(info.path, track.index, info.start_seconds, wanted.sample_rate, heard)
    yield from cut(blocks, wanted.sample_rate, wanted.chunks, wanted.hop_seconds)
    reading.seconds = max(reading.seconds, heard.seconds)
    if heard.warning:
        reading.warnings.append(heard.warning)


def _picture(info: MediaInfo, wanted: Wanted, reading: DecodeNotes) -> Iterator[Chunk]:
    if info.video is None:
        raise InputError(_NO_PICTURE)
    clock = _Clock(info)
    problems: list[str] = []
    held: dict[int, list[Tensor]] = defaultdict(list)  # frames of the chunks that are not whole yet
    done = 0
    usual = usual_shape(info)
    if usual is not None:
        shown = Fraction(usual.width, usual.height) * usual.sample_aspect_ratio
        reading.warnings.append(f"its aspect changes; all of it was scaled to its usual one, {float(shown):.2f}:1")
    with open_media(info.path) as container:
        stream = container.streams[info.video.index]
        stream.thread_type = "AUTO"
        cropper = _SquareCropper(info.video, stream, wanted.sizes, usual)
        instants = Instants.of(wanted.frame_rule, CHUNK_SECONDS, wanted.frames, usual_seconds(stream))
        instants = replace(instants, start=info.start_seconds)
        sliding = wanted.hop_seconds != CHUNK_SECONDS
        looked_at = SlidingInstants(instants, exact_hop(wanted.hop_seconds)) if sliding else instants
        demuxed = read_packets(container, [stream], info.start_seconds, problems)
        packets = FrameSkipper(stream, looked_at).packets(demuxed)
        pictures = decode_pictures(stream, packets, problems)
        for number, frame in on_screen(clock.timed(pictures, stream), looked_at):
            index = looked_at.clip(number)
            held[index].append(cropper(frame))
            if len(held[index]) == wanted.frames:
                yield _clip(held.pop(index), index, wanted, 0)
                done = index + 1
    if clock.last is None:
        raise InputError(f"no picture that decodes ({problem_summary(problems)})" if problems else "no frames")
    reading.seconds = max(reading.seconds, float(clock.seconds))
    if problems:
        reading.warnings.append(f"not all of the picture decodes ({problem_summary(problems)})")
    for index in range(done, wanted.count(clock.seconds)):  # filled up with the last frame of all
        last = [cropper(clock.last)] * (wanted.frames - len(held[index]))
        there = clock.seconds - index * exact_hop(wanted.hop_seconds)
        yield _clip(held.pop(index) + last, index, wanted, CHUNK_SECONDS - there)


def _clip(frames: list[Tensor], index: int, wanted: Wanted, padded_seconds: Fraction | int) -> Chunk:
    """A chunk's frames (3, size, size) as a chunk."""
    start_seconds = float(index * exact_hop(wanted.hop_seconds))
    times = (start_seconds, float(CHUNK_SECONDS), float(max(0, padded_seconds)))
    return Chunk("frames", index, *times, torch.stack(frames, dim=1))


class _Clock:
    """Gives decoded frames their times on the container's clock, and remembers where the film ends."""

    def __init__(self, info: MediaInfo) -> None:
        self._start = info.start_seconds
        self.last: Any = None
        self._end = self._start

    @property
    def seconds(self) -> Fraction:
        """Where the last frame ends, from the film's start."""
        return self._end - self._start

    def timed(self, frames: Iterator[Any], stream: Any) -> Iterator[tuple[Fraction, Fraction, Any]]:
        """(start_seconds, duration_seconds, frame); a frame without a time follows the one before."""
        time_base, usual = Fraction(stream.time_base), usual_seconds(stream)
        for frame in frames:
            start = self._end if frame.pts is None else frame.pts * time_base
            duration = shown_seconds(frame, time_base, usual)
            self.last = frame
            self._end = max(self._end, start + duration)
            yield start, duration, frame


class _SquareCropper:
    """A decoded frame -> uint8 (3, crop, crop): square pixels, upright, short side 256, the centre.

    ``usual``: the shape to which all are scaled; None: each has its own.
    """

    def __init__(self, video: VideoTrack, stream: Any, sizes: ModelSizes, usual: PictureShape | None) -> None:
        self._usual = usual
        self._aspect = PixelAspect(stream.codec_context, video.sample_aspect_ratio)
        self._shown = Cropper(video.crop, (video.width, video.height))
        self._sizes = sizes
        self._turns, self._scaler = Turns(), Scaler("rgb24")

    def __call__(self, frame: Any) -> Tensor:
        turn, matrix = self._turns(frame), colour_matrix(frame)
        frame = self._shown(frame)
        short_side = self._sizes.eval_short_side
        shape = self._usual or PictureShape(frame.width, frame.height, self._aspect())
        size = frame_size(*shape, turn.transposed, short_side)
        try:
            scaled = self._scaler(frame, size, turn, matrix)
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(f"the picture's pixels cannot be converted ({error})") from None
        pixels = torch.from_numpy(scaled.to_ndarray())
        if turn.transposed:
            pixels = pixels.transpose(0, 1)
        pixels = pixels.flip([axis for axis, flips in enumerate((turn.flip_y, turn.flip_x)) if flips])
        crop = self._sizes.crop
        top, left = (pixels.shape[0] - crop) // 2, (pixels.shape[1] - crop) // 2
        return pixels[top : top + crop, left : left + crop].permute(2, 0, 1).contiguous()
