"""What of a model is a feature: the backbones' outputs, those of a layer inside, or the projection heads'."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import normalize

from dubcli.core.folding import fold_backbone
from dubcli.core.models import DubModel, named_part
from dubcli.core.taps import Taps
from dubcli.errors import UserError

PRIMARY = "primary"


def placed(head: nn.Module, features: Tensor) -> Tensor:
    """Where clips lie in the contrastive space, as the loss and validation's R@1 compare them.

    Args:
        head: a projection head.
        features: (clips, width) of the backbone. A sound or film of several chunks is placed chunk by chunk and the
            rows averaged, not the features before the head: it has seen features of single clips alone.

    Returns:
        float32 (clips, width of the space), rows of length 1.
    """
    return normalize(head(features).float(), dim=1)


@dataclass(frozen=True)
class Output:
    """Which numbers are taken as features.

    ``layer``: dotted name of a layer inside the backbone, whose maps are averaged over all but batch and channels; ""
    is the backbone's own output. ``projected``: the projection heads' outputs (``placed``), of pictures by ``video``,
    of sounds by ``head``, which is the one that was trained on their track (``Variant.head_of``). Raises UserError
    where layer and projected are both asked for.
    """

    layer: str = ""
    projected: bool = False
    head: str = PRIMARY

    def __post_init__(self) -> None:
        if self.layer and self.projected:
            raise UserError(f"layer {self.layer} and projected contradict each other; give one of the two")

    def identity(self) -> dict[str, Any]:
        """What is recorded; nothing of what has always been the only choice."""
        choices = {
            "layer": self.layer or None,
            "projected": self.projected or None,
            "head": self.head if self.projected and self.head != PRIMARY else None,
        }
        return {name: value for name, value in choices.items() if value is not None}

    def modalities(self, model: DubModel) -> tuple[str, ...]:
        """Those that the model has these features of. Raises UserError where no backbone has such a layer."""
        there = tuple(model.feature_sizes)
        having = tuple(name for name in there if self.layer in dict(_backbone(model, name).named_modules()))
        if not having:
            named_part(_backbone(model, there[0]), self.layer)  # says what there is
        return having

    def module(self, model: DubModel, modality: str, say: Callable[[str], None]) -> nn.Module:
        """A copy of the backbone that gives (batch, size) of these. Raises UserError where there is no such layer."""
        if self.layer:  # not folded: then a convolution would give what its norm does
            return _LayerMeans(copy.deepcopy(_backbone(model, modality)), self.layer)
        folded = fold_backbone(model, modality, say)
        head = self.head if modality == "audio" else "video"
        return _Projected(folded, copy.deepcopy(model.heads[head])) if self.projected else folded

    def size(self, model: DubModel, modality: str) -> int:
        """Width of these features."""
        if self.projected:
            return model.projection.size
        return self._layer_size(model, modality) if self.layer else model.feature_sizes[modality]

    @torch.no_grad()
    def _layer_size(self, model: DubModel, modality: str) -> int:
        module, example = _LayerMeans(_backbone(model, modality), self.layer), model.example_input(modality)
        weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        try:  # shapes alone: nothing is copied and nothing computed
            shapes = functional_call(
                module, {name: one.to("meta") for name, one in weights.items()}, example.to("meta")
            )
            return int(shapes.shape[1])
        except UserError:
            raise
        except Exception:  # a forward that asks for values
            return int(module(example.to(next(iter(weights.values()), example).device)).shape[1])
        finally:
            module.remove()


def _backbone(model: DubModel, modality: str) -> nn.Module:
    module = model.audio if modality == "audio" else model.video
    assert module is not None
    return module


class _LayerMeans(nn.Module):
    """The means of a layer's maps: (batch, channels, ...) or, of three axes, (batch, tokens, channels)."""

    def __init__(self, backbone: nn.Module, layer: str) -> None:
        super().__init__()
        self.backbone, self._layer = backbone, layer
        self._taps = Taps(backbone, [layer])

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, ...) -> (batch, channels)."""
        self.backbone(inputs)
        maps = self._taps.take()[self._layer].float()
        if maps.dim() == 3:
            return maps.mean(dim=1)
        return maps.flatten(2).mean(dim=2) if maps.dim() > 3 else maps

    def remove(self) -> None:
        """Leave the backbone as it was."""
        self._taps.remove()


class _Projected(nn.Module):
    """A backbone and its head."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, ...) -> (batch, size), rows of length 1."""
        return placed(self.head, self.backbone(inputs))
