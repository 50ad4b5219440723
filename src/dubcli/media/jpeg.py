"""Scale a decoded frame and write it as JPEG, from YUV to YUV: no way round through RGB."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from dubcli.media.shown import Cropper, Filtered, orientation

QUALITY = 3  # FFmpeg's -q:v: 2 is best, 31 worst
_TICK = Fraction(1, 1000)
_LAMBDA = 118  # FF_QP2LAMBDA
_MATRICES = {int(space): space for space in Colorspace} | {6: Colorspace.ITU601, 10: Colorspace.BT2020}


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


class JpegWriter:
    """Turns what is shown of one film's frames into JPEGs of one size. Not for several threads at once."""

    def __init__(self, size: tuple[int, int], crop: Cropper | None = None) -> None:
        self.size = size
        self._crop = Cropper() if crop is None else crop
        self._reformatter, self._unpacker, self._turned = VideoReformatter(), VideoReformatter(), Filtered()
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
        turn = orientation(frame)
        matrix = colour_matrix(frame)
        frame = self._crop(planar(frame, self._unpacker))
        width, height = self.size[::-1] if turn.transposed else self.size
        scaled = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="yuvj420p",
            interpolation="BICUBIC",
            dst_color_range="JPEG",
            src_colorspace=matrix,
            dst_colorspace=Colorspace.ITU601,  # what every reader takes a JPEG for (JFIF)
        )
        scaled = self._turned(scaled, turn.filters())
        self._number += 1
        scaled.pts, scaled.time_base = self._number, self._encoder.time_base
        return b"".join(bytes(packet) for packet in self._encoder.encode(scaled))
