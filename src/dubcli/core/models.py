"""The two backbones, the projection heads, and what it means to freeze them (paper section 3.3).

Backbones are pytorchvideo's X3D (Feichtenhofer 2020) and Acoustic ResNet (Xiao et al. 2020). Their last linear layer
is part of the backbone: its 1024 outputs are the features.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from dubcli.core.variants import Variant
from dubcli.errors import UserError

with warnings.catch_warnings():
    # pytorchvideo scripts a function when it is imported, and torch warns of that in every process
    warnings.simplefilter("ignore")
    from pytorchvideo.models.resnet import create_acoustic_resnet
    from pytorchvideo.models.x3d import create_x3d

FEATURES = 1024
PROJECTION_HIDDEN = 512
PROJECTION = 128
FRAMES = 16
PIXEL_MEAN = 0.45
PIXEL_STD = 0.225

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """What a preset changes: sizes only. Features are 1024-d and clips have 16 frames in all of them.

    crop: pixels of the square crop. The rest are pytorchvideo's builder arguments: X3D's width and depth factors, the
    frames its stem steps over, the width of its head; channels of the Acoustic ResNet-50's stem.
    """

    crop: int = 224
    video_width: float = 2.0
    video_depth: float = 2.2
    video_frame_stride: int = 1
    video_head: int = 2048
    audio_stem: int = 64

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


# GFLOP of one clip's forward pass, video + one audio path (2 per multiply-add): 9.5 + 29.3; 2.1 + 1.8; 0.24 + 0.46.
PRESETS: dict[str, ModelSizes] = {
    "paper": ModelSizes(),
    "small": ModelSizes(video_width=1.0, video_depth=1.1, video_head=1024, audio_stem=16),
    "tiny": ModelSizes(crop=112, video_width=1.0, video_depth=1.0, video_frame_stride=2, video_head=512, audio_stem=8),
}


def preset_sizes(preset: str) -> ModelSizes:
    """Sizes of a preset by name. Raises UserError when there is none of that name."""
    if preset not in PRESETS:
        raise UserError(f"unknown preset {preset!r}; there are {', '.join(PRESETS)}")
    return PRESETS[preset]


def build_video_backbone(preset: str = "paper", dropout: float = 0.0) -> nn.Module:
    """X3D-M: (batch, 3, 16, 224, 224) normalised pixels -> (batch, 1024).

    Other numbers of frames and other sizes from 32 pixels are taken too. dropout: before the last linear layer.
    """
    sizes = preset_sizes(preset)
    backbone: nn.Module = create_x3d(
        input_clip_length=FRAMES,
        input_crop_size=sizes.crop,
        model_num_class=FEATURES,
        dropout_rate=dropout,
        width_factor=sizes.video_width,
        depth_factor=sizes.video_depth,
        stem_conv_stride=(sizes.video_frame_stride, 2, 2),
        head_dim_out=sizes.video_head,
        head_activation=None,
        inner_act=nn.SiLU,  # the builder's Swish is the same function in three passes, which torch.compile cannot trace
    )
    # The builder's pool takes one size only. At the preset's crop the adaptive pool gives the same output.
    backbone.blocks[-1].pool.pool = nn.AdaptiveAvgPool3d(1)  # type: ignore[index, union-attr]
    return with_plain_integers(backbone)


def build_audio_backbone(preset: str = "paper", dropout: float = 0.0) -> nn.Module:
    """Acoustic ResNet-50: (batch, 2, frames, 1, 96) normalised log-mels -> (batch, 1024).

    Takes any number of frames (280 at 48 kHz, 257 at 44.1 kHz): the head averages over all time and frequency, where
    the builder's default pool averages windows of 4 x 2 first, which weighs the edges less.
    """
    backbone: nn.Module = create_acoustic_resnet(
        input_channel=2,
        model_depth=50,
        model_num_class=FEATURES,
        dropout_rate=dropout,
        stem_dim_out=preset_sizes(preset).audio_stem,
        head_pool=nn.AdaptiveAvgPool3d,
    )
    return with_plain_integers(backbone)


def with_plain_integers(module: nn.Module) -> nn.Module:
    """pytorchvideo's builders leave numpy integers in strides, which torch.compile cannot trace. Returns the module."""
    for part in module.modules():
        for name in ("stride", "padding", "dilation", "kernel_size", "output_padding"):
            setting = getattr(part, name, None)
            if isinstance(setting, (tuple, list)):
                setattr(part, name, tuple(int(value) for value in setting))
            elif setting is not None and not isinstance(setting, (str, bool)):
                setattr(part, name, int(setting))
    return module


