"""Scale a decoded frame and write it as JPEG, from YUV to YUV: no way round through RGB."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import av
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

QUALITY = 3  # FFmpeg's -q:v: 2 is best, 31 worst
_TICK = Fraction(1, 1000)
_LAMBDA = 118  # FF_QP2LAMBDA
_ROTATIONS = {90: 2, 270: 1, 180: None}  # degrees counter-clockwise -> FFmpeg's transpose direction; 180 is two flips


# The long side is at most so many times the short one: a wrong pixel aspect must not make a frame of 100 megapixels.
_LONGEST = 8


_MATRICES = {int(space): space for space in Colorspace} | {6: Colorspace.ITU601, 10: Colorspace.BT2020}


def upright(frame: Any) -> int:
    """Degrees by which a decoded frame is to be turned counter-clockwise: of 0, 90, 180, 270 the nearest to its tag."""
    degrees = float(frame.rotation)
    return 90 * round(degrees / 90) % 360 if math.isfinite(degrees) else 0


def colour_matrix(frame: Any) -> Colorspace | None:
    """By which matrix a frame's colours were turned into YUV; None where it holds no YUV.

    Where nothing says so it is what players take it for: BT.709 for high definition, BT.601 for the rest.
    """
    if frame.format.is_rgb:
        return None
    is_high = frame.width >= 1280 or frame.height > 576
    return _MATRICES.get(int(frame.colorspace), Colorspace.ITU709 if is_high else Colorspace.ITU601)


def planar(frame: Any, reformatter: VideoReformatter | None = None) -> Any:
    """A GPU's frame (NV12) as a CPU decodes it: the same samples, U and V in planes of their own. Others as they are.

    From here on both take the same path: FFmpeg scales some formats by other code, and rounds otherwise, than others.
    """
    if frame.format.name != "nv12":
        return frame
    name = "yuvj420p" if frame.color_range == ColorRange.JPEG else "yuv420p"  # what FFmpeg's H.264 and HEVC give
    return (reformatter or VideoReformatter()).reformat(frame, format=name)


def frame_size(
    width: int, height: int, sample_aspect_ratio: Fraction, rotation: int, short_side: int
) -> tuple[int, int]:
    """(width, height) in square pixels as it is shown: the short side ``short_side``, the other by aspect and even."""
    shown_width, shown_height = Fraction(width) * sample_aspect_ratio, Fraction(height)
    if rotation % 180:
        shown_width, shown_height = shown_height, shown_width

    def even(value: Fraction) -> int:
        return max(2, 2 * round(value / 2))

    ratio = min(max(shown_width / shown_height, Fraction(1, _LONGEST)), Fraction(_LONGEST))
    if ratio >= 1:
        return even(ratio * short_side), even(Fraction(short_side))
    return even(Fraction(short_side)), even(short_side / ratio)


class JpegWriter:
    """Turns frames of one film into JPEGs of one size. Not for several threads at once."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._reformatter, self._unpacker = VideoReformatter(), VideoReformatter()
        self._number = 0
        self._encoder = av.CodecContext.create("mjpeg", "w")
        self._encoder.width, self._encoder.height = size
        self._encoder.pix_fmt = "yuvj420p"
        self._encoder.time_base = _TICK
        self._encoder.thread_count = 1  # slices of several threads would be other bytes
        self._encoder.flags |= av.codec.context.Flags.qscale
        self._encoder.global_quality = QUALITY * _LAMBDA

    def encode(self, frame: Any) -> bytes:
        """The JPEG of a decoded frame. Raises av.error.FFmpegError where FFmpeg cannot convert its pixels."""
        frame = planar(frame, self._unpacker)
        rotation = upright(frame)
        width, height = self.size if rotation % 180 == 0 else self.size[::-1]
        scaled = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="yuvj420p",
            interpolation="BICUBIC",
            dst_color_range="JPEG",
            src_colorspace=colour_matrix(frame),
            dst_colorspace=Colorspace.ITU601,  # what every reader takes a JPEG for (JFIF)
        )
        if rotation:
            scaled = _rotate(scaled, rotation)
        self._number += 1
        scaled.pts, scaled.time_base = self._number, self._encoder.time_base
        return b"".join(bytes(packet) for packet in self._encoder.encode(scaled))


def _rotate(frame: Any, degrees: int) -> Any:
    """Turn by a multiple of 90 degrees, counter-clockwise, plane by plane."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_TICK)
    direction = _ROTATIONS.get(degrees)
    names = [("hflip", ""), ("vflip", "")] if direction is None else [("transpose", str(direction))]
    steps = [graph.add(name, argument) for name, argument in names]
    last = source
    for step in [*steps, graph.add("buffersink")]:
        last.link_to(step)
        last = step
    graph.configure()
    frame.pts = 0
    graph.push(frame)
    return graph.pull()
