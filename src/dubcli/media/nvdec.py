"""Pictures decoded by an NVIDIA GPU (NVDEC), through the FFmpeg that PyAV carries.

H.264 and HEVC define their pictures to the bit, so that an undamaged film has the same ones from any decoder. Of a
damaged one every decoder makes something else: what a GPU cannot decode or marks as damaged is left to the CPU.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
import av.error

from dubcli.errors import InputError, one_of
from dubcli.media.streams import VideoTrack, open_media, short

DECODERS = ("auto", "cpu", "cuda")

# One grey picture of 256 x 256, H.264 main profile: parameter sets and a slice. Y, U and V are these everywhere.
_PROBE = base64.b64decode(
    "AAAAAWdNQBW5AiCAQ0IAAAMAAgAAAwBkHixbCMAAAAABaOhDjyyAAAAAAWWIgQAFf/7Y5/MsbijqGmPHVqlw6svdwqUDRlDO08l6mcAPspz+"
    "LzmH5cd8AAADAQsCAQPLG3lZcy46Hw=="
)
_PROBE_LEVELS = (100, 120, 140)

_CODECS = ("h264", "hevc")
_FORMATS = ("yuv420p", "yuvj420p")


class GpuDecodeError(Exception):
    """A GPU could not decode a film as a CPU does. The text is the reason, in one line."""


def parse_decoder(text: str) -> str:
    """One of ``DECODERS``. Raises UserError that names the nearest word."""
    return one_of("--decoder", text, DECODERS)


def unsupported(video: VideoTrack) -> str | None:
    """Why a stream is never given to a GPU; None for H.264 and HEVC of 8 bits, 4:2:0, whose pictures are the CPU's."""
    if video.codec not in _CODECS:
        return f"{video.codec} is left to the CPU"
    if video.pixel_format not in _FORMATS:
        return f"{video.pixel_format} is left to the CPU"
    return None


@cache
def why_not(device: int) -> str | None:
    """Why GPU number ``device`` decodes nothing here, found by decoding one picture, once per process; None: it does.

    Driver and decoder library are opened by FFmpeg: a container may have the one without the other.
    """
    try:
        context = av.CodecContext.create("h264", "r", hwaccel=_acceleration(device))
        frames = [*context.decode(av.Packet(_PROBE)), *context.decode(None)]
    except (av.error.FFmpegError, OSError, RuntimeError, ImportError) as error:
        return f"FFmpeg cannot use NVDEC on GPU {device} ({short(error)})"
    if not context.is_hwaccel or len(frames) != 1:
        return f"FFmpeg cannot use NVDEC on GPU {device}"
    levels = frames[0].reformat(format="yuv420p")
    if any(bytes(plane)[0] != level for plane, level in zip(levels.planes, _PROBE_LEVELS, strict=True)):
        return f"NVDEC on GPU {device} decodes a picture wrongly"
    return None


@contextmanager
def open_on_gpu(path: Path, device: int) -> Iterator[Any]:
    """``open_media`` with the pictures decoded by GPU number ``device``; its frames come as NV12, in main memory.

    Raises GpuDecodeError where the device cannot be had.
    """
    try:
        opened = open_media(path, hwaccel=_acceleration(device))
        container = opened.__enter__()
    except (InputError, OSError, RuntimeError, ImportError) as error:
        raise GpuDecodeError(short(error)) from None
    try:
        yield container
    finally:
        opened.__exit__(None, None, None)


def _acceleration(device: int) -> Any:
    from av.codec.hwaccel import HWAccel, hwdevices_available

    if "cuda" not in hwdevices_available():
        raise RuntimeError("it was built without")
    return HWAccel("cuda", device=str(device), allow_software_fallback=False)
