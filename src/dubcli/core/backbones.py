"""Backbones by name: those built in, those of entry points (group ``dubcli.backbones``), and MODULE:CALLABLE.

A backbone is any ``nn.Module`` that says its ``feature_size`` and takes one kind of input:

* audio: normalised log-mels (batch, 2, mels, frames), of 280 frames at 48 kHz, 257 at 44.1 kHz and fewer for sounds
  shorter than 3 seconds -> (batch, feature_size)
* video: normalised pixels (batch, 3, frames, height, width) -> (batch, feature_size)

The callable that makes it is called with the user's options, and with ``preset`` and ``dropout`` where it has
parameters of these names.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.fx
import torchvision
from torch import Tensor, nn

from dubcli.core import plugins
from dubcli.core.presets import FRAMES, preset_sizes
from dubcli.errors import UserError

with warnings.catch_warnings():
    # pytorchvideo scripts a function when it is imported, and torch warns of that in every process
    warnings.simplefilter("ignore")
    from pytorchvideo.models.resnet import create_acoustic_resnet
    from pytorchvideo.models.x3d import create_x3d

MODALITIES = ("audio", "video")
PAPER_FEATURES = 1024
AUDIO_POOLS = ("global", "windows")


@dataclass(frozen=True, kw_only=True)
class BackboneSpec:
    """How a backbone is made: a name as ``--audio-backbone`` takes it, and plain values as options.

    ``given``: the module was made by the caller in Python; ``name`` is its class, which cannot make it again.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    given: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a checkpoint."""
        return {"name": self.name, "options": dict(self.options), "given": self.given}

    @classmethod
    def of(cls, module: nn.Module) -> BackboneSpec:
        """A module that the caller made: it can be named, not made again."""
        return cls(name=f"{type(module).__module__}.{type(module).__qualname__}", given=True)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> BackboneSpec:
        """The inverse of ``to_dict``. Raises KeyError or TypeError when the fields are not a backbone's."""
        return cls(name=str(fields["name"]), options=dict(fields["options"]), given=bool(fields["given"]))


DEFAULT_BACKBONES = {"audio": BackboneSpec(name="acoustic_resnet50"), "video": BackboneSpec(name="x3d_m")}


