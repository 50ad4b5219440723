"""Depthwise 3-D convolutions of channels-last tensors in Triton: forward, and the gradients of input and weights.

X3D's 27 depthwise layers do 3 % of its arithmetic and, moved through memory once, take next to no time; the kernels of
cuDNN for them are many times slower than that, and torch's own want channels first, which the layers between do not.
These read a pixel's channels side by side, add up in float32 whatever the type, and add in one order: the gradient of
the weights is summed in two stages, without atomics, so that it has the same bits each time.

Triton comes with torch's wheels for CUDA; this module is imported only where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from dubcli.core.layout import is_depthwise

TILE = 8
"""Pixels of a side of the square of outputs that a program computes."""
CHANNELS = 32
"""Channels that a program computes."""
RUN = 4
"""Pixels of a row that the weights' gradient takes at once."""
WEIGHT_PROGRAMS = 1024
"""About so many programs share the sums of the weights' gradient. The same on every card, for the bits' sake."""


@triton.jit  # type: ignore[untyped-decorator]
def _convolve(  # type: ignore[no-untyped-def]
    x, weight, y, depth, height, width, channels: tl.constexpr, out_depth, out_height, out_width,
    STRIDE_D: tl.constexpr, STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PAD_D: tl.constexpr, PAD_H: tl.constexpr, PAD_W: tl.constexpr,
    KERNEL_D: tl.constexpr, KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr,
    TRANSPOSED: tl.constexpr, TILE: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """One plane's square of TILE x TILE outputs and CHANNELS channels: each output sums its taps' products.

    x: (batch, depth, height, width, channels); y: likewise, of the output's size; weight: (taps, channels). TRANSPOSED:
    x is the gradient of the output and y that of the input.
    """
    plane = tl.program_id(0).to(tl.int64)  # batch * out_depth
    across = tl.cdiv(out_width, TILE)
    pixel = tl.arange(0, TILE * TILE)
    h = (tl.program_id(1) // across) * TILE + pixel // TILE
    w = (tl.program_id(1) % across) * TILE + pixel % TILE
    d = (plane % out_depth).to(tl.int32)
    first = plane // out_depth * depth
    c = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    there = c < channels
    total = tl.zeros((TILE * TILE, CHANNELS), dtype=tl.float32)
    for line in range(KERNEL_D * KERNEL_H):  # unrolled, it takes more registers than there are
        kd, kh = line // KERNEL_H, line % KERNEL_H
        for kw in tl.static_range(KERNEL_W):
            if TRANSPOSED:
                at_d, at_h, at_w = d + PAD_D - kd, h + PAD_H - kh, w + PAD_W - kw
                plane_there = (at_d >= 0) & (at_d % STRIDE_D == 0) & (at_d // STRIDE_D < depth)
                inside = (at_h >= 0) & (at_h % STRIDE_H == 0) & (at_h // STRIDE_H < height)
                inside &= (at_w >= 0) & (at_w % STRIDE_W == 0) & (at_w // STRIDE_W < width)
                at_d, at_h, at_w = at_d // STRIDE_D, at_h // STRIDE_H, at_w // STRIDE_W
            else:
                at_d, at_h, at_w = d * STRIDE_D + kd - PAD_D, h * STRIDE_H + kh - PAD_H, w * STRIDE_W + kw - PAD_W
                plane_there = (at_d >= 0) & (at_d < depth)
                inside = (at_h >= 0) & (at_h < height) & (at_w >= 0) & (at_w < width)
            place = ((first + at_d) * height + at_h) * width + at_w
            mask = (inside & plane_there)[:, None] & there[None, :]
            value = tl.load(x + place[:, None] * channels + c[None, :], mask=mask, other=0.0)
            factor = tl.load(weight + (line * KERNEL_W + kw) * channels + c, mask=there, other=0.0)
            total += value.to(tl.float32) * factor.to(tl.float32)[None, :]
    place = (plane * out_height + h) * out_width + w
    mask = ((h < out_height) & (w < out_width))[:, None] & there[None, :]
    tl.store(y + place[:, None] * channels + c[None, :], total.to(y.dtype.element_ty), mask=mask)


@triton.jit  # type: ignore[untyped-decorator]
def _sum_products(  # type: ignore[no-untyped-def]
    x, gradient, sums, depth, height, width, channels: tl.constexpr, out_depth, out_height, out_width, rows, rows_each,
    STRIDE_D: tl.constexpr, STRIDE_H: tl.constexpr, STRIDE_W: tl.constexpr,
    PAD_D: tl.constexpr, PAD_H: tl.constexpr, PAD_W: tl.constexpr,
    KERNEL_H: tl.constexpr, KERNEL_W: tl.constexpr, TAPS: tl.constexpr, TAPS_POWER: tl.constexpr,
    RUN: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """First stage of the weights' gradient: for each tap and channel the products of ``rows_each`` rows of outputs.

    sums: float32 (programs, TAPS, channels). Products are added for each of RUN pixels apart, these together last.
    """
    tap = tl.arange(0, TAPS_POWER)[:, None, None]
    pixel = tl.arange(0, RUN)[None, :, None]
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, None, :]
    kd, kh, kw = tap // (KERNEL_H * KERNEL_W), tap // KERNEL_W % KERNEL_H, tap % KERNEL_W
    total = tl.zeros((TAPS_POWER, RUN, CHANNELS), dtype=tl.float32)
    begin = tl.program_id(0) * rows_each
    for row in range(begin, tl.minimum(begin + rows_each, rows)):
        h, d, item = row % out_height, row // out_height % out_depth, row // (out_height * out_depth)
        at_d, at_h = d * STRIDE_D + kd - PAD_D, h * STRIDE_H + kh - PAD_H
        row_there = (tap < TAPS) & (at_d >= 0) & (at_d < depth) & (at_h >= 0) & (at_h < height)
        line = ((tl.cast(item, tl.int64) * depth + at_d) * height + at_h) * width
        for start in range(0, out_width, RUN):
            w = start + pixel
            at_w = w * STRIDE_W + kw - PAD_W
            given = (w < out_width) & (c < channels)
            place = (tl.cast(row, tl.int64) * out_width + w) * channels + c
            up = tl.load(gradient + place, mask=given, other=0.0).to(tl.float32)
            inside = row_there & (at_w >= 0) & (at_w < width)
            value = tl.load(x + (line + at_w) * channels + c, mask=inside & given, other=0.0).to(tl.float32)
            total += value * up
    summed = tl.sum(total, axis=1)
    tap = tl.arange(0, TAPS_POWER)[:, None]
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    place = (tl.program_id(0) * TAPS + tap).to(tl.int64) * channels + c
    tl.store(sums + place, summed, mask=(tap < TAPS) & (c < channels))


def _last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last_3d)


def _empty(like: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.empty(tuple(shape), dtype=like.dtype, device=like.device, memory_format=torch.channels_last_3d)


def _launch(x: Tensor, weight: Tensor, shape: Sequence[int], stride: Any, padding: Any, transposed: bool) -> Tensor:
    batch, channels, *out = shape
    y = _empty(x, shape)
    taps = weight.reshape(channels, -1).t().contiguous()
    grid = (batch * out[0], triton.cdiv(out[1], TILE) * triton.cdiv(out[2], TILE), triton.cdiv(channels, CHANNELS))
    if y.numel():
        _convolve[grid](
            _last(x), taps, y, *x.shape[2:], channels, *out, *stride, *padding, *weight.shape[2:],
            TRANSPOSED=transposed, TILE=TILE, CHANNELS=CHANNELS,
        )  # fmt: skip
    return y


def _output_shape(x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> list[int]:
    sides = [
        (side + 2 * pad - kernel) // step + 1
        for side, kernel, step, pad in zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)
    ]
    return [x.shape[0], x.shape[1], *sides]


@torch.library.custom_op("dubav::depthwise_conv3d", mutates_args=())
def depthwise_conv3d(x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    """Each channel convolved with its own kernel, zeros around: as ``conv3d`` with as many groups as channels.

    x: (batch, channels, depth, height, width); weight: (channels, 1, depth, height, width) of x's type. Returns a
    channels-last tensor of x's type.
    """
    return _launch(x, weight, _output_shape(x, weight, stride, padding), stride, padding, False)


@torch.library.custom_op("dubav::depthwise_conv3d_input", mutates_args=())
def _input_gradient(
    gradient: Tensor, weight: Tensor, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    return _launch(gradient, weight, shape, stride, padding, True)


@torch.library.custom_op("dubav::depthwise_conv3d_weight", mutates_args=())
def _weight_gradient(
    x: Tensor, gradient: Tensor, shape: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    channels, _, *kernel = shape
    batch, _, *out = gradient.shape
    taps, rows, parts = kernel[0] * kernel[1] * kernel[2], batch * out[0] * out[1], triton.cdiv(channels, CHANNELS)
    rows_each = triton.cdiv(rows, max(1, WEIGHT_PROGRAMS // parts))
    programs = triton.cdiv(rows, rows_each)
    sums = torch.empty(programs, taps, channels, dtype=torch.float32, device=x.device)
    _sum_products[(programs, parts)](
        _last(x), _last(gradient), sums, *x.shape[2:], channels, *out, rows, rows_each, *stride, *padding, *kernel[1:],
        TAPS=taps, TAPS_POWER=triton.next_power_of_2(taps), RUN=RUN, CHANNELS=CHANNELS,
    )  # fmt: skip
    return sums.sum(dim=0).t().reshape(tuple(shape)).to(x.dtype).contiguous()


@depthwise_conv3d.register_fake
def _(x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    return _empty(x, _output_shape(x, weight, stride, padding))


@_input_gradient.register_fake
def _(gradient: Tensor, weight: Tensor, shape: Sequence[int], stride: Any, padding: Any) -> Tensor:
    return _empty(gradient, shape)


@_weight_gradient.register_fake
def _(x: Tensor, gradient: Tensor, shape: Sequence[int], stride: Any, padding: Any) -> Tensor:
    return x.new_empty(tuple(shape))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, ctx.stride, ctx.padding = inputs
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    x, weight = ctx.saved_tensors
    of_x = of_weight = None
    if ctx.needs_input_grad[0]:
        of_x = _input_gradient(gradient, weight, list(x.shape), ctx.stride, ctx.padding)
    if ctx.needs_input_grad[1]:
        of_weight = _weight_gradient(x, gradient, list(weight.shape), ctx.stride, ctx.padding)
    return of_x, of_weight, None, None


depthwise_conv3d.register_autograd(_backward, setup_context=_keep)


class DepthwiseConv3d(nn.Conv3d):
    """A depthwise ``nn.Conv3d`` computed by these kernels on CUDA, in autocast's type; elsewhere by torch."""

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channels, depth, height, width) -> likewise, channels last on CUDA."""
        if input.device.type != "cuda":
            return super().forward(input)
        dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else input.dtype
        y: Tensor = depthwise_conv3d(input.to(dtype), self.weight.to(dtype), list(self.stride), list(self.padding))
        return y


def use_kernels(module: nn.Module) -> int:
    """Have a backbone's depthwise layers computed here, in place; names in its state stay. Returns how many there are.

    Left to torch: layers with a bias, dilation, another padding than zeros, or several outputs of a channel.
    """
    count = 0
    for part in module.modules():
        if is_depthwise(part) and _fits(part):
            part.__class__ = DepthwiseConv3d
            count += 1
    return count


def _fits(part: nn.Conv3d) -> bool:
    plain = part.bias is None and part.padding_mode == "zeros" and not isinstance(part.padding, str)
    return plain and part.out_channels == part.in_channels and set(part.dilation) == {1}
