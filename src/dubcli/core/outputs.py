"""What of a model is a feature: the backbones' outputs, those of a layer inside, or the projection heads'."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from dubcli.core.folding import fold_backbone
from dubcli.core.models import DubModel, named_part
from dubcli.core.taps import Taps
from dubcli.errors import UserError

_HEADS = {"audio": "primary", "video": "video"}


@dataclass(frozen=True)
class Output:
    """Which numbers are taken as features.

    ``layer``: dotted name of a layer inside the backbone, whose maps are averaged over all but batch and channels; ""
    is the backbone's own output. ``projected``: the projection heads' outputs, ``video`` and ``primary``, each of
    length 1, as the contrastive loss compares them. Raises UserError where both are asked for.
    """

    layer: str = ""
    projected: bool = False

    def __post_init__(self) -> None:
        if self.layer and self.projected:
            raise UserError(f"layer {self.layer} and projected contradict each other; give one of the two")

    def identity(self) -> dict[str, Any]:
        """What is recorded; nothing of what has always been the only choice."""
        return ({"layer": self.layer} if self.layer else {}) | ({"projected": True} if self.projected else {})

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
        return _Projected(folded, copy.deepcopy(model.heads[_HEADS[modality]])) if self.projected else folded

    def size(self, model: DubModel, modality: str) -> int:
        """Width of these features."""
        if self.projected:
            return model.projection.size
        return self._layer_size(model, modality) if self.layer else model.feature_sizes[modality]

    @torch.no_grad()
    def _layer_size(self, model: DubModel, modality: str) -> int:
        module, example = (
            _LayerMeans(copy.deepcopy(_backbone(model, modality)), self.layer),
            model.example_input(modality),
        )
        try:
            return int(copy.deepcopy(module).to("meta")(example.to("meta")).shape[1])
        except UserError:
            raise
        except Exception:  # a forward that asks for values
            return int(module(example).shape[1])


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


class _Projected(nn.Module):
    """A backbone and its head."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, ...) -> (batch, size), rows of length 1."""
        return normalize(self.head(self.backbone(inputs)).float(), dim=1)
