"""A clip's pictures, from the JPEGs that the cache keeps."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from dubcli.errors import InputError, first_line


def decode_frames(images: Iterable[bytes]) -> Tensor:
    """JPEGs -> uint8 (frames, 3, height, width).

    Raises InputError, whose text begins with what is damaged: a frame that does not decode, or frames of other sizes.
    """
    from torchvision.io import ImageReadMode, decode_jpeg

    frames = []
    for index, data in enumerate(images):
        try:
            frames.append(decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"frame {index} does not decode: {first_line(error)}") from None
    if any(frame.shape != frames[0].shape for frame in frames):
        raise InputError("its frames are of different sizes")
    return torch.stack(frames)
