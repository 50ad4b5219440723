"""A model without its training state, for others to use: safetensors, a JSON config and nothing that runs code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dubcli.core.atomic import read_json, write_json
from dubcli.core.checkpoint import TrainedModel, content_hash
from dubcli.core.models import DubModel, freeze
from dubcli.core.variants import variant_from_dict
from dubcli.errors import UserError

FORMAT = 1
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


def save_exported(trained: TrainedModel, folder: Path) -> None:
    """Write ``model.safetensors`` and ``config.json`` into an existing folder."""
    from safetensors.torch import save_file

    weights = {name: tensor.contiguous() for name, tensor in trained.model.state_dict().items()}
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt", "content_hash": trained.content_hash})
    write_json(folder / CONFIG_FILE, describe(trained))


def describe(trained: TrainedModel) -> dict[str, Any]:
    """What ``config.json`` holds: all it takes to build the model and to feed it."""
    return {
        "format": FORMAT,
        "name": trained.name,
        "variant": trained.variant.to_dict(),
        "preset": trained.preset,
        "sample_rate": trained.sample_rate,
        "mel_mean": trained.mel_mean,
        "mel_std": trained.mel_std,
        "content_hash": trained.content_hash,
        "training": trained.config,
    }


def is_exported(folder: str | os.PathLike[str]) -> bool:
    """Whether ``folder`` is one that ``dubav export`` wrote."""
    return (Path(folder) / WEIGHTS_FILE).is_file()


def load_exported(folder: str | os.PathLike[str]) -> TrainedModel:
    """The frozen model of an exported folder. Raises UserError when it is damaged or of another format."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    home = Path(folder)
    config = read_json(home / CONFIG_FILE)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise UserError(f"{home / CONFIG_FILE} is not of export format {FORMAT}; export the checkpoint again")
    try:
        weights = load_file(home / WEIGHTS_FILE)
        model = DubModel(variant_from_dict(config["variant"]), config["preset"])
        model.load_state_dict(weights)
        found = content_hash(weights)
        if found != config["content_hash"]:
            raise UserError(f"{home / WEIGHTS_FILE} is not what {CONFIG_FILE} describes; export the checkpoint again")
        return TrainedModel(
            model=freeze(model),
            variant=model.variant,
            preset=model.preset,
            sample_rate=int(config["sample_rate"]),
            mel_mean=float(config["mel_mean"]),
            mel_std=float(config["mel_std"]),
            config=dict(config["training"]),
            content_hash=found,
            name=str(config["name"]),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{home} does not hold a whole model ({reason}); export the checkpoint again") from error
