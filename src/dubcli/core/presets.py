"""Words and bounds of what can be chosen, without torch, which the command line's help need not wait for.

What ``--preset`` changes: sizes of the backbones that are built in, and the crop that every video backbone gets. How
batches are drawn, which negatives the loss has, and other readings of what the paper leaves open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from dubcli.errors import UserError, did_you_mean

FRAMES = 16
SAMPLINGS = ("groups", "one-film")
Negatives = Literal["both", "cross"]
NEGATIVES: tuple[str, ...] = get_args(Negatives)
RANDAUGMENTS = {"torchvision": 30, "pytorchvideo": 10}  # forms, and the highest level of each
PROJECTION_NORMS = ("batch", "none")
DECAYS = ("all", "weights")
MIN_TEMPERATURE = 0.003  # below it, exp(-2 / temperature) is no float64 number


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """What a preset changes: sizes only. Clips have 16 frames in all of them.

    crop: pixels of the square crop. The rest are pytorchvideo's builder arguments: X3D's width and depth factors, the
    frames its stem steps over, the width of its head; channels of the Acoustic ResNet-50's stem, and the mel frames
    and mel bins that it steps over.
    """

    crop: int = 224
    video_width: float = 2.0
    video_depth: float = 2.2
    video_frame_stride: int = 1
    video_head: int = 2048
    audio_stem: int = 64
    audio_stride: tuple[int, int] = (1, 3)

    def __post_init__(self) -> None:
        if self.crop < 32:
            raise ValueError(f"crop {self.crop} is below X3D's total stride of 32 pixels")

    @property
    def short_sides(self) -> tuple[int, int]:
        """Smallest and largest short side in pixels before the random crop: 256 and 320 for a crop of 224."""
        return self.crop * 256 // 224, self.crop * 320 // 224

    @property
    def eval_short_side(self) -> int:
        """Short side in pixels before the centre crop of evaluation: 256 for a crop of 224."""
        return self.crop * 256 // 224


# GFLOP of one clip's forward pass, video + one audio path (2 per multiply-add): 9.5 + 29.3; 2.1 + 1.8; 0.24 + 0.46;
# 0.009 + 0.031.
PRESETS: dict[str, ModelSizes] = {
    "paper": ModelSizes(),
    "small": ModelSizes(video_width=1.0, video_depth=1.1, video_head=1024, audio_stem=16),
    "tiny": ModelSizes(crop=112, video_width=1.0, video_depth=1.0, video_frame_stride=2, video_head=512, audio_stem=8),
    "micro": ModelSizes(
        crop=48,
        video_width=0.5,
        video_depth=0.5,
        video_frame_stride=4,
        video_head=256,
        audio_stem=8,
        audio_stride=(8, 6),
    ),
}


def preset_sizes(preset: str) -> ModelSizes:
    """Sizes of a preset by name. Raises UserError when there is none of that name."""
    if preset not in PRESETS:
        raise UserError(f"unknown preset {preset!r}{did_you_mean(preset, PRESETS)}; there are {', '.join(PRESETS)}")
    return PRESETS[preset]
