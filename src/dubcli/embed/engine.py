"""One frozen backbone, run as fast as the machine allows, with the outputs of the plain one.

In the order of what they bring on a CPU (measured in ``tests/benchmarks/bench_embed.py``): inductor with weight
freezing, which folds BatchNorm into the convolutions, packs their weights and fuses what is between them; memory that
is kept instead of given back after each layer; channels last. Compiling costs half a minute the first time and some
seconds when it is cached, so it is done where the work that is left pays for it.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dubcli.core.layout import Layout
from dubcli.core.machine import autocast, torch_type
from dubcli.core.memory import keep_freed_memory, room_for_model
from dubcli.errors import first_line

COLD_COMPILE_SECONDS = {"cpu": 25.0, "cuda": 60.0}
WARM_COMPILE_SECONDS = {"cpu": 8.0, "cuda": 20.0}
SAVED_SHARE = {"cpu": 0.4, "cuda": 0.2}
"""Of the time without compiling that compiling saves, at least. Those of CUDA are cautious guesses, not measured."""


def say_nothing(text: str) -> None:
    """Where nobody listens."""


@dataclass
class Compiling:
    """Whether backbones are compiled: True at the first batch, False never, None when it pays.

    A model's engines share it, so that a missing compiler is found, and told of, once. ``say`` takes a line for the
    user.
    """

    mode: bool | None = False
    say: Callable[[str], None] = say_nothing


class Pending:
    """Features on their way from the device, and the time that it took for them, known when they are there."""

    def __init__(self, device: torch.device) -> None:
        """Begin to measure; what is computed next counts until ``arrive``."""
        self._features: Tensor | None = None
        self._begun = time.perf_counter()
        self._took = 0.0
        self._events: list[Any] = []
        if device.type == "cuda":
            self._stream = torch.cuda.current_stream(device)
            self._events = [self._stream.record_event(_event()), _event()]

    def arrive(self, features: Tensor) -> Pending:
        """Send ``features`` to the CPU's memory; from CUDA without a wait, behind the work that is queued."""
        if self._events:
            self._features = torch.empty(features.shape, dtype=features.dtype, pin_memory=True)
            self._features.copy_(features, non_blocking=True)
            self._stream.record_event(self._events[1])
        else:
            self._features = features.cpu()
            self._took = time.perf_counter() - self._begun
        return self

    @property
    def is_there(self) -> bool:
        """Whether ``result`` has nothing to wait for."""
        return not self._events or bool(self._events[1].query())

    def seconds(self) -> float:
        """The device's time from the beginning to the end; waits for that."""
        if not self._events:
            return self._took
        self._events[1].synchronize()
        return float(self._events[0].elapsed_time(self._events[1])) / 1000

    def result(self) -> Tensor:
        """The features, when they are there. Pinned memory goes back to be used again with the last reference."""
        assert self._features is not None
        if self._events:
            self._events[1].synchronize()
        return self._features


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


