"""A trained model, whatever file it came from: a checkpoint, an exported folder, or none (random weights)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from dubcli.core.backbones import BackboneSpec
from dubcli.core.models import DubModel, Projection, freeze, preset_sizes
from dubcli.core.tracks import Track
from dubcli.core.variants import Variant, make_variant, variant_from_dict
from dubcli.errors import UserError

# Mean and standard deviation of ln(mel + 1e-6) over four short dubbed films, for the untrained baseline, which has no
# training mels to measure.
RANDOM_MEL_MEAN = -6.0
RANDOM_MEL_STD = 5.5


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A frozen model and what it takes to feed it. sample_rate in Hz; mel_mean and mel_std of ln(mel + 1e-6).

    epochs: so many it was trained for; None where it stopped within one, or nothing says it. film_set: digits of the
    clips that it was trained on and not, "" where nothing says them. frame_rule: which frames of a clip it was shown.
    facts: what else is known of its training, as ``dubcli.export`` records it: steps, films, hours, losses.
    """

    model: DubModel
    variant: Variant
    preset: str
    sample_rate: int
    mel_mean: float
    mel_std: float
    config: dict[str, Any]
    content_hash: str
    name: str
    epochs: int | None = None
    film_set: str = ""
    frame_rule: str = "centres"
    facts: dict[str, Any] = field(default_factory=dict)


def trained_of(
    fields: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    backbones: Mapping[str, nn.Module] | None,
    *,
    config: Mapping[str, Any],
    asked: str,
    name: str,
) -> TrainedModel:
    """The frozen model that the fields of ``model_entries`` describe, with these weights.

    ``asked``: the file, for errors. Raises UserError where a backbone cannot be made, KeyError, TypeError, ValueError
    or RuntimeError where the fields or weights are not a model's.
    """
    specs = {
        modality: BackboneSpec.from_dict(spec) for modality, spec in fields.get("backbones", {}).items()
    }  # format 1 names none
    projection = Projection(**fields.get("projection", {}))  # older checkpoints have the default form
    model = DubModel(variant_from_dict(fields["variant"]), fields["preset"], backbones={**specs, **(backbones or {})},
                     projection=projection, asked=asked)  # fmt: skip
    for modality, spec in specs.items():
        if model.backbones[modality].name != spec.name:
            found = model.backbones[modality].name
            raise UserError(f"{asked}: its {modality} backbone is {spec.name}; {found} was given")
    model.backbones.update(specs)
    model.load_state_dict(weights)
    return TrainedModel(
        model=freeze(model),
        variant=model.variant,
        preset=model.preset,
        sample_rate=int(fields["sample_rate"]),
        mel_mean=float(fields["mel_mean"]),
        mel_std=float(fields["mel_std"]),
        config=dict(config),
        content_hash=content_hash(weights),
        name=name,
        epochs=_whole_epochs(fields),
        film_set=str(fields.get("film_set", "")),
        frame_rule=str(fields.get("frame_rule", "centres")),
        facts=dict(fields.get("facts") or ({"steps": int(fields["step"])} if "step" in fields else {})),
    )


def _whole_epochs(fields: Mapping[str, Any]) -> int | None:
    """The place in the sampler's order tells; ``epoch-NN.pt`` has none, since it is written at an epoch's end."""
    if "epochs" in fields:  # of an exported folder
        return None if fields["epochs"] is None else int(fields["epochs"])
    whole = int(fields.get("sampler", {}).get("step", 0)) == 0
    return int(fields["epoch"]) or None if "epoch" in fields and whole else None


def mismatch(error: Exception) -> str:
    """What an error says, in one line; of weights that do not fit, which."""
    lines = [line.strip() for line in str(error).splitlines()] or [type(error).__name__]
    return lines[1] if lines[0].startswith("Error(s) in loading state_dict") and lines[1:] else lines[0]


def random_trained(
    seed: int, preset: str = "paper", backbones: Mapping[str, BackboneSpec] | None = None
) -> TrainedModel:
    """The RP baseline (paper appendix D): a model with random weights, a function of the seed alone.

    ``backbones``: by modality, where they are not the paper's. Raises UserError.
    """
    preset_sizes(preset)
    variant = make_variant("random", Track("en"), (Track("en"),))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DubModel(variant, preset, backbones=backbones)
    return TrainedModel(
        model=freeze(model),
        variant=variant,
        preset=preset,
        sample_rate=variant.sample_rate,
        mel_mean=RANDOM_MEL_MEAN,
        mel_std=RANDOM_MEL_STD,
        config={"seed": seed, "preset": preset},
        content_hash=content_hash(model.state_dict()),
        name=f"random-seed{seed}",
    )


def content_hash(weights: Mapping[str, Tensor]) -> str:
    """sha256 of a state dict: names, types, shapes and bytes, independent of order, file and device."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
