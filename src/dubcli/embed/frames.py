"""Frames at evaluation: 16 per 3-second chunk, short side 256, centre crop 224 (paper section 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor

from dubcli.core.models import FRAMES, ModelSizes
from dubcli.core.transforms import eval_video


def eval_clip(frames: Tensor, sizes: ModelSizes) -> Tensor:
    """uint8 (frames, height, width, 3) RGB -> uint8 (3, 16, crop, crop).

    Of other numbers of frames than 16, those on screen at the centres of 16 equal parts are taken.
    """
    if frames.shape[0] != FRAMES:
        frames = frames[(2 * torch.arange(FRAMES) + 1) * frames.shape[0] // (2 * FRAMES)]
    return eval_video(frames.permute(0, 3, 1, 2), sizes).permute(1, 0, 2, 3).contiguous()
