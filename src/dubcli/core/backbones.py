"""Backbones by name: those built in, those of entry points (group ``dubcli.backbones``), and MODULE:CALLABLE.

A backbone is any ``nn.Module`` that says its ``feature_size`` and takes one kind of input:

* audio: normalised log-mels (batch, 2, mels, frames), of 280 frames at 48 kHz, 257 at 44.1 kHz and fewer for sounds
  shorter than 3 seconds -> (batch, feature_size)
* video: normalised pixels (batch, 3, frames, height, width) -> (batch, feature_size). One that looks at fewer than a
  clip's 16 frames may say so (``frames``): training then decodes no others

The callable that makes it is called with the user's options, and with ``preset`` and ``dropout`` where it has
parameters of these names.
"""

from __future__ import annotations

import inspect
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from dubcli.core import plugins
from dubcli.core.presets import FRAMES, preset_sizes
from dubcli.core.recipes import DottedName, Recipe
from dubcli.errors import UserError

with warnings.catch_warnings():
    # pytorchvideo scripts a function when it is imported, and torch warns of that in every process
    warnings.simplefilter("ignore")
    import pytorchvideo.models.resnet
    import pytorchvideo.models.x3d  # noqa: F401

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
        window = [min(size, there) for size, there in zip(self.kernel_size, maps.shape[2:], strict=True)]
        return nn.functional.avg_pool3d(maps, window, stride=list(self.stride), padding=list(self.padding))


def acoustic_resnet50_recipe(preset: str = "paper", dropout: float = 0.0, pool: str = "global") -> Recipe:
    """pytorchvideo's Acoustic ResNet-50 (Xiao et al. 2020). Raises UserError where there is no such ``pool``."""
    if pool not in AUDIO_POOLS:
        raise UserError(f"pool is {pool!r}; give {' or '.join(AUDIO_POOLS)}")
    sizes = preset_sizes(preset)
    return Recipe(
        builder="pytorchvideo.models.resnet.create_acoustic_resnet",
        arguments={
            "input_channel": 2,
            "model_depth": 50,
            "model_num_class": PAPER_FEATURES,
            "dropout_rate": dropout,
            "stem_dim_out": sizes.audio_stem,
            "stem_conv_stride": (sizes.audio_stride[0], 1, sizes.audio_stride[1]),
            "head_pool": DottedName(f"torch.nn.{'AdaptiveAvgPool3d' if pool == 'global' else 'AvgPool3d'}"),
        },
        takes="mels of (batch, 2, frames, 1, 96)",
    )


class AcousticResNet50(nn.Module):
    """pytorchvideo's Acoustic ResNet-50 (Xiao et al. 2020): (batch, 2, 96, frames) -> (batch, 1024).

    Its last linear layer is part of the backbone (``model_num_class`` 1024, no activation). Takes any number of frames.
    ``pool``: ``global`` averages over all time and frequency; ``windows`` is the builder's default, windows of 4 x 2 at
    every place (as much of 4 as a short sound has), averaged in turn, which weighs the edges less. Raises UserError.
    """

    feature_size = PAPER_FEATURES

    def __init__(self, preset: str = "paper", dropout: float = 0.0, pool: str = "global") -> None:
        super().__init__()
        recipe = acoustic_resnet50_recipe(preset, dropout, pool)
        network = recipe.make(**({} if pool == "global" else {"head_pool": WindowPool}))
        self.blocks: nn.ModuleList = make_traceable(network).blocks  # type: ignore[assignment]

    def forward(self, mels: Tensor) -> Tensor:
        """The network itself takes (batch, 2, frames, 1, mels): time is its first axis."""
        maps = mels.transpose(2, 3).unsqueeze(3)
        for block in self.blocks:
            maps = block(maps)
        return maps


