"""The model of a variant: backbones, projection heads, and what it means to freeze them (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from dubcli.core.backbones import DEFAULT_BACKBONES, BackboneSpec, build_backbone, check_backbone, feature_size
from dubcli.core.presets import FRAMES, PRESETS, PROJECTION_NORMS, ModelSizes, preset_sizes
from dubcli.core.variants import Variant
from dubcli.errors import UserError, did_you_mean

__all__ = [
    "FRAMES", "PRESETS", "DubModel", "ModelSizes", "Projection", "count_parameters", "freeze", "named_part",
    "normalise_pixels", "preset_sizes", "unfreeze",
]  # fmt: skip

PIXEL_MEAN = 0.45
PIXEL_STD = 0.225

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """Form of the projection heads: an MLP of one hidden layer of ``hidden`` units, with BatchNorm or without.

    The paper says no more than "MLP". Without the normalisation all clips of a modality project onto nearly one
    direction at first (cosine 0.97 to 0.99); with negatives of both modalities the loss then closes the gap between
    the modalities by mapping everything to one point, and stays at chance. Raises ValueError.
    """

    hidden: int = 512
    size: int = 128
    norm: str = "batch"

    def __post_init__(self) -> None:
        if min(self.hidden, self.size) < 1 or self.norm not in PROJECTION_NORMS:
            raise ValueError(f"a projection has 1 unit or more and {' or '.join(PROJECTION_NORMS)} as norm")


def build_projection(features: int, form: Projection = Projection()) -> nn.Sequential:
    """MLP of the contrastive loss: (batch, features) -> (batch, form.size), as SimCLR's."""
    normalised = form.norm == "batch"
    return nn.Sequential(
        nn.Linear(features, form.hidden, bias=not normalised),
        *([nn.BatchNorm1d(form.hidden)] if normalised else []),
        nn.ReLU(inplace=True),
        nn.Linear(form.hidden, form.size),
    )


class DubModel(nn.Module):
    """Backbones and projection heads of one variant.

    ``video``: the video backbone, None for audio-only variants. ``audio``: the audio backbone that primary and
    secondary audio share. ``heads``: projection MLPs by name (video, primary, secondary), those the variant uses.
    ``backbones``: how the backbones were made, by modality.

    Everything that trains happens in one ``forward``, so that DistributedDataParallel sees each parameter once a step.
    Primary and secondary audio pass through the shared backbone one after the other, as the paper draws it (Fig. 3):
    in training each is normalised by the BatchNorm statistics of its own batch, and the running statistics move twice.
    ``core.layout.lay_out`` brings its weights into the order that is fastest on a device.

    Args:
        variant: what is contrasted; decides which backbones and heads there are.
        preset: sizes of the built-in backbones, and the crop.
        dropout: before the features.
        backbones: of ``audio`` and ``video``, the modules or how to make them; the paper's where one is not named.
        projection: the heads' form.

    Raises:
        UserError: as ``build_backbone``.
    """

    def __init__(
        self,
        variant: Variant,
        preset: str = "paper",
        dropout: float = 0.0,
        backbones: Mapping[str, BackboneSpec | nn.Module] | None = None,
        *,
        projection: Projection = Projection(),
        asked: str = "",
    ) -> None:
        super().__init__()
        self.variant = variant
        self.projection = projection
        self.preset = preset
        self.backbones: dict[str, BackboneSpec] = {}
        wanted = {**DEFAULT_BACKBONES, **(backbones or {})}
        preset_sizes(preset)
        self.video = self._backbone("video", wanted, dropout, asked) if variant.uses_video else None
        self.audio = self._backbone("audio", wanted, dropout, asked)
        widths = {name: self.feature_sizes["video" if name == "video" else "audio"] for name in variant.heads}
        self.heads = nn.ModuleDict({name: build_projection(width, projection) for name, width in widths.items()})

    def _backbone(
        self, modality: str, wanted: Mapping[str, BackboneSpec | nn.Module], dropout: float, asked: str
    ) -> nn.Module:
        chosen = wanted[modality]
        if isinstance(chosen, nn.Module):
            self.backbones[modality] = BackboneSpec.of(chosen)
            return check_backbone(chosen, f"the {modality} backbone")
        self.backbones[modality] = chosen
        where = f"{asked}: its {modality} backbone" if asked else ""
        return build_backbone(modality, chosen, self.preset, dropout, asked=where)

    @property
    def feature_sizes(self) -> dict[str, int]:
        """Widths of the backbones' outputs, by the modalities that the model has."""
        there = {"audio": self.audio, "video": self.video}
        return {modality: feature_size(module) for modality, module in there.items() if module is not None}

    def example_input(self, modality: str) -> Tensor:
        """Noise as the backbone takes it, always the same: (1, 2, 96, 280) or (1, 3, 16, crop, crop)."""
        crop = preset_sizes(self.preset).crop
        shape = (1, 3, FRAMES, crop, crop) if modality == "video" else (1, 2, 96, 280)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def embed_video(self, frames: Tensor) -> Tensor:
        """(batch, 3, 16, crop, crop) normalised pixels -> (batch, features). Raises UserError for audio-only models."""
        if self.video is None:
            raise UserError(f"the model of variant {self.variant.name} has no video backbone; give it sound only")
        return self._features("video", self.video, frames)

    def embed_audio(self, mels: Tensor) -> Tensor:
        """(batch, 2, 96, frames) normalised log-mels -> (batch, features)."""
        return self._features("audio", self.audio, mels)

    def _features(self, modality: str, backbone: nn.Module, inputs: Tensor) -> Tensor:
        features: Tensor = backbone(inputs)
        if features.shape != (inputs.shape[0], feature_size(backbone)):
            raise UserError(
                f"the {modality} backbone {self.backbones[modality].name} gave {tuple(features.shape)} for a batch of "
                f"{inputs.shape[0]}; it says feature_size {feature_size(backbone)}"
            )
        return features

    def forward(self, video: Tensor | None, primary: Tensor, secondary: Tensor | None = None) -> dict[str, Tensor]:
        """Projections by head name, each (batch, projection.size).

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


def normalise_pixels(pixels: Tensor) -> Tensor:
    """uint8 of any shape -> float32 (x / 255 - 0.45) / 0.225, pytorchvideo's numbers for Kinetics models."""
    return pixels.to(torch.float32).mul_(1 / (255 * PIXEL_STD)).sub_(PIXEL_MEAN / PIXEL_STD)


