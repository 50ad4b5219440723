"""Networks as their libraries build them: a callable by its dotted name, plain arguments, and what is then changed.

The built-in backbones are made from recipes, and an exported model prints them as code, so that others build the same
network without this package.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class DottedName:
    """An argument that is a class or a function, by its dotted name."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is made.

    ``builder``: dotted name of a callable. ``arguments``: plain values and ``DottedName``. ``parts``: submodules that
    take the place of others, by their dotted names. ``settings``: attributes that are set, by theirs. ``takes``: the
    shape of its input, in words.
    """

    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Recipe] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    takes: str = ""

    def make(self, **others: Any) -> nn.Module:
        """The network, with random weights; ``others`` take the place of arguments."""
        arguments = {name: _meant(value) for name, value in self.arguments.items()} | others
        network: nn.Module = _object(self.builder)(**arguments)
        for name, part in self.parts.items():
            network.set_submodule(name, part.make())
        for name, value in self.settings.items():
            owner, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(owner), attribute, value)
        return network

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; names of classes are text."""
        return {
            "builder": self.builder,
            "arguments": {name: _plain(value) for name, value in self.arguments.items()},
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
            "settings": dict(self.settings),
            "takes": self.takes,
        }

    def code(self, variable: str) -> list[str]:
        """Lines of Python that make it, given ``modules``."""
        lines = [f"{variable} = {self._call()}"]
        lines += [f'{variable}.set_submodule("{name}", {part._call()})' for name, part in self.parts.items()]
        return lines + [f"{variable}.{name} = {value!r}" for name, value in self.settings.items()]

    def modules(self) -> Iterator[str]:
        """What the code imports."""
        named = (value.name for value in self.arguments.values() if isinstance(value, DottedName))
        for name in (self.builder, *named):
            yield name.rpartition(".")[0]
        for part in self.parts.values():
            yield from part.modules()

    def _call(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.builder}({arguments})"


def loader_code(recipes: Mapping[str, Recipe], weights_file: str) -> str:
    """Python that builds each network and fills it from a file of weights whose names begin with the variable's."""
    modules = sorted({module for recipe in recipes.values() for module in recipe.modules()})
    lines = [f"import {module}" for module in modules]
    lines += ["from safetensors.torch import load_file", "", f'weights = load_file("{weights_file}")']
    for name, recipe in recipes.items():
        chosen = f'{{key[{len(name) + 1}:]: value for key, value in weights.items() if key.startswith("{name}.")}}'
        lines += [*recipe.code(name), f"{name}.load_state_dict({chosen})"]
        lines += [f"{name}.eval()  # takes {recipe.takes}"]
    return "\n".join(lines)


def _object(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _meant(value: Any) -> Any:
    return _object(value.name) if isinstance(value, DottedName) else value


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, DottedName) else value
