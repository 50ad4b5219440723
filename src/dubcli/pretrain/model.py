"""The model of a run: as its config says, or with backbones that the caller made."""

from __future__ import annotations

import json
from collections.abc import Mapping

from torch import nn

from dubcli.core.backbones import MODALITIES, BackboneSpec
from dubcli.core.models import DubModel, Projection
from dubcli.core.variants import Variant
from dubcli.errors import UserError
from dubcli.pretrain.config import PretrainConfig

Given = DubModel | Mapping[str, nn.Module]


def named_backbones(config: PretrainConfig) -> dict[str, BackboneSpec]:
    """How the config says that the backbones are made, by modality. Raises UserError where options cannot be read."""
    chosen = config.model
    return {
        "audio": BackboneSpec(name=chosen.audio_backbone, options=chosen.backbone_options("audio")),
        "video": BackboneSpec(name=chosen.video_backbone, options=chosen.backbone_options("video")),
    }


def make_model(config: PretrainConfig, variant: Variant, given: Given | None = None) -> DubModel:
    """The model to train.

    Args:
        config: names the backbones, their options, preset and dropout.
        variant: decides which backbones and heads there are.
        given: a whole model, or backbones by modality (``audio``, ``video``) in place of those that the config names.

    Raises:
        UserError: a backbone cannot be made, or the model given is one of another variant or preset.
    """
    chosen = config.model
    if isinstance(given, nn.Module):
        if (given.variant, given.preset) != (variant, chosen.preset):
            raise UserError(
                f"the model given is of variant {given.variant.name} and preset {given.preset}, the run of "
                f"{variant.name} and {chosen.preset}; make it for the run's"
            )
        return given
    projection = Projection(hidden=chosen.projection_hidden, size=chosen.projection_size, norm=chosen.projection_norm)
    return DubModel(
        variant, chosen.preset, chosen.dropout, {**named_backbones(config), **(given or {})}, projection=projection
    )


def recorded(config: PretrainConfig, given: Given | None) -> PretrainConfig:
    """The config as it is written down: with the backbones that the run has, whoever made them. Raises UserError."""
    if given is None:
        return config
    if isinstance(given, nn.Module):
        specs = given.backbones
    else:
        unknown = sorted(set(given) - set(MODALITIES))
        if unknown:
            raise UserError(f"backbones are given for {', '.join(unknown)}; there are {' and '.join(MODALITIES)}")
        specs = {modality: BackboneSpec.of(module) for modality, module in given.items()}
    changes: dict[str, str] = {}
    for modality, spec in specs.items():
        changes[f"{modality}_backbone"] = spec.name
        changes[f"{modality}_backbone_options"] = json.dumps(dict(spec.options)) if spec.options else ""
    return config.changed(**changes)
