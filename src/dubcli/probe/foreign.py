"""Models from outside: modules with the HEAR API or its counterpart for video, and objects with the same functions.

A module (``hear:MODULE[:WEIGHTS]``, ``video:MODULE[:WEIGHTS]``) has ``load_model(path)`` and one or both of

* ``get_scene_embeddings(audio, model)``: float32 (sounds, samples), mono at ``model.sample_rate`` ->
  (sounds, ``model.scene_embedding_size``), the HEAR API (https://hearbenchmark.com/hear-api.html);
* ``get_video_embeddings(frames, model)``: uint8 RGB (clips, frames, height, width, 3) of 3 seconds ->
  (clips, ``model.video_embedding_size``). ``model.frames`` (16) and ``model.frame_size`` (224 pixels, square: the
  centre of a picture whose short side is 8/7 of it) say what is fed, where a model has them.

In Python an object without ``load_model`` is the model itself, and its functions take only the first argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from dubcli.core import plugins
from dubcli.core.machine import choose_device
from dubcli.core.memory import room_for_model
from dubcli.core.models import FRAMES
from dubcli.core.trained import content_hash
from dubcli.errors import UserError

FUNCTIONS = {"audio": "get_scene_embeddings", "video": "get_video_embeddings"}
_SIZES = {"audio": "scene_embedding_size", "video": "video_embedding_size"}
_WORDS = {"hear": "audio", "video": "video"}
_APIS = {"audio": "the HEAR API", "video": "the video API (docs/extending.md)"}


class ForeignModel:
    """A model from outside, frozen and in eval mode where it is a torch module.

    ``modalities``: those it has functions for. ``content_hash``: of its weights; "" where nothing tells one state of
    the object from another.
    """

    def __init__(self, home: Any, name: str, *, weights: str = "", device: str | None = None) -> None:
        """``home``: what has the functions. Raises UserError where they, or what they need, are not there."""
        self.name = name
        self.device = choose_device(device)
        separate = hasattr(home, "load_model")
        self.model: Any = (home.load_model(weights) if weights else home.load_model()) if separate else home
        self.modalities = tuple(name for name, function in FUNCTIONS.items() if hasattr(home, function))
        self._functions: dict[str, Callable[..., Any]] = {
            modality: getattr(home, FUNCTIONS[modality]) for modality in self.modalities
        }
        self._given = (self.model,) if separate else ()
        if isinstance(self.model, torch.nn.Module):
            # hear-eval-kit forgets eval(); without it BatchNorm learns from the test set
            with room_for_model(self.device):
                self.model.to(self.device).eval()
            self.content_hash = content_hash(self.model.state_dict())
        elif isinstance(home, ModuleType):
            self.content_hash = _file_hash(weights, home.__name__)
        else:
            self.content_hash = str(getattr(home, "content_hash", ""))
        self.widths = {modality: int(self._attribute(_SIZES[modality])) for modality in self.modalities}
        self.sample_rate = int(self._attribute("sample_rate")) if "audio" in self.modalities else 0
        self.frames = int(getattr(self.model, "frames", FRAMES))
        self.frame_size = int(getattr(self.model, "frame_size", 224))

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        """Scene embeddings of (sounds, samples) mono float32 -> float32 (sounds, width)."""
        return self._in_halves("audio", torch.from_numpy(waveforms))

    def embed_video(self, frames: torch.Tensor) -> np.ndarray:
        """Embeddings of uint8 RGB (clips, frames, height, width, 3) -> float32 (clips, width)."""
        return self._in_halves("video", frames)

    def _in_halves(self, modality: str, given: torch.Tensor) -> np.ndarray:
        """In halves where the device's memory does not hold them at once: a module says nothing of what it needs."""
        try:
            return self._call(modality, given)
        except torch.OutOfMemoryError:
            half = len(given) // 2
        if not half:
            raise UserError(f"out of memory on {self.device} with one input of {tuple(given.shape)}; give --device cpu")
        return np.concatenate([self._in_halves(modality, given[:half]), self._in_halves(modality, given[half:])])

    def _call(self, modality: str, given: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            found = self._functions[modality](given.to(self.device), *self._given)
        embeddings: np.ndarray = torch.as_tensor(found).detach().cpu().float().numpy()
        if embeddings.shape != (len(given), self.widths[modality]):
            raise UserError(
                f"{self.name} gave embeddings of shape {embeddings.shape} for {len(given)} inputs; its "
                f"{_SIZES[modality]} is {self.widths[modality]}"
            )
        return embeddings

    def _attribute(self, name: str) -> Any:
        if not hasattr(self.model, name):
            raise UserError(f"the model of {self.name} has no {name}; {FUNCTIONS['audio']} and the like need it")
        return getattr(self.model, name)


def load_foreign(argument: str, device: str | None) -> ForeignModel:
    """The model of ``hear:MODULE[:WEIGHTS]`` or ``video:MODULE[:WEIGHTS]``. Raises UserError for what is none."""
    word, _, rest = argument.partition(":")
    name, _, weights = rest.partition(":")
    if not name:
        raise UserError(f"{word}: needs a module, as in {word}:mymodel or {word}:mymodel:weights.pt")
    module = plugins.load_module(name, asked=f"{word}:{name}")
    needed = ("load_model", FUNCTIONS[_WORDS[word]])
    lacking = [function for function in needed if not hasattr(module, function)]
    if lacking:
        raise UserError(f"module {name} has no {' and no '.join(lacking)}; it does not have {_APIS[_WORDS[word]]}")
    return ForeignModel(module, f"{word}:{name}", weights=weights, device=device)


def wrap_foreign(home: Any, name: str | None, device: str | None) -> ForeignModel:
    """The model that an object (a module, a ``torch.nn.Module``, anything) is. Raises UserError without functions."""
    own = home.__name__ if isinstance(home, ModuleType) else type(home).__name__
    if not any(hasattr(home, function) for function in FUNCTIONS.values()):
        raise UserError(
            f"a {own} is no model to probe: it has neither {' nor '.join(FUNCTIONS.values())} (docs/extending.md)"
        )
    return ForeignModel(home, str(name or getattr(home, "name", own)), device=device)


def _file_hash(weights: str, module: str) -> str:
    path = Path(weights)
    content = path.read_bytes() if weights and path.is_file() else module.encode()
    return hashlib.sha256(content).hexdigest()
