"""Which kernels a video backbone trains with on a GPU: what is fastest there, timed once at the start of a run."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from dubcli.core import distributed
from dubcli.core.layout import Layout, TimedConv3d, is_depthwise
from dubcli.core.machine import autocast
from dubcli.errors import first_line

WARM_STEPS, TIMED_STEPS = 2, 3
MOST_CLIPS = 8
"""Clips of the timed steps: which kernel is faster does not change with more."""


def _ours(backbone: nn.Module) -> None:
    from dubcli.core.depthwise import use_kernels

    if not use_kernels(backbone):
        raise ValueError("no layer that they compute")


def _channels_last(backbone: nn.Module) -> None:
    for part in backbone.modules():
        if is_depthwise(part):
            part.__class__ = TimedConv3d


CANDIDATES: dict[str, Callable[[nn.Module], None]] = {
    "channels first": lambda backbone: None,
    "channels last": _channels_last,
    "channels last, own depthwise kernels": _ours,
}
"""What is done to a backbone as built, in place; ``Layout.of`` then says the order."""


def settle_kernels(
    backbone: nn.Module, shape: Sequence[int], device: torch.device, precision: str, say: Callable[[str], None]
) -> None:
    """Bring a backbone on ``device`` into its fastest form, in place; on all ranks into that which rank 0 found.

    shape: of a training batch. Nothing is timed on the CPU, for frozen backbones and those without depthwise 3-D
    convolutions, and where torch was told to be deterministic: a choice by time is another one at another time. What
    does not run is told of by ``say`` and left out.
    """
    timed = device.type == "cuda" and not torch.are_deterministic_algorithms_enabled()
    if timed and any(is_depthwise(part) and part.weight.requires_grad for part in backbone.modules()):
        found = _times(backbone, shape, device, precision, say) if distributed.is_main() else {}
        name = distributed.broadcast_object(min(found, key=lambda name: found[name], default=""))
        if name:
            CANDIDATES[name](backbone)
    Layout.of(backbone, device).module(backbone)


def _times(
    backbone: nn.Module, shape: Sequence[int], device: torch.device, precision: str, say: Callable[[str], None]
) -> dict[str, float]:
    """Seconds of a forward and backward pass by candidate, those that run."""
    found = {}
    for name, change in CANDIDATES.items():
        tried = copy.deepcopy(backbone)
        try:
            change(tried)
            found[name] = seconds_of_a_pass(tried, (min(shape[0], MOST_CLIPS), *shape[1:]), device, precision)
        except Exception as error:  # whatever a compiler or a card raises, the others can be used
            say(f"{name}: cannot be used here ({first_line(error)})")
    del tried
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return found


def seconds_of_a_pass(backbone: nn.Module, shape: Sequence[int], device: torch.device, precision: str) -> float:
    """Median time of a backbone's forward and backward pass in its order of memory, after some that warm up."""
    layout = Layout.of(backbone, device)
    layout.module(backbone)
    batch = layout.tensor(torch.zeros(tuple(shape), device=device))
    seconds = []
    for _ in range(WARM_STEPS + TIMED_STEPS):
        begun = time.perf_counter()
        with autocast(device, precision):
            features = backbone(batch)
        features.float().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[WARM_STEPS:])


def kernels_of(backbone: nn.Module, device: torch.device) -> str:
    """What a backbone runs with, as a name of ``CANDIDATES``."""
    own = any(type(part).__name__ == "DepthwiseConv3d" for part in backbone.modules())
    return f"{Layout.of(backbone, device)}{', own depthwise kernels' * own}"
