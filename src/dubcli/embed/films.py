"""Films and other containers: the picture and one sound track, each decoded once, on the film's own clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from dubcli.core.models import ModelSizes
from dubcli.embed.chunks import CHUNK_SECONDS, Chunk, chunk_count, cut
from dubcli.embed.reading import Reading, Wanted
from dubcli.embed.sounds import Heard, film_blocks, summary
from dubcli.errors import InputError
from dubcli.media.clock import read_packets
from dubcli.media.jpeg import colour_matrix
from dubcli.media.picture import FrameSkipper, Instants, decode_pictures, on_screen, shown_seconds, usual_seconds
from dubcli.media.shown import Cropper, PixelAspect, frame_size, orientation
from dubcli.media.sources import choose_track
from dubcli.media.streams import MediaInfo, VideoTrack, open_media, probe


def film_chunks(path: Path, wanted: Wanted, reading: Reading) -> Iterator[Chunk]:
    """Chunks of the sound, then of the picture, of those that are wanted and there.

    What is not there is a warning, as long as something is. Raises InputError when nothing can be used.
    """
    info = probe(path)
    if info.duration_seconds:
        count = chunk_count(round(1000 * info.duration_seconds), 1000 * CHUNK_SECONDS, wanted.chunks)
        reading.expected.update({"wave": count} if info.audio else {}, **({"frames": count} if info.video else {}))
    problems = []
    given = 0
    for modality, part in (("audio", _sound), ("video", _picture)):
        if modality not in wanted.modalities:
            continue
        try:
            for chunk in part(info, wanted, reading):
                given += 1
                yield chunk
        except InputError as error:
            problems.append(str(error))
    if not given:
        raise InputError("; ".join(problems) or "holds no samples and no frames")
    # a sound file has no picture, and nobody missed it
    reading.warnings += [text for text in problems if info.video is not None or text != _NO_PICTURE]


_NO_PICTURE = "no picture"


def _sound(info: MediaInfo, wanted: Wanted, reading: Reading) -> Iterator[Chunk]:
    track = choose_track(info.audio, wanted.lang)
    heard = Heard()
    blocks = film_blocks(info.path, track.index, info.start_seconds, wanted.sample_rate, heard)
    yield from cut(blocks, wanted.sample_rate, wanted.chunks)
    reading.seconds = max(reading.seconds, heard.seconds)
    if heard.warning:
        reading.warnings.append(heard.warning)


def _picture(info: MediaInfo, wanted: Wanted, reading: Reading) -> Iterator[Chunk]:
    if info.video is None:
        raise InputError(_NO_PICTURE)
    clock = _Clock(info)
    problems: list[str] = []
    held: list[Tensor] = []
    index = 0
    with open_media(info.path) as container:
        stream = container.streams[info.video.index]
        stream.thread_type = "AUTO"
        cropper = _SquareCropper(info.video, stream, wanted.sizes)
        instants = Instants.of(wanted.frame_rule, CHUNK_SECONDS, wanted.frames, usual_seconds(stream))
        instants = replace(instants, start=info.start_seconds)
        demuxed = read_packets(container, [stream], info.start_seconds, problems)
        packets = FrameSkipper(stream, instants).packets(demuxed)
        pictures = decode_pictures(stream, packets, problems)
        for _, frame in on_screen(clock.timed(pictures, stream), instants):
            held.append(cropper(frame))
            if len(held) == wanted.frames:
                yield _clip(held, index, 0)
                held, index = [], index + 1
    seconds = clock.seconds
    if clock.last is None:
        raise InputError(f"no picture that decodes ({summary(problems)})" if problems else "no frames")
    reading.seconds = max(reading.seconds, float(seconds))
    if problems:
        reading.warnings.append(f"not all of the picture decodes ({summary(problems)})")
    if chunk_count(round(1000 * seconds), 1000 * CHUNK_SECONDS, wanted.chunks) > index:
        held = held or [cropper(clock.last)]
        yield _clip(held + [held[-1]] * (wanted.frames - len(held)), index, CHUNK_SECONDS * (index + 1) - seconds)


def _clip(frames: list[Tensor], index: int, padded_seconds: Fraction | int) -> Chunk:
    """A chunk's frames (3, size, size) as a chunk."""
    times = (float(index * CHUNK_SECONDS), float(CHUNK_SECONDS), float(max(0, padded_seconds)))
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
    """A decoded frame -> uint8 (3, crop, crop): square pixels, upright, short side 256, the centre."""

    def __init__(self, video: VideoTrack, stream: Any, sizes: ModelSizes) -> None:
        self._aspect = PixelAspect(stream.codec_context, video.sample_aspect_ratio)
        self._shown = Cropper(video.crop, (video.width, video.height))
        self._sizes = sizes
        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> Tensor:
        turn, matrix = orientation(frame), colour_matrix(frame)
        frame = self._shown(frame)
        short_side = self._sizes.eval_short_side
        width, height = frame_size(frame.width, frame.height, self._aspect(), turn.transposed, short_side)
        if turn.transposed:
            width, height = height, width
        try:
            scaled = self._reformatter.reformat(
                frame,
                width=width,
                height=height,
                format="rgb24",
                interpolation="BICUBIC",
                src_colorspace=matrix,
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(f"the picture's pixels cannot be converted ({error})") from None
        pixels = torch.from_numpy(scaled.to_ndarray())
        if turn.transposed:
            pixels = pixels.transpose(0, 1)
        pixels = pixels.flip([axis for axis, flips in enumerate((turn.flip_y, turn.flip_x)) if flips])
        crop = self._sizes.crop
        top, left = (pixels.shape[0] - crop) // 2, (pixels.shape[1] - crop) // 2
        return pixels[top : top + crop, left : left + crop].permute(2, 0, 1).contiguous()
