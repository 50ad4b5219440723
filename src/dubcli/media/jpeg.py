"""Scale a decoded frame and write it as JPEG, from YUV to YUV: no way round through RGB."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from dubcli.media.shown import UPRIGHT, Cropper, Filtered, Orientation

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


class Scaler:
    """Scales a film's frames, bicubic, into one pixel format. Not for several threads at once.

    ``colours``: of the result, as ``VideoReformatter.reformat`` takes them.
    """

    def __init__(self, pixel_format: str, **colours: Any) -> None:
        self._format, self._colours, self._reformatter = pixel_format, colours, VideoReformatter()

    def __call__(self, frame: Any, size: tuple[int, int], turn: Orientation, matrix: Colorspace | None) -> Any:
        """``frame``: its shown part. ``size``: (width, height) once it stands upright, by ``turn``, which is to follow.

        ``matrix``: that of the whole frame, since a part of it may be as small as one of standard definition. Raises
        av.error.FFmpegError or ValueError where FFmpeg cannot convert the pixels.
        """
        width, height = size[::-1] if turn.transposed else size
        return self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format=self._format,
            interpolation="BICUBIC",
            src_colorspace=matrix,
            **self._colours,
        )


class JpegWriter:
    """Turns what is shown of one film's frames into JPEGs of one size. Not for several threads at once."""

    def __init__(self, size: tuple[int, int], crop: Cropper | None = None) -> None:
        self.size = size
        self._crop = Cropper() if crop is None else crop
        self._unpacker, self._turned = VideoReformatter(), Filtered()
        # the matrix is what every reader takes a JPEG for (JFIF)
        self._scaler = Scaler("yuvj420p", dst_color_range="JPEG", dst_colorspace=Colorspace.ITU601)
        self._number = 0
        self._encoder = av.CodecContext.create("mjpeg", "w")
        self._encoder.width, self._encoder.height = size
        self._encoder.pix_fmt = "yuvj420p"
        self._encoder.time_base = _TICK
        self._encoder.thread_count = 1  # slices of several threads would be other bytes
        self._encoder.flags |= av.codec.context.Flags.qscale
        self._encoder.global_quality = QUALITY * _LAMBDA

    def encode(self, frame: Any, turn: Orientation = UPRIGHT) -> bytes:
        """The JPEG of a decoded frame, turned. Raises av.error.FFmpegError where FFmpeg cannot convert its pixels."""
        matrix = colour_matrix(frame)
        frame = self._crop(planar(frame, self._unpacker))
        scaled = self._scaler(frame, self.size, turn, matrix)
        scaled = self._turned(scaled, turn.filters())
        self._number += 1
        scaled.pts, scaled.time_base = self._number, self._encoder.time_base
        return b"".join(bytes(packet) for packet in self._encoder.encode(scaled))
