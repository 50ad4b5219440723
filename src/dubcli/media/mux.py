"""Write a Matroska file with H.264 video and language-tagged AC-3 or AAC tracks, the same bytes from the same input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from dubcli.core.languages import container_tag

SAMPLE_RATE = 48000
# with its look-ahead x264 writes, now and then, other bytes for the same pictures
_X264 = {
    "preset": "veryfast",
    "crf": "23",
    "threads": "1",
    "x264-params": "no-mbtree=1:rc-lookahead=0:cpu-independent=1",
}
BITEXACT = 0x400  # AVFMT_FLAG_BITEXACT


@dataclass(frozen=True, kw_only=True)
class SoundTrack:
    """(channels, samples) float32 at 48 kHz in FFmpeg's order of ``layout``; ``codec`` is ac3 or aac."""

    sound: npt.NDArray[np.float32]
    language: str
    layout: str
    codec: str
    title: str = ""


def write_mkv(
    path: str | os.PathLike[str],
    pictures: Iterable[npt.NDArray[np.uint8]],
    rate: Fraction,
    size: tuple[int, int],
    tracks: Iterable[SoundTrack],
) -> None:
    """Encode and write ``path``. Packets are held in memory until all are there, so films of minutes, not of hours."""
    with av.open(os.fspath(path), "w", format="matroska") as container:
        container.flags |= BITEXACT  # else the muxer draws a random identifier
        picture = container.add_stream("libx264", rate=rate, options=dict(_X264))
        picture.width, picture.height, picture.pix_fmt = size[0], size[1], "yuv420p"
        picture.codec_context.flags |= _bitexact()
        streams = [(add_audio(container, track), track) for track in tracks]
        packets = list(_encode_video(picture, pictures))
        for stream, track in streams:
            packets += list(encode_audio(stream, track))
        # one stream after another would make the muxer hold everything back, or write an uninterleaved file
        packets.sort(key=lambda packet: (float(packet.dts * packet.time_base), packet.stream.index))
        for packet in packets:
            container.mux(packet)


def add_audio(container: Any, track: SoundTrack) -> Any:
    """An audio stream with its tags."""
    stream = container.add_stream(track.codec, rate=SAMPLE_RATE, layout=track.layout)
    stream.bit_rate = 64000 * track.sound.shape[0]
    stream.codec_context.flags |= _bitexact()
    stream.metadata["language"] = container_tag(track.language, bibliographic=container.format.name == "matroska")
    if track.title:
        stream.metadata["title"] = track.title
    return stream


def _bitexact() -> int:
    from av.codec.context import Flags

    return int(Flags.bitexact)


def _encode_video(stream: Any, pictures: Iterable[npt.NDArray[np.uint8]]) -> Iterator[Any]:
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, 1 / stream.codec_context.framerate
        yield from stream.encode(frame)
    yield from stream.encode(None)


def encode_audio(stream: Any, track: SoundTrack) -> Iterator[Any]:
    """Packets of a whole track."""
    block = stream.codec_context.frame_size or 1536
    for start in range(0, track.sound.shape[1], block):
        part = np.ascontiguousarray(track.sound[:, start : start + block], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=track.layout)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
        yield from stream.encode(frame)
    yield from stream.encode(None)
