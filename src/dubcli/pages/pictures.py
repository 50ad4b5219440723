"""Pictures of a clip: its frames in one strip, its sound as a mel in colours."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from dubcli.errors import InputError

_COLOUR_MAP = "magma"
QUIETEST = -13.8
"""ln(1e-6), the floor of the cache's mels: digital silence is black."""
LOUDEST = 6.0


def frame_strip(frames: Sequence[bytes], *, columns: int = 8, width: int = 160) -> bytes:
    """A clip's JPEGs side by side, in rows of ``columns``, each ``width`` pixels wide, as one JPEG.

    Raises InputError for a frame that does not decode, as its number and the reason.
    """
    pictures = [_opened(frame, number, width) for number, frame in enumerate(frames)]
    height = max(picture.height for picture in pictures)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % columns * width, number // columns * height))
    return _saved(sheet, "JPEG", quality=80)


def _opened(frame: bytes, number: int, width: int) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(frame))
        return picture.convert("RGB").resize((width, max(1, round(picture.height * width / picture.width))))
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise InputError(f"frame {number} does not decode ({str(error).splitlines()[0]})") from None


def mel_picture(mel: npt.NDArray[np.float16], *, scale: int = 1) -> bytes:
    """ln mel power (2, mels, frames) as a PNG: left above right, low pitch below, from the floor to ``LOUDEST``."""
    picture = Image.fromarray(_upright(mel))
    picture.putpalette(_colours().tobytes())
    if scale > 1:
        picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    return _saved(picture, "PNG")


def coloured_mel(mel: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """The picture of ``mel_picture`` as uint8 (2 * mels, frames, 3)."""
    return in_colours(_upright(mel) / 255)


def in_colours(shares: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Numbers from 0 to 1 of any shape as uint8 (..., 3)."""
    picture: npt.NDArray[np.uint8] = _colours()[(shares * 255).round().astype(np.uint8)]
    return picture


def _upright(mel: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """(2, mels, frames) -> (2 * mels, frames), numbers of colours."""
    level = np.nan_to_num(mel.astype(np.float32), nan=QUIETEST, posinf=LOUDEST, neginf=QUIETEST)
    part = np.clip((level - QUIETEST) / (LOUDEST - QUIETEST), 0, 1)
    whole: npt.NDArray[np.uint8] = (np.concatenate([channel[::-1] for channel in part]) * 255).round().astype(np.uint8)
    return whole


@functools.cache
def _colours() -> npt.NDArray[np.uint8]:
    """(256, 3): perceptually even, readable without colour too."""
    import matplotlib

    colours = np.asarray(matplotlib.colormaps[_COLOUR_MAP](np.arange(256)))
    table: npt.NDArray[np.uint8] = (colours[:, :3] * 255).round().astype(np.uint8)
    return table


def _saved(picture: Image.Image, kind: str, **options: int) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()
