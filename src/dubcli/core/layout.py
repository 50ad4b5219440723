"""The order in memory that a backbone runs fastest in on a device: one rule for training and for all that embeds.

Channels last is the order of matrix units and of CPU kernels. But torch sends every depthwise 3-D convolution of
channels-last tensors on CUDA to cuDNN, and has kernels of its own for them, made for X3D, in its default order: 5 to 18
times as fast in the reports that led to them (pytorch pull requests 40801 and 51027).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

CUDA_DEPTHWISE_CHANNELS_LAST = False
"""Whether backbones with torch's depthwise 3-D convolutions run channels last on CUDA too: not measured on a card."""

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True)
class Layout:
    """An order of memory for a module's weights and the tensors that it takes: channels last, or torch's default."""

    channels_last: bool

    @classmethod
    def of(cls, module: nn.Module, device: torch.device) -> Layout:
        """The fastest one of a backbone."""
        slow = device.type == "cuda" and not CUDA_DEPTHWISE_CHANNELS_LAST
        return cls(not (slow and any(is_depthwise(part) for part in module.modules())))

    def module(self, module: M) -> M:
        """Bring the weights of convolutions into the order, in place. Returns the module."""
        for part in module.modules():
            for parameter in part.parameters(recurse=False):
                parameter.data = self.tensor(parameter.data)
        return module

    def tensor(self, tensor: Tensor) -> Tensor:
        """A tensor of any rank in the order: itself where it is so already."""
        if not self.channels_last:
            return tensor.contiguous()
        return tensor.contiguous(memory_format=_CHANNELS_LAST.get(tensor.dim(), torch.contiguous_format))

    def __str__(self) -> str:
        return "channels last" if self.channels_last else "channels first"


def lay_out(model: M, device: torch.device) -> M:
    """Each of a model's parts in its fastest order for ``device``, in place. Returns the model."""
    for part in model.children():
        Layout.of(part, device).module(part)
    return model


def is_depthwise(module: nn.Module) -> TypeGuard[nn.Conv3d]:
    """Whether it is a 3-D convolution of each channel for itself that torch computes (``type``: a subclass may not)."""
    return type(module) is nn.Conv3d and module.groups == module.in_channels > 1


class TimedConv3d(nn.Conv3d):
    """A depthwise convolution that torch was timed to compute faster channels last."""