def x3d_m_recipe(preset: str = "paper", dropout: float = 0.0) -> Recipe:
    """pytorchvideo's X3D-M (Feichtenhofer 2020)."""
    sizes = preset_sizes(preset)
    return Recipe(
        builder="pytorchvideo.models.x3d.create_x3d",
        arguments={
            "input_clip_length": FRAMES,
            "input_crop_size": sizes.crop,
            "model_num_class": PAPER_FEATURES,
            "dropout_rate": dropout,
            "width_factor": sizes.video_width,
            "depth_factor": sizes.video_depth,
            "stem_conv_stride": (sizes.video_frame_stride, 2, 2),
            "head_dim_out": sizes.video_head,
            "head_activation": None,
            # the builder's Swish is the same function in three passes, which torch.compile cannot trace
            "inner_act": DottedName("torch.nn.SiLU"),
        },
        takes=_pixels(preset),
    )


def x3d_m(preset: str = "paper", dropout: float = 0.0) -> nn.Module:
    """pytorchvideo's X3D-M (Feichtenhofer 2020): (batch, 3, 16, 224, 224) -> (batch, 1024).

    Its last linear layer is part of the backbone. Other numbers of frames and other sizes from 32 pixels are taken too.
    """
    backbone = x3d_m_recipe(preset, dropout).make()
    # The builder's pool takes one size only. At the preset's crop the adaptive pool gives the same output.
    backbone.blocks[-1].pool.pool = nn.AdaptiveAvgPool3d(1)  # type: ignore[index, union-attr]
    return _sized(make_traceable(backbone), PAPER_FEATURES)


def r2plus1d_18_recipe(preset: str = "paper", dropout: float = 0.0) -> Recipe:
    """torchvision's R(2+1)D-18 (Tran et al. 2018), no classifier."""
    return Recipe(
        builder="torchvision.models.video.r2plus1d_18", parts={"fc": _dropout(dropout)}, takes=_pixels(preset)
    )


def r2plus1d_18(dropout: float = 0.0) -> nn.Module:
    """torchvision's R(2+1)D-18 (Tran et al. 2018), no classifier: (batch, 3, 16, crop, crop) -> (batch, 512)."""
    return _sized(r2plus1d_18_recipe(dropout=dropout).make(), 512)


def mvit_v2_s_recipe(preset: str = "paper", dropout: float = 0.0) -> Recipe:
    """torchvision's MViTv2-S (Li et al. 2022) without its classifier."""
    patches = preset_sizes(preset).crop // 4
    return Recipe(
        builder="torchvision.models.video.mvit_v2_s",
        parts={"head": _dropout(dropout)},
        settings={"pos_encoding.spatial_size": (patches, patches)},
        takes=_pixels(preset),
    )


def mvit_v2_s(preset: str = "paper", dropout: float = 0.0) -> nn.Module:
    """torchvision's MViTv2-S (Li et al. 2022) without its classifier: (batch, 3, 16, crop, crop) -> (batch, 768).

    It takes clips of the preset's crop only; its relative positions are those of 224 pixels, interpolated.
    """
    return _sized(mvit_v2_s_recipe(preset, dropout).make(), 768)


def resnet18_recipe(dropout: float = 0.0) -> Recipe:
    """torchvision's ResNet-18 (He et al. 2016) on mels as a picture of two channels, no classifier."""
    return _on_mels("resnet18", "conv1", {"out_channels": 64, "kernel_size": 7, "padding": 3}, "fc", dropout)


def resnet18(dropout: float = 0.0) -> nn.Module:
    """torchvision's ResNet-18 (He et al. 2016) on mels as a picture of two channels: -> (batch, 512)."""
    network = resnet18_recipe(dropout).make()
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # type: ignore[union-attr, arg-type]
    return _sized(network, 512)


def efficientnet_b0_recipe(dropout: float = 0.0) -> Recipe:
    """torchvision's EfficientNet-B0 (Tan and Le 2019) on mels as a picture of two channels, no classifier."""
    first = {"out_channels": 32, "kernel_size": 3, "padding": 1}
    return _on_mels("efficientnet_b0", "features.0.0", first, "classifier", dropout)


