"""Separation models by name: demucs's from the hub or from a folder, none of whose code is run, or a plug-in's."""

from __future__ import annotations

import hashlib
import logging
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import yaml

from dubcli.core.memory import room_for_model
from dubcli.errors import UserError, first_line
from dubcli.separate.foreign import VOCALS, ForeignSeparator, find_maker, load_separator
from dubcli.separate.transposed import replace_transposed


@dataclass(frozen=True, kw_only=True)
class Bag:
    """One or several models whose outputs are averaged with ``weights`` (models x sources).

    ``digest``: 16 hex digits over the models' weights, segments and the bag's weights; what tells two bags apart.
    ``normalise``: whether the models want tracks of mean 0 and deviation 1.
    """

    name: str
    models: tuple[Any, ...]
    weights: tuple[list[float], ...]
    sources: tuple[str, ...]
    sample_rate: int
    channels: int
    digest: str
    normalise: bool = True

    @property
    def vocals(self) -> int:
        """Index of the stem that is speech."""
        return self.sources.index(VOCALS)


@lru_cache(maxsize=1)
def load_bag(name: str, repo: Path | None = None, *, trust: bool = False, device: str = "cpu") -> Bag:
    """Load the model or bag ``name``, demucs's or a plug-in's, in eval mode onto ``device``.

    ``repo``: a folder as demucs's ``--repo`` (``<signature>-<checksum>.th``, ``<bag>.yaml``); None asks the Hugging
    Face hub, then demucs's own server. ``.th`` files are pickles: from a folder only plain data and demucs's own
    classes are loaded, unless ``trust``. Raises UserError when it is not to be had, is damaged or is no stereo model
    with a stem named vocals.
    """
    if repo is None and (maker := check_name(name)) is not None:
        return _foreign_bag(load_separator(name, maker, device))
    bag = as_bag(_from_hub(name) if repo is None else _from_folder(name, repo, trust), name)
    if VOCALS not in bag.sources or bag.channels != 2:
        raise UserError(
            f"the model {name} has {bag.channels} channels and the stems {', '.join(bag.sources)}; "
            "give a stereo --model with a stem named vocals"
        )
    for single in bag.models:
        with room_for_model(device):
            single.to(device).eval()
        if device == "cpu":
            replace_transposed(single)
    return bag


def as_bag(model: Any, name: str) -> Bag:
    """A demucs model or ``BagOfModels`` as a Bag."""
    from demucs.apply import BagOfModels

    models = tuple(model.models) if isinstance(model, BagOfModels) else (model,)
    weights = model.weights if isinstance(model, BagOfModels) else [[1.0] * len(model.sources)]
    for single in models:
        single.eval()
    return Bag(
        name=name,
        models=models,
        weights=tuple(list(row) for row in weights),
        sources=tuple(model.sources),
        sample_rate=model.samplerate,
        channels=model.audio_channels,
        digest=_digest(models, weights),
    )


def _foreign_bag(model: ForeignSeparator) -> Bag:
    return Bag(
        name=model.name,
        models=(model,),
        weights=([1.0] * len(model.sources),),
        sources=model.sources,
        sample_rate=model.sample_rate,
        channels=2,
        digest=model.digest,
        normalise=model.normalise,
    )


def _digest(models: tuple[Any, ...], weights: Any) -> str:
    content = hashlib.sha256(repr([list(map(float, row)) for row in weights]).encode())
    for model in models:
        content.update(f"{type(model).__name__} {float(model.segment)!r}".encode())
        for name, tensor in sorted(model.state_dict().items()):
            content.update(f"{name} {tuple(tensor.shape)}".encode())
            content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


def _from_hub(name: str) -> Any:
    from demucs.pretrained import get_model
    from demucs.repo import ModelLoadingError

    try:
        with _quiet_download():
            return get_model(name)
    except ModelLoadingError as error:
        raise UserError(f"the model {name} cannot be used: {first_line(error)}") from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the model {name} could not be fetched ({reason}){_what_to_fetch(name)}") from None


@contextmanager
def _quiet_download() -> Iterator[None]:
    """Without a network the hub's client would tell of each of its attempts; torch tells of downloads on stdout."""
    logger = logging.getLogger("huggingface_hub.utils._http")  # the library sets the level of the one above again
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(before)


def check_name(name: str) -> Any:
    """The plug-in's object that makes the separator ``name``; None for demucs's own names, which come first.

    ``hf://<namespace>/<name>`` may be anything on the hub. Raises UserError for a name that is none of these.
    """
    if name in _remote_files() or name.startswith("hf://"):
        return None
    return find_maker(name, sorted(path.stem for path in _remote().glob("*.yaml")))


