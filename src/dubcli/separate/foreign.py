"""Separators from outside: any object that says what it takes and gives, run over tracks of any length as demucs is.

``--model`` takes the name of an entry point of the group ``dubcli.separators`` or MODULE:NAME: a callable without
arguments that makes the separator. It has

* ``sample_rate``: of the sound it takes and gives, in Hz;
* ``sources``: the names of its stems; one is ``vocals``, ``speech``, ``dialog`` or ``dialogue``, or ``--speech-stem``
  says which is speech;
* ``segment``: seconds of sound that it is given at once; segments overlap by a quarter and are faded into each other;
* ``__call__``: float32 (batch, 2, samples) -> (batch, sources, 2, samples), of the last segment fewer samples;

and may have ``normalise`` (True: every track is given with mean 0 and deviation 1, as demucs wants it) and
``content_hash`` (where it is no ``torch.nn.Module``, whose weights are hashed: what tells two states of it apart).
"""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from dubcli.core import plugins
from dubcli.core.memory import room_for_model
from dubcli.core.trained import content_hash
from dubcli.errors import UserError

GROUP = "dubcli.separators"
_NEEDED = ("sample_rate", "sources", "segment")


class ForeignSeparator:
    """A separator from outside behind the attributes of demucs's models; what it gives is checked."""

    def __init__(self, made: Any, name: str, device: str = "cpu") -> None:
        """``made``: the separator. Raises UserError, in one line, where it lacks something."""
        asked = f"--model {name}"
        lacking = [attribute for attribute in _NEEDED if not hasattr(made, attribute)]
        if lacking or not callable(made):
            what = f"no {' and no '.join(lacking)}" if lacking else "no __call__"
            raise UserError(f"{asked}: a {type(made).__name__} has {what}; docs/extending.md shows a separator")
        self.name, self.segment, self.sample_rate = name, float(made.segment), int(made.sample_rate)
        self.sources = tuple(map(str, made.sources))
        self.normalise = bool(getattr(made, "normalise", False))
        if self.segment <= 0 or self.sample_rate <= 0:
            raise UserError(f"{asked} has segments of {self.segment:g} s and {self.sample_rate} Hz; both are above 0")
        with room_for_model(device):
            self._made = made.to(device).eval() if isinstance(made, nn.Module) else made

    def __call__(self, sound: Tensor) -> Tensor:
        """(batch, 2, samples) -> (batch, sources, 2, samples). Raises UserError for another shape."""
        stems = self._made(sound)
        wanted = (len(sound), len(self.sources), *sound.shape[1:])
        if not isinstance(stems, Tensor) or tuple(stems.shape) != wanted:
            gave = tuple(stems.shape) if isinstance(stems, Tensor) else type(stems).__name__
            raise UserError(f"--model {self.name} gave {gave} for {tuple(sound.shape)}; wanted is {wanted}")
        return stems

    @property
    def digest(self) -> str:
        """16 hex digits of the weights, or of what the object says of itself, and of what else its stems depend on."""
        made = self._made
        state = content_hash(made.state_dict()) if isinstance(made, nn.Module) else getattr(made, "content_hash", "")
        said = f"{self.name} {self.sources} {self.segment!r} {self.sample_rate} {self.normalise} {state}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def load_separator(name: str, maker: Any, device: str = "cpu") -> ForeignSeparator:
    """What ``maker``, the plug-in that ``name`` means, makes. Raises UserError where it is no separator."""
    if not callable(maker):
        raise UserError(f"--model {name} is a {type(maker).__name__}; give a class or a function that makes one")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # weights that are not loaded are the same in every process
        return ForeignSeparator(maker(), name, device)


def find_maker(name: str, builtin: list[str]) -> Any:
    """The plug-in's object; None for one of ``builtin``. Raises UserError that names what is near."""
    return plugins.load(GROUP, name, dict.fromkeys(builtin), asked="--model")