def build_projection() -> nn.Sequential:
    """MLP of the contrastive loss: (batch, 1024) -> (batch, 128), one hidden layer of 512 with BatchNorm, as SimCLR's.

    The paper says no more than "MLP". Without the normalisation all clips of a modality project onto nearly one
    direction at first (cosine 0.97 to 0.99); with negatives of both modalities the loss then closes the gap between
    the modalities by mapping everything to one point, and stays at chance.
    """
    return nn.Sequential(
        nn.Linear(FEATURES, PROJECTION_HIDDEN, bias=False),
        nn.BatchNorm1d(PROJECTION_HIDDEN),
        nn.ReLU(inplace=True),
        nn.Linear(PROJECTION_HIDDEN, PROJECTION),
    )


class DubModel(nn.Module):
    """Backbones and projection heads of one variant.

    ``video``: the video backbone, None for audio-only variants. ``audio``: the audio backbone that primary and
    secondary audio share. ``heads``: projection MLPs by name (video, primary, secondary), those the variant uses.

    Everything that trains happens in one ``forward``, so that DistributedDataParallel sees each parameter once a step.
    Primary and secondary audio pass through the shared backbone one after the other, as the paper draws it (Fig. 3):
    in training each is normalised by the BatchNorm statistics of its own batch, and the running statistics move twice.
    ``core.layout.lay_out`` brings its weights into the order that is fastest on a device.
    """

    def __init__(self, variant: Variant, preset: str = "paper", dropout: float = 0.0) -> None:
        super().__init__()
        self.variant = variant
        self.preset = preset
        self.video = build_video_backbone(preset, dropout) if variant.uses_video else None
        self.audio = build_audio_backbone(preset, dropout)
        self.heads = nn.ModuleDict({name: build_projection() for name in variant.heads})

    def embed_video(self, frames: Tensor) -> Tensor:
        """(batch, 3, 16, crop, crop) normalised pixels -> (batch, 1024). Raises UserError for audio-only models."""
        if self.video is None:
            raise UserError(f"the model of variant {self.variant.name} has no video backbone; give it sound only")
        features: Tensor = self.video(frames)
        return features

    def embed_audio(self, mels: Tensor) -> Tensor:
        """(batch, 2, 96, frames) normalised log-mels -> (batch, 1024).

        Also takes the backbone's own (batch, 2, frames, 1, 96).
        """
        features: Tensor = self.audio(audio_input(mels) if mels.dim() == 4 else mels)
        return features

    def forward(self, video: Tensor | None, primary: Tensor, secondary: Tensor | None = None) -> dict[str, Tensor]:
        """Projections by head name, each (batch, 128).

        video: as ``embed_video``, None for audio-only variants. primary, secondary: as ``embed_audio``; secondary is
        None for ``sep``. Raises ValueError when the inputs are not those of the variant.
        """
        given = {"video": video, "primary": primary, "secondary": secondary}
        if tuple(name for name, value in given.items() if value is not None) != self.variant.heads:
            raise ValueError(f"variant {self.variant.name} takes {', '.join(self.variant.heads)} and nothing else")
        projections = {}
        for name, head in self.heads.items():
            inputs = given[name]
            assert inputs is not None
            projections[name] = head(self.embed_video(inputs) if name == "video" else self.embed_audio(inputs))
        return projections


def audio_input(mels: Tensor) -> Tensor:
    """(batch, 2, 96, frames) as the audio backbone wants it: (batch, 2, frames, 1, 96). A view."""
    return mels.transpose(2, 3).unsqueeze(3)


def normalise_pixels(pixels: Tensor) -> Tensor:
    """uint8 of any shape -> float32 (x / 255 - 0.45) / 0.225, pytorchvideo's numbers for Kinetics models."""
    return pixels.to(torch.float32).mul_(1 / (255 * PIXEL_STD)).sub_(PIXEL_MEAN / PIXEL_STD)


def freeze(module: M) -> M:
    """Make a module a fixed function: no gradients, eval mode, and ``train()`` on it or a parent changes nothing.

    Eval mode matters as much as the gradients: a BatchNorm in training mode moves its statistics and mixes the
    items of a batch. Returns the module itself.
    """
    module.requires_grad_(False)
    module.eval()
    for part in module.modules():
        part.train = partial(_stay_frozen, part)  # type: ignore[method-assign]
    return module


def _stay_frozen(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def count_parameters(module: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(parameter.numel() for parameter in module.parameters())