def pixels_of(normal: Tensor) -> Tensor:
    """The inverse of ``normalise_pixels``: uint8 of the same shape."""
    return (normal.float() * PIXEL_STD + PIXEL_MEAN).mul_(255).round_().clamp_(0, 255).to(torch.uint8)


def freeze(module: M) -> M:
    """Make a module a fixed function: no gradients, eval mode, and ``train()`` on it or a parent changes nothing.

    Eval mode matters as much as the gradients: a BatchNorm in training mode moves its statistics and mixes the
    items of a batch.

    Args:
        module: any; it is changed.

    Returns:
        The module itself.

    >>> frozen = freeze(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    >>> frozen.train().training, any(parameter.requires_grad for parameter in frozen.parameters())
    (False, False)
    """
    module.requires_grad_(False)
    module.eval()
    for part in module.modules():
        part.train = partial(_stay_frozen, part)  # type: ignore[method-assign]
    return module


def unfreeze(module: M, *names: str) -> M:
    """Undo ``freeze``: gradients, training mode, and ``train()`` means what it says again.

    Args:
        module: any; it is changed.
        names: dotted names of the parts that shall learn, all that is in them included; none is the whole module.

    Returns:
        The module itself.

    Raises:
        UserError: there is no part of that name.

    >>> network = unfreeze(freeze(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))), "1")
    >>> [parameter.requires_grad for parameter in network.parameters()]
    [False, False, True, True]
    """
    for name in names or ("",):
        for part in named_part(module, name).modules():
            part.__dict__.pop("train", None)
        named_part(module, name).requires_grad_(True).train()
    return module


def named_part(module: nn.Module, name: str) -> nn.Module:
    """The submodule of a dotted name; of "" the module itself. Raises UserError that names those near it."""
    parts: dict[str, nn.Module] = dict(module.named_modules())
    if name not in parts:
        there = ", ".join(part for part, _ in module.named_children())
        raise UserError(f"there is no layer {name!r}{did_you_mean(name, parts)}; the first names are {there}")
    return parts[name]


def _stay_frozen(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def count_parameters(module: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(parameter.numel() for parameter in module.parameters())
