"""BatchNorms of a frozen network folded into the convolutions before them.

Without tracing: ``torch.fx`` puts its own call in place of every module's while it traces, in all threads, so that a
model that trains beside it breaks. Here a copy without numbers (torch's meta device) is run once, and its own hooks
see which convolution's output each BatchNorm gets.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dubcli.core.backbones import DEFAULT_BACKBONES
from dubcli.core.models import DubModel
from dubcli.errors import first_line

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fold_backbone(model: DubModel, modality: str, say: Callable[[str], None]) -> nn.Module:
    """``fold`` of a model's backbone; the paper's own fold as they should, which tests hold, others are compared."""
    module = model.audio if modality == "audio" else model.video
    assert module is not None
    known = model.backbones[modality] == DEFAULT_BACKBONES[modality]
    return fold(module, model.example_input(modality), say, compare=not known)


@torch.no_grad()
def fold(module: nn.Module, example: Tensor, say: Callable[[str], None], *, compare: bool = True) -> nn.Module:
    """A copy of a frozen module with its BatchNorms folded into convolutions where that computes the same.

    A network that takes a convolution's output elsewhere too computes something else then, which no hook sees:
    ``compare`` holds the copy against the module itself on ``example``, an input. Where folding fails the copy is a
    plain one, and ``say`` is told. No other thread's modules are touched.
    """
    folded = copy.deepcopy(module).requires_grad_(False)
    try:
        for convolution, norm in _pairs(module, example):
            parts = folded.get_submodule(convolution), folded.get_submodule(norm)
            fused: nn.Module = fuse_conv_bn_eval(*parts)  # type: ignore[arg-type, type-var]
            folded.set_submodule(convolution, fused.requires_grad_(False))
            folded.set_submodule(norm, nn.Identity())
        reason = "it computes something else then" if compare and not _same(module, folded, example) else ""
    except Exception as error:  # whatever a forward that is not ours raises on the meta device, or without its norms
        reason = first_line(error)
    if not reason:
        return folded.eval()
    say(f"{type(module).__name__} runs as it is, its batch norms not folded: {reason}")
    return copy.deepcopy(module).requires_grad_(False)


def _pairs(module: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """(convolution, BatchNorm) by their dotted names: each called once, the second on the output of the first."""
    bare = copy.deepcopy(module).to("meta")
    outputs: dict[int, tuple[str, Any]] = {}  # by identity; the tensors are kept, so that no other takes their place
    calls: Counter[str] = Counter()
    found: list[tuple[str, str]] = []

    def note(name: str) -> Callable[..., None]:
        def hook(part: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            calls[name] += 1
            if type(part) in _CONVOLUTIONS:
                outputs[id(output)] = (name, output)
            elif inputs and id(inputs[0]) in outputs:
                found.append((outputs[id(inputs[0])][0], name))

        return hook

    for name, part in bare.named_modules():
        if type(part) in _CONVOLUTIONS or (type(part) in _NORMS and part.running_mean is not None):
            part.register_forward_hook(note(name))
    bare(example.to("meta"))
    taken = Counter(convolution for convolution, _ in found)
    return [pair for pair in found if taken[pair[0]] == 1 and calls[pair[0]] == calls[pair[1]] == 1]


def _same(module: nn.Module, folded: nn.Module, example: Tensor) -> bool:
    expected, found = module(example).float(), folded(example).float()
    scale = float(expected.abs().max())
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=0, atol=1e-4 * scale)