class WindowPool(nn.Module):
    """The mean of every window of ``kernel_size``, or of all there is along an axis that is shorter."""

    def __init__(self, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = tuple(kernel_size), tuple(stride), tuple(padding)

    def forward(self, maps: Tensor) -> Tensor:
        """(batch, channels, frames, 1, mels) -> the same axes, shorter."""
        return window_means(maps, self.kernel_size, self.stride, self.padding)


@torch.fx.wrap  # asks for shapes, which tracing has none of
def window_means(maps: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """``WindowPool``'s: maps of (batch, channels, frames, 1, mels)."""
    window = [min(size, there) for size, there in zip(kernel_size, maps.shape[2:], strict=True)]
    return nn.functional.avg_pool3d(maps, window, stride=list(stride), padding=list(padding))


class AcousticResNet50(nn.Module):
    """pytorchvideo's Acoustic ResNet-50 (Xiao et al. 2020): (batch, 2, 96, frames) -> (batch, 1024).

    Its last linear layer is part of the backbone (``model_num_class`` 1024, no activation). Takes any number of frames.
    ``pool``: ``global`` averages over all time and frequency; ``windows`` is the builder's default, windows of 4 x 2 at
    every place (as much of 4 as a short sound has), averaged in turn, which weighs the edges less. Raises UserError.
    """

    feature_size = PAPER_FEATURES

    def __init__(self, preset: str = "paper", dropout: float = 0.0, pool: str = "global") -> None:
        super().__init__()
        if pool not in AUDIO_POOLS:
            raise UserError(f"pool is {pool!r}; give {' or '.join(AUDIO_POOLS)}")
        sizes = preset_sizes(preset)
        network: nn.Module = create_acoustic_resnet(
            input_channel=2,
            model_depth=50,
            model_num_class=PAPER_FEATURES,
            dropout_rate=dropout,
            stem_dim_out=sizes.audio_stem,
            stem_conv_stride=(sizes.audio_stride[0], 1, sizes.audio_stride[1]),
            head_pool=nn.AdaptiveAvgPool3d if pool == "global" else WindowPool,
        )
        self.blocks: nn.ModuleList = with_plain_integers(network).blocks  # type: ignore[assignment]

    def forward(self, mels: Tensor) -> Tensor:
        """The network itself takes (batch, 2, frames, 1, mels): time is its first axis."""
        maps = mels.transpose(2, 3).unsqueeze(3)
        for block in self.blocks:
            maps = block(maps)
        return maps


def x3d_m(preset: str = "paper", dropout: float = 0.0) -> nn.Module:
    """pytorchvideo's X3D-M (Feichtenhofer 2020): (batch, 3, 16, 224, 224) -> (batch, 1024).

    Its last linear layer is part of the backbone. Other numbers of frames and other sizes from 32 pixels are taken too.
    """
    sizes = preset_sizes(preset)
    backbone: nn.Module = create_x3d(
        input_clip_length=FRAMES,
        input_crop_size=sizes.crop,
        model_num_class=PAPER_FEATURES,
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
    return _sized(with_plain_integers(backbone), PAPER_FEATURES)


def r2plus1d_18(dropout: float = 0.0) -> nn.Module:
    """torchvision's R(2+1)D-18 (Tran et al. 2018), no classifier: (batch, 3, 16, crop, crop) -> (batch, 512)."""
    network = torchvision.models.video.r2plus1d_18(weights=None)
    size: int = network.fc.in_features
    network.fc = nn.Dropout(dropout)
    return _sized(network, size)


def mvit_v2_s(preset: str = "paper", dropout: float = 0.0) -> nn.Module:
    """torchvision's MViTv2-S (Li et al. 2022) without its classifier: (batch, 3, 16, crop, crop) -> (batch, 768).

    It takes clips of the preset's crop only; its relative positions are those of 224 pixels, interpolated.
    """
    network = torchvision.models.video.mvit_v2_s(weights=None)
    patches = preset_sizes(preset).crop // 4
    network.pos_encoding.spatial_size = (patches, patches)
    size: int = network.head[-1].in_features
    network.head = nn.Dropout(dropout)
    return _sized(network, size)


def resnet18(dropout: float = 0.0) -> nn.Module:
    """torchvision's ResNet-18 (He et al. 2016) on mels as a picture of two channels: -> (batch, 512)."""
    network = torchvision.models.resnet18(weights=None)
    network.conv1 = nn.Conv2d(2, 64, kernel_size=7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    size: int = network.fc.in_features
    network.fc = nn.Dropout(dropout)
    return _sized(network, size)


def efficientnet_b0(dropout: float = 0.0) -> nn.Module:
    """torchvision's EfficientNet-B0 (Tan and Le 2019) on mels as a picture of two channels: -> (batch, 1280)."""
    network = torchvision.models.efficientnet_b0(weights=None)
    network.features[0][0] = nn.Conv2d(2, 32, kernel_size=3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(network.features[0][0].weight, mode="fan_out")
    size: int = network.classifier[-1].in_features
    network.classifier = nn.Dropout(dropout)
    return _sized(network, size)


BUILT_IN: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "audio": {"acoustic_resnet50": AcousticResNet50, "resnet18": resnet18, "efficientnet_b0": efficientnet_b0},
    "video": {"x3d_m": x3d_m, "r2plus1d_18": r2plus1d_18, "mvit_v2_s": mvit_v2_s},
}


def build_backbone(
    modality: str, spec: BackboneSpec, preset: str = "paper", dropout: float = 0.0, *, asked: str = ""
) -> nn.Module:
    """Make the backbone that ``spec`` names.

    Args:
        modality: ``audio`` or ``video``.
        spec: its name and options.
        preset: sizes of those built in, and the crop of the pictures.
        dropout: before the features, in backbones that have such a parameter.
        asked: where the name stands, as errors begin; by default the option of the command line.

    Raises:
        UserError: one line: no such backbone, a module that does not import, options that it does not take, dropout
            asked of a backbone that has none, something that is no ``nn.Module`` or says no ``feature_size``.
    """
    asked = asked or f"--{modality}-backbone"
    if spec.given:
        raise UserError(f"{asked} was made in Python ({spec.name}); load it in Python and give the module: backbones=")
    builder = plugins.load("dubcli.backbones", spec.name, BUILT_IN[modality], asked=asked)
    arguments = _arguments(builder, spec, {"preset": preset, "dropout": dropout}, f"{asked} {spec.name}")
    return check_backbone(builder(**arguments), f"{asked} {spec.name}")


def check_backbone(module: Any, asked: str) -> nn.Module:
    """The module itself. Raises UserError where it is no backbone."""
    if not isinstance(module, nn.Module):
        raise UserError(f"{asked} is a {type(module).__name__}, no torch.nn.Module")
    size = getattr(module, "feature_size", None)
    if not isinstance(size, int) or size < 1:
        raise UserError(f"{asked} says no feature_size; give the module this attribute: the width of its output")
    return module


def feature_size(module: nn.Module) -> int:
    """Width of a backbone's output."""
    return int(module.feature_size)  # type: ignore[arg-type]


def _arguments(builder: Any, spec: BackboneSpec, known: dict[str, Any], asked: str) -> dict[str, Any]:
    if not callable(builder):
        raise UserError(f"{asked} is a {type(builder).__name__}; give a class or a function that makes the module")
    try:
        signature = inspect.signature(builder)
    except ValueError:  # of some that are written in C
        raise UserError(f"{asked} does not say its parameters; wrap it in a function that does") from None
    taken = {name: value for name, value in known.items() if name in signature.parameters}
    if known["dropout"] and "dropout" not in taken and "dropout" not in spec.options:
        raise UserError(f"{asked} has no dropout; leave --dropout away, or give it a parameter of that name")
    arguments = {**taken, **spec.options}
    try:
        signature.bind(**arguments)
    except TypeError as error:
        there = ", ".join(signature.parameters) or "none"
        raise UserError(f"{asked}: {error}; its options are {there}") from None
    return arguments


def _sized(module: nn.Module, size: int) -> nn.Module:
    module.feature_size = size  # type: ignore[assignment]
    return module


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
