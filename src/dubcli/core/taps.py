"""What layers inside a network give, while it runs: feature maps by the layers' names."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from dubcli.core.models import named_part
from dubcli.errors import UserError


class Taps:
    """Keeps what the layers of these dotted names give; each thread that runs the module sees its own.

    Raises UserError where there is no such layer.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._keepers = {name: _Keeper() for name in names}
        self._handles = [named_part(module, name).register_forward_hook(keep) for name, keep in self._keepers.items()]

    def take(self) -> dict[str, Tensor]:
        """What the layers gave in this thread's last forward pass, by name; it is kept no longer.

        Raises UserError where one of them did not run or gave no tensor.
        """
        found = {name: keep.take() for name, keep in self._keepers.items()}
        for name, output in found.items():
            if not isinstance(output, Tensor):
                raise UserError(f"the layer {name!r} gives no tensor; name another")
        return found

    def remove(self) -> None:
        """Leave the module as it was."""
        for handle in self._handles:
            handle.remove()


class _Keeper:
    """A forward hook that keeps the output for its own thread. Copied and pickled without it."""

    def __init__(self) -> None:
        self._here = threading.local()

    def __call__(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        self._here.output = output

    def take(self) -> Any:
        return self._here.__dict__.pop("output", None)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._here = threading.local()