def efficientnet_b0(dropout: float = 0.0) -> nn.Module:
    """torchvision's EfficientNet-B0 (Tan and Le 2019) on mels as a picture of two channels: -> (batch, 1280)."""
    network = efficientnet_b0_recipe(dropout).make()
    nn.init.kaiming_normal_(network.get_submodule("features.0.0").weight, mode="fan_out")  # type: ignore[arg-type]
    return _sized(network, 1280)


def _on_mels(name: str, first: str, convolution: Mapping[str, int], last: str, dropout: float) -> Recipe:
    """A network of torchvision for pictures, whose ``first`` layer takes two channels and ``last`` is left out."""
    arguments = {"in_channels": 2, **convolution, "stride": 2, "bias": False}
    layer = Recipe(builder="torch.nn.Conv2d", arguments=arguments)
    return Recipe(
        builder=f"torchvision.models.{name}",
        parts={first: layer, last: _dropout(dropout)},
        takes="mels of (batch, 2, 96, frames)",
    )


def _dropout(rate: float) -> Recipe:
    return Recipe(builder="torch.nn.Dropout", arguments={"p": rate})


def _pixels(preset: str) -> str:
    crop = preset_sizes(preset).crop
    return f"pixels of (batch, 3, {FRAMES}, {crop}, {crop})"


BUILT_IN: dict[str, dict[str, Callable[..., nn.Module]]] = {
    "audio": {"acoustic_resnet50": AcousticResNet50, "resnet18": resnet18, "efficientnet_b0": efficientnet_b0},
    "video": {"x3d_m": x3d_m, "r2plus1d_18": r2plus1d_18, "mvit_v2_s": mvit_v2_s},
}

RECIPES: dict[str, Callable[..., Recipe]] = {
    "acoustic_resnet50": acoustic_resnet50_recipe,
    "resnet18": resnet18_recipe,
    "efficientnet_b0": efficientnet_b0_recipe,
    "x3d_m": x3d_m_recipe,
    "r2plus1d_18": r2plus1d_18_recipe,
    "mvit_v2_s": mvit_v2_s_recipe,
}
"""Of those built in."""
TITLES = {
    "acoustic_resnet50": "Acoustic ResNet-50",
    "resnet18": "ResNet-18",
    "efficientnet_b0": "EfficientNet-B0",
    "x3d_m": "X3D",
    "r2plus1d_18": "R(2+1)D-18",
    "mvit_v2_s": "MViTv2-S",
}


def recipe_of(spec: BackboneSpec, preset: str) -> Recipe | None:
    """How others build this backbone without dropout; None for those that are not built in."""
    maker = RECIPES.get(spec.name)
    if spec.given or maker is None:
        return None
    known = {"preset": preset} if "preset" in inspect.signature(maker).parameters else {}
    return maker(**{**known, **spec.options, "dropout": 0.0})


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


def frames_wanted(module: nn.Module | None) -> int:
    """How many of a clip's 16 frames a video backbone looks at, by its attribute ``frames``: all, if it has none."""
    frames = getattr(module, "frames", FRAMES)
    return frames if isinstance(frames, int) and 0 < frames < FRAMES else FRAMES


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


def make_traceable(module: nn.Module) -> nn.Module:
    """A network of pytorchvideo's builders without what cannot be traced or pickled. Returns the module.

    They leave numpy integers in strides, which torch.compile cannot trace, and sums as local functions, which no other
    process can be sent.
    """
    for part in module.modules():
        if hasattr(part, "branch_fusion"):
            part.branch_fusion = operator.add  # type: ignore[assignment]
        for name in ("stride", "padding", "dilation", "kernel_size", "output_padding"):
            setting = getattr(part, name, None)
            if isinstance(setting, (tuple, list)):
                setattr(part, name, tuple(int(value) for value in setting))
            elif setting is not None and not isinstance(setting, (str, bool)):
                setattr(part, name, int(setting))
    return module
