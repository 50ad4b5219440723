"""Separation models by name: demucs's from the hub or from a folder, none of whose code is run, or a plug-in's."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from dubcli.core.memory import room_for_model
from dubcli.errors import UserError, first_line
from dubcli.separate import spleeter, uvr
from dubcli.separate.folder import check_folder, from_folder, read_recipe
from dubcli.separate.foreign import ForeignSeparator, find_maker, load_separator
from dubcli.separate.speech import speech_stem
from dubcli.separate.transposed import replace_transposed


@dataclass(frozen=True, kw_only=True)
class Bag:
    """One or several models whose outputs are averaged with ``weights`` (models x sources).

    ``digest``: 16 hex digits over the models' weights, segments and the bag's weights; what tells two bags apart.
    ``normalise``: whether the models want tracks of mean 0 and deviation 1. ``speech``: the stem that is speech.
    """

    name: str
    models: tuple[Any, ...]
    weights: tuple[list[float], ...]
    sources: tuple[str, ...]
    sample_rate: int
    channels: int
    digest: str
    normalise: bool = True
    speech: str = "vocals"

    @property
    def vocals(self) -> int:
        """Index of the stem that is speech."""
        return self.sources.index(self.speech)


@lru_cache(maxsize=1)
def load_bag(
    name: str, repo: Path | None = None, *, trust: bool = False, device: str = "cpu", speech: str | None = None
) -> Bag:
    """Load the model or bag ``name``, demucs's or a plug-in's, in eval mode onto ``device``.

    ``repo``: a folder (``folder.py``); None asks the Hugging Face hub, then demucs's own server. ``.th`` files are
    pickles: from a folder only plain data and demucs's own classes are loaded, unless ``trust``. ``speech``: the stem
    that is speech; None is the one whose name says so (``speech.py``). Raises UserError when the model is not to be
    had, is damaged, or is no stereo model with such a stem.
    """
    if (maker := _maker_with_files(name, repo, device) or (check_name(name) if repo is None else None)) is not None:
        bag = _foreign_bag(load_separator(name, maker, device))
        return replace(bag, speech=speech_stem(bag.sources, speech, name))
    bag = as_bag(_from_hub(name) if repo is None else from_folder(name, repo, trust), name)
    bag = replace(bag, speech=speech_stem(bag.sources, speech, name, bag.channels))
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


def _maker_with_files(name: str, repo: Path | None, device: str) -> Any:
    """What makes a separator whose files are in ``repo`` and are not demucs's; None for other names."""
    if name == spleeter.NAME:
        return partial(spleeter.load_spleeter, repo)
    return partial(uvr.load_uvr, name, repo, device) if name.startswith(uvr.PREFIX) else None


def check_model(name: str, repo: Path | None) -> None:
    """Raises UserError where there is no model of that name to be loaded; opens none."""
    if name == spleeter.NAME:
        spleeter.find_weights(repo)
    elif name.startswith(uvr.PREFIX):
        uvr.find_model(name, repo)
    elif repo is None:
        check_name(name)
    else:
        check_folder(name, repo)


def check_name(name: str) -> Any:
    """The plug-in's object that makes the separator ``name``; None for demucs's own names, which come first.

    ``hf://<namespace>/<name>`` may be anything on the hub. Raises UserError for a name that is none of these.
    """
    if name in _remote_files() or name.startswith("hf://"):
        return None
    return find_maker(name, named_models())


def named_models() -> list[str]:
    """The models that have a name without a plug-in: Spleeter and demucs's bags."""
    return [spleeter.NAME, *sorted(path.stem for path in _remote().glob("*.yaml"))]


def _remote() -> Path:
    from demucs.pretrained import REMOTE_ROOT

    return Path(REMOTE_ROOT)


def _remote_files() -> dict[str, str]:
    from demucs.pretrained import _parse_remote_files

    files: dict[str, str] = _parse_remote_files(_remote() / "files.txt")
    return files


def _what_to_fetch(name: str) -> str:
    """Which files make the model work without a network, and where they come from; nothing for a foreign name."""
    from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
    from demucs.pretrained import ROOT_URL

    urls = _remote_files()
    bag = _remote() / f"{name}.yaml"
    signatures = read_recipe(bag)["models"] if bag.is_file() else [name]
    files = [urls[signature].removeprefix(ROOT_URL) for signature in signatures if signature in urls]
    of_hub = name.removeprefix("hf://").rpartition("/")
    repository = f"{of_hub[0] or DEFAULT_NAMESPACE}/{hf_repo_name(of_hub[2])}"
    ways = (
        [f"all files of the Hugging Face hub's repository {repository}"]
        if bag.is_file() or name.startswith("hf://")
        else []
    )
    if files:
        names = ", ".join(Path(file).name for file in files)
        recipe = f" and a copy of {bag}" if bag.is_file() else ""
        ways.append(f"{names} from {ROOT_URL}{Path(files[0]).parent.as_posix()}/{recipe}")
    if not ways:
        return ""
    return f"; on a machine with a network fetch {', or '.join(ways)}, and give --model-repo DIR with them"
