"""Transposed convolutions as a matrix product and shifted sums.

torch's own take more than half of a Demucs model's time on a CPU, where they scatter their product a number at a time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class ShiftedSums(nn.Module):
    """The same as a ConvTranspose1d, or as a ConvTranspose2d along its first axis, whose kernel is some strides long.

    (batch, channels, length[, width]) -> (batch, channels, (length - 1) * stride + kernel[, width]). With a kernel of m
    strides the output is m products, each laid one stride further on, added up.
    """

    def __init__(self, convolution: nn.ConvTranspose1d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.weight, self.bias, self.stride = convolution.weight, convolution.bias, convolution.stride[0]

    def forward(self, inputs: Tensor) -> Tensor:
        """As the convolution's, equal to it but for rounding."""
        batch, channels, length, *width = inputs.shape
        out_channels = self.weight.shape[1]
        kernel = self.weight.reshape(channels, out_channels, -1)
        strides = kernel.shape[2] // self.stride
        rows = kernel.permute(2, 1, 0).reshape(-1, channels)
        products = torch.matmul(rows, inputs.reshape(batch, channels, -1))
        products = products.view(batch, strides, self.stride, out_channels, length, -1)
        out = products.new_zeros(batch, out_channels, length + strides - 1, self.stride, products.shape[-1])
        by_product = out.permute(0, 3, 1, 2, 4)  # (batch, stride, channels, length, width)
        for number in range(strides):
            by_product[..., number : number + length, :].add_(products[:, number])
        if self.bias is not None:
            out += self.bias.view(-1, 1, 1, 1)
        return out.view(batch, out_channels, -1, *width)


def replace_transposed(model: nn.Module) -> None:
    """Put ShiftedSums in the place of every transposed convolution of ``model`` that it can stand for."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (nn.ConvTranspose1d, nn.ConvTranspose2d)) and _can_stand_for(child):
                setattr(parent, name, ShiftedSums(child))


def _can_stand_for(convolution: Any) -> bool:
    first, *rest = convolution.kernel_size
    plain = {"padding": 0, "output_padding": 0, "dilation": 1}
    return (
        first % convolution.stride[0] == 0
        and all(size == 1 for size in (*rest, *convolution.stride[1:]))
        and convolution.groups == 1
        and all(value == plain[name] for name in plain for value in getattr(convolution, name))
    )
