"""A model without its training state, for others to use: safetensors, a JSON config and nothing that runs code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from dubcli.core.atomic import read_json, write_json
from dubcli.core.backbones import RECIPES, recipe_of
from dubcli.core.recipes import Recipe, loader_code
from dubcli.core.trained import TrainedModel, mismatch, trained_of
from dubcli.errors import UserError

FORMAT = 2  # 1: no backbones named
READ_FORMATS = (1, 2)
WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


def save_exported(trained: TrainedModel, folder: Path) -> None:
    """Write ``model.safetensors`` and ``config.json`` into an existing folder."""
    from safetensors.torch import save

    weights = {name: tensor.contiguous() for name, tensor in trained.model.state_dict().items()}
    # not save_file, whose files nobody but their owner may read, whatever the umask
    content = save(weights, metadata={"format": "pt", "content_hash": trained.content_hash})
    (folder / WEIGHTS_FILE).write_bytes(content)
    write_json(folder / CONFIG_FILE, exported_config(trained))


def exported_config(trained: TrainedModel) -> dict[str, Any]:
    """What ``config.json`` holds: all it takes to build the model and to feed it, here and without this package.

    ``builders``: the library's call that makes each built-in backbone, with its arguments. ``loader``: the same as
    Python, which fills them. Neither is read here. Folders of this machine are left out of ``training``.
    """
    recipes = recipes_of(trained)
    return {
        "format": FORMAT,
        "name": trained.name,
        "variant": trained.variant.to_dict(),
        "preset": trained.preset,
        "backbones": {modality: spec.to_dict() for modality, spec in trained.model.backbones.items()},
        "projection": asdict(trained.model.projection),
        "sample_rate": trained.sample_rate,
        "mel_mean": trained.mel_mean,
        "mel_std": trained.mel_std,
        "content_hash": trained.content_hash,
        "epochs": trained.epochs,
        "film_set": trained.film_set,
        "frame_rule": trained.frame_rule,
        "training": without_folders(trained.config),
        "facts": trained.facts,
        "builders": {modality: recipe.to_dict() for modality, recipe in recipes.items()},
        "loader": loader_code(recipes, WEIGHTS_FILE).splitlines() if recipes else [],
    }


def recipes_of(trained: TrainedModel) -> dict[str, Recipe]:
    """How others build the backbones, by modality; without those that are not built in."""
    found = {name: recipe_of(spec, trained.preset) for name, spec in trained.model.backbones.items()}
    return {name: recipe for name, recipe in found.items() if recipe is not None}


def without_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a run; of paths the last name alone."""
    folders = ("cache", "out")
    return {
        name: Path(value).name if isinstance(value, str) and (name in folders or Path(value).is_absolute()) else value
        for name, value in config.items()
    }


def is_exported(folder: str | os.PathLike[str]) -> bool:
    """Whether ``folder`` is one that ``dubav export`` wrote."""
    return (Path(folder) / WEIGHTS_FILE).is_file()


def foreign_code(folder: str | os.PathLike[str]) -> list[str]:
    """Names of the Python code, from outside this package, that makes the backbones of an exported folder.

    Raises UserError where the folder does not say.
    """
    config = read_json(Path(folder) / CONFIG_FILE)
    try:
        named = [str(spec["name"]) for spec in config.get("backbones", {}).values() if not spec["given"]]
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{Path(folder) / CONFIG_FILE} does not say its backbones") from None
    return [name for name in named if name not in RECIPES]


def load_exported(folder: str | os.PathLike[str], backbones: Mapping[str, nn.Module] | None = None) -> TrainedModel:
    """The frozen model of an exported folder; ``backbones`` as of ``load_trained``.

    Raises UserError when it is damaged, of another format, or needs code that is not there.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    home = Path(folder)
    config = read_json(home / CONFIG_FILE)
    if not isinstance(config, dict) or config.get("format") not in READ_FORMATS:
        raise UserError(f"{home / CONFIG_FILE} is not of export format {FORMAT}; export the checkpoint again")
    try:
        weights = load_file(home / WEIGHTS_FILE)
        trained = trained_of(
            config, weights, backbones, config=config["training"], asked=str(home), name=str(config["name"])
        )
        if trained.content_hash != config["content_hash"]:
            raise UserError(f"{home / WEIGHTS_FILE} is not what {CONFIG_FILE} describes; export the checkpoint again")
        return trained
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{home} does not hold a whole model ({mismatch(error)}); export the checkpoint again"
        ) from error