def _remote() -> Path:
    from demucs.pretrained import REMOTE_ROOT

    return Path(REMOTE_ROOT)


def _remote_files() -> dict[str, str]:
    from demucs.pretrained import _parse_remote_files

    files: dict[str, str] = _parse_remote_files(_remote() / "files.txt")
    return files


def _what_to_fetch(name: str) -> str:
    """Which files make the model work without a network, and where they come from; nothing for a foreign name."""
    from demucs.pretrained import ROOT_URL

    urls = _remote_files()
    bag = _remote() / f"{name}.yaml"
    signatures = _read_yaml(bag)["models"] if bag.is_file() else [name]
    files = [urls[signature].removeprefix(ROOT_URL) for signature in signatures if signature in urls]
    if not files:
        return ""
    names = ", ".join(Path(file).name for file in files)
    recipe = f", and a copy of {bag}" if bag.is_file() else ""
    where = f"{ROOT_URL}{Path(files[0]).parent.as_posix()}/"
    return f"; fetch {names} from {where} on a machine with a network and give --model-repo DIR with them{recipe}"


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None


def check_folder(name: str, repo: Path) -> list[Path]:
    """The files of the model ``name`` in ``repo``, without opening any. Raises UserError where one is missing."""
    if not repo.is_dir():
        raise UserError(f"--model-repo {repo} is no folder; give the one with the .th and .yaml files")
    files = _signatures(repo)
    if name in files:
        return [files[name]]
    recipe = repo / f"{name}.yaml"
    if not recipe.is_file():
        there = sorted({*files, *(path.stem for path in repo.glob("*.yaml"))})
        held = f"it holds {', '.join(there)}" if there else "it holds no .th or .yaml files"
        raise UserError(f"{repo} has no model {name} ({name}.yaml or {name}-<checksum>.th); {held}")
    bag = _read_yaml(recipe)
    if not isinstance(bag, dict) or not isinstance(bag.get("models"), list) or not bag["models"]:
        raise UserError(f"{recipe} has no list models: with the models' signatures")
    missing = [str(signature) for signature in bag["models"] if str(signature) not in files]
    if missing:
        wanted = ", ".join(f"{signature}-<checksum>.th" for signature in missing)
        raise UserError(f"{repo} lacks {wanted}, which {recipe.name} names; put the missing files there")
    return [files[str(signature)] for signature in bag["models"]]


def _from_folder(name: str, repo: Path, trust: bool) -> Any:
    from demucs.apply import BagOfModels

    models = [_load_file(path, trust) for path in check_folder(name, repo)]
    recipe = repo / f"{name}.yaml"
    if name in _signatures(repo):
        return models[0]
    bag = _read_yaml(recipe)
    try:
        return BagOfModels(models, bag.get("weights"), bag.get("segment"))
    except (AssertionError, TypeError) as error:
        raise UserError(f"{recipe} does not fit its models: sources, rates or numbers of weights differ") from error


def _signatures(repo: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(repo.glob("*.th")):
        signature = path.stem.rpartition("-")[0] or path.stem
        if signature in files:
            raise UserError(f"{repo} has two files of the model {signature}; remove one of them")
        files[signature] = path
    return files


def _load_file(path: Path, trust: bool) -> Any:
    from demucs.states import load_model

    checksum = path.stem.rpartition("-")[2] if "-" in path.stem else ""
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)
    if not actual.startswith(checksum):
        raise UserError(f"{path} is damaged: its checksum is {actual[:8]}, its name says {checksum}; fetch it again")
    try:
        with _plain_data_and_demucs():
            package = torch.load(path, map_location="cpu", weights_only=not trust)
        return load_model(package)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):  # torch's word for a class or function that it was not told of
            raise UserError(f"{path} is no demucs model: {first_line(error)}") from None
        raise UserError(
            f"{path} holds Python objects beyond demucs's own and could run code when it is loaded; "
            "if you know where it is from, give --trust-models"
        ) from None
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is no demucs model: {first_line(error)}") from None


def _sha256(file: Any) -> Any:
    content = hashlib.sha256()
    while block := file.read(1 << 20):
        content.update(block)
    return content.hexdigest()


@contextmanager
def _plain_data_and_demucs() -> Iterator[None]:
    """Let torch's restricted unpickler know the classes that demucs's own files name."""
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs
    from demucs.htdemucs import HTDemucs
    from diffq import DiffQuantizer, UniformQuantizer

    with torch.serialization.safe_globals([Demucs, HDemucs, HTDemucs, Fraction, DiffQuantizer, UniformQuantizer]):
        yield