class Engine:
    """Runs a frozen ``module`` on batches as it takes them; features are float32 (batch, feature_size) on the CPU.

    ``module`` is the engine's own from now on (``core.folding`` gives a copy). ``name`` tells the model from others in
    the record of what the compiler's cache holds. Several threads may call it at once.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        precision: str,
        compiling: Compiling | None = None,
        name: str = "",
    ) -> None:
        self._device = device
        self._precision = precision
        self._compiling = compiling or Compiling()
        self._name = name
        if device.type == "cpu":
            keep_freed_memory()
        self._layout = Layout.of(module, device)
        with room_for_model(device):
            self._module = self._layout.module(module.to(device))
        self._compiled: dict[tuple[int, ...], Callable[[Tensor], Tensor]] = {}
        self._seconds_per_item: dict[tuple[int, ...], float] = {}
        self._timed: list[tuple[tuple[int, ...], Pending]] = []
        self._deciding = threading.Lock()

    def __call__(self, batch: Tensor, left: float = 0.0) -> Tensor:
        """As ``start``, and wait for the features: (batch, feature_size)."""
        return self.start(batch, left).result()[: batch.shape[0]]

    @torch.no_grad()
    def start(self, batch: Tensor, left: float = 0.0) -> Pending:
        """(batch, ...) on the engine's device -> at least (batch, feature_size), the first rows of which are meant.

        ``left``: items of this shape still to come, estimated. A compiled batch size is kept: fewer items are filled up
        when that is cheaper than not compiling. CUDA works on when this returns.
        """
        batch = self._layout.tensor(batch)
        shape = tuple(batch.shape)
        with self._deciding:
            if self._pays(shape, left):
                self._try_to_compile(batch)
            full = self._compiled_size(shape)
        if full is None:
            pending = self._run(self._module, batch)
            if self._compiling.mode is None:
                with self._deciding:
                    self._timed.append((shape, pending))
            return pending
        if full != shape:
            filled = self._layout.tensor(torch.zeros(full, device=batch.device))
            filled[: shape[0]] = batch
            batch = filled
        return self._run(self._compiled[full], batch)

    def _compiled_size(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The compiled shape that serves a batch of ``shape``, if one does."""
        fitting = [full for full in self._compiled if full[1:] == shape[1:] and shape[0] <= full[0] <= 2 * shape[0]]
        return min(fitting, default=None)

    def _pays(self, shape: tuple[int, ...], left: float) -> bool:
        largest = max((full[0] for full in self._compiled if full[1:] == shape[1:]), default=0)
        mode = self._compiling.mode
        if mode is False or shape[0] <= largest:
            return False
        if mode:
            return True
        self._read_times()
        seconds = self._seconds_per_item.get(shape)
        if seconds is None or self._device.type not in SAVED_SHARE:
            return False
        return left * seconds * SAVED_SHARE[self._device.type] > self._compile_seconds(shape)

    def _read_times(self) -> None:
        """Note what batches took that have come back; no wait for those that have not."""
        while self._timed and self._timed[0][1].is_there:
            shape, pending = self._timed.pop(0)
            seconds = pending.seconds() / shape[0]
            self._seconds_per_item[shape] = min(seconds, self._seconds_per_item.get(shape, seconds))

    def _run(self, function: Callable[[Tensor], Tensor], batch: Tensor) -> Pending:
        pending = Pending(self._device)
        with autocast(self._device, self._precision):
            return pending.arrive(function(batch).float())

    def _compile_seconds(self, shape: tuple[int, ...]) -> float:
        seconds = WARM_COMPILE_SECONDS if self._mark(shape).exists() else COLD_COMPILE_SECONDS
        return seconds.get(self._device.type, max(seconds.values()))

    def _try_to_compile(self, batch: Tensor) -> None:
        shape = tuple(batch.shape)
        mark = self._mark(shape)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(compile_cache()))
        seconds = self._compile_seconds(shape)
        self._compiling.say(f"compiling the backbone for batches of {shape[0]} (about {seconds:.0f} s)")
        function = torch.compile(self._module, fullgraph=True, dynamic=False, options={"freezing": True})
        try:
            self._run(function, batch).result()
        except Exception as error:  # whatever the compiler or its tools raise, the work can go on without it
            self._compiling.mode = False
            reason = first_line(error)
            self._compiling.say(
                f"cannot compile here ({reason}); going on with convolutions and batch norms folded by torch"
            )
            return
        self._compiled[shape] = function
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()

    def _mark(self, shape: tuple[int, ...]) -> Path:
        """A file that tells that the compiler's cache holds this model for this shape."""
        processor = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else platform.processor()
        parts = (self._name, str(shape), str(torch_type(self._precision)), torch.__version__, processor)
        return compile_cache() / "marks" / blake2b("|".join(parts).encode(), digest_size=12).hexdigest()


def compile_cache() -> Path:
    """Where compiled code is kept between runs (torch's own default is a temporary folder)."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or os.path.join(home, "dubav", "inductor"))
