"""Models of demucs in a folder: its own .th files and the hub's .safetensors, none of whose code is run.

A name means, in this order: a file (``97d170e1-dbb4db15``), all files of a signature, whose outputs are averaged (three
states of one training are ``97d170e1-<checksum>.th``), or a recipe ``<name>.yaml`` that lists models by either.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import SafetensorError, safe_open

from dubcli.errors import UserError, first_line

_SUFFIXES = (".th", ".safetensors")
_MODEL_CLASSES = frozenset({"demucs.demucs.Demucs", "demucs.hdemucs.HDemucs", "demucs.htdemucs.HTDemucs"})
_STATE_CLASSES = frozenset({"diffq.diffq.DiffQuantizer", "diffq.uniform.UniformQuantizer"})


def check_folder(name: str, repo: Path) -> list[Path]:
    """The files of the model ``name`` in ``repo``, without opening any. Raises UserError where one is missing."""
    if not repo.is_dir():
        raise UserError(f"--model-repo {repo} is no folder; give the one with the .th and .yaml files")
    files = _files_by_name(repo)
    if name in files:
        return files[name]
    recipe = repo / f"{name}.yaml"
    if not recipe.is_file():
        signatures = {path.stem.rpartition("-")[0] or path.stem for paths in files.values() for path in paths}
        there = sorted({*signatures, *(path.stem for path in repo.glob("*.yaml"))})
        held = f"it holds {', '.join(there)}" if there else "it holds no .th, .safetensors or .yaml files"
        raise UserError(f"{repo} has no model {name} ({name}.yaml or {name}-<checksum>.th); {held}")
    bag = read_recipe(recipe)
    missing = [signature for signature in bag["models"] if signature not in files]
    if missing:
        wanted = ", ".join(f"{signature}-<checksum>.th" for signature in missing)
        raise UserError(f"{repo} lacks {wanted}, which {recipe.name} names; put the missing files there")
    if bag.get("weights") is not None:  # one row is of one file
        for signature in bag["models"]:
            if len(files[signature]) > 1:
                raise UserError(
                    f"{repo} has two files of the model {signature}; remove one of them, or let {recipe.name} name "
                    f"each ({', '.join(path.stem for path in files[signature])})"
                )
    return [path for signature in bag["models"] for path in files[signature]]


def from_folder(name: str, repo: Path, trust: bool) -> Any:
    """The model, or demucs's ``BagOfModels``. Raises UserError where it is damaged, or runs code without ``trust``."""
    from demucs.apply import BagOfModels

    models = [_load(path, trust) for path in check_folder(name, repo)]
    recipe = repo / f"{name}.yaml"
    bag = {} if name in _files_by_name(repo) else read_recipe(recipe)
    if len(models) == 1 and not bag:
        return models[0]
    try:
        return BagOfModels(models, bag.get("weights"), bag.get("segment"))
    except (AssertionError, TypeError) as error:
        what = str(recipe) if bag else f"{name} in {repo}"
        raise UserError(f"{what} does not fit its models: sources, rates or numbers of weights differ") from error


def read_recipe(path: Path) -> dict[str, Any]:
    """A bag's recipe; its models' names are text. Raises UserError where it is none."""
    try:
        bag = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(bag, dict) or not isinstance(bag.get("models"), list) or not bag["models"]:
        raise UserError(f"{path} has no list models: with the models' signatures")
    return bag | {"models": [str(signature) for signature in bag["models"]]}


def _files_by_name(repo: Path) -> dict[str, list[Path]]:
    """Files by their whole names and by their signatures; where a model is there in both forms, demucs's own."""
    found: dict[str, list[Path]] = defaultdict(list)
    for suffix in _SUFFIXES:
        known = set(found)
        for path in sorted(repo.glob(f"*{suffix}")):
            for name in {path.stem, path.stem.rpartition("-")[0] or path.stem} - known:
                found[name].append(path)
    return dict(found)


def _load(path: Path, trust: bool) -> Any:
    try:
        return _load_safetensors(path, trust) if path.suffix == ".safetensors" else _load_pickle(path, trust)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):  # torch's word for a class or function that it was not told of
            raise UserError(f"{path} is no demucs model: {first_line(error)}") from None
        raise _runs_code(path) from None
    except (SafetensorError, OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is no demucs model: {first_line(error)}") from None


def _runs_code(path: Path) -> UserError:
    return UserError(
        f"{path} holds Python objects beyond demucs's own and could run code when it is loaded; "
        "if you know where it is from, give --trust-models"
    )


def _load_pickle(path: Path, trust: bool) -> Any:
    from demucs.states import load_model

    checksum = path.stem.rpartition("-")[2] if "-" in path.stem else ""
    actual = _sha256(path)
    if not actual.startswith(checksum):
        raise UserError(f"{path} is damaged: its checksum is {actual[:8]}, its name says {checksum}; fetch it again")
    with _plain_data_and_demucs():
        package = torch.load(path, map_location="cpu", weights_only=not trust)
    return load_model(package)


def _load_safetensors(path: Path, trust: bool) -> Any:
    """demucs 4.1's form on the hub: class, arguments and structure of the state are JSON in the file's metadata."""
    from demucs.hf import load_safetensors_model

    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
    named = {str(metadata["klass"])}, _classes(json.loads(metadata.get("structure", "null")))
    if not trust and not (named[0] <= _MODEL_CLASSES and named[1] <= _STATE_CLASSES):
        raise _runs_code(path)
    return load_safetensors_model(path)


def _classes(node: Any) -> set[str]:
    """Names of the classes that a state's structure has."""
    if isinstance(node, list):
        return {name for part in node for name in _classes(part)}
    if isinstance(node, dict):
        own = {str(node["_class"])} if "_class" in node else set()
        return own | {name for part in node.values() for name in _classes(part)}
    return set()


def _sha256(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()


@contextmanager
def _plain_data_and_demucs() -> Iterator[None]:
    """Let torch's restricted unpickler know the classes that demucs's own files name, and numbers of NumPy."""
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs
    from diffq import DiffQuantizer, UniformQuantizer

    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    numbers = [np.dtype, *(getattr(np.dtypes, name) for name in np.dtypes.__all__)]
    named = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]
    known = [Demucs, HDemucs, HTDemucs, Fraction, DiffQuantizer, UniformQuantizer, *numbers, *named]
    with torch.serialization.safe_globals(known):
        yield
