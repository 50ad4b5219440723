"""A bank of heads of one shape: parameters with a leading dimension of heads, forward and backward as batched products.

Backward is written out: autograd would keep more arrays alive and could not leave out heads that have stopped.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from dubcli.probe.heads.settings import Point

BN_EPS = 1e-5
BN_MOMENTUM = 0.1


@dataclass(frozen=True, kw_only=True)
class Head:
    """One head: its settings, the split whose rows it sees, and the key of its own random numbers."""

    point: Point
    split: int
    key: tuple[int, ...]


@dataclass
class _Hidden:
    """What backward needs of one hidden layer."""

    linear: Tensor  # (heads, batch, hidden), as it came out of the product
    active: Tensor  # (heads, batch, hidden), after BatchNorm, dropout and ReLU
    gamma: Tensor  # (heads, hidden), with dropout's factor in it
    moments: list[tuple[Tensor, Tensor]]  # per head: mean and 1 / standard deviation, (hidden,)


@dataclass
class Layer:
    """``weight`` (heads, out, in), ``bias`` (heads, out); of a hidden layer also BatchNorm's parameters and state."""

    weight: Tensor
    bias: Tensor
    norm: list[Tensor] = field(default_factory=list)  # gamma, beta
    state: list[Tensor] = field(default_factory=list)  # running mean and variance


Blocks = Sequence[tuple[int, int, Tensor]]
"""(first head, one past the last, rows): heads of one split stand together and see the same rows."""


class HeadBank:
    """Heads of equal depth. All tensors begin with the dimension of heads, so that heads can be taken out."""

    def __init__(self, heads: Sequence[Head], dim: int, outputs: int, *, dtype: torch.dtype, device: str) -> None:
        self.heads = list(heads)
        self.layers_hidden = heads[0].point.layers
        self._device = device
        self._random = [_Mask(head.key, device) for head in heads]
        sizes = [dim, *[heads[0].point.hidden] * self.layers_hidden, outputs]
        made = [_initial(head, sizes, dtype) for head in heads]
        self.layers = []
        for depth in range(len(sizes) - 1):
            weight, bias = (torch.stack([one[depth][part] for one in made]).to(device) for part in (0, 1))
            layer = Layer(weight, bias)
            if depth < self.layers_hidden:
                shape = bias.shape
                layer.norm = [torch.ones(shape, dtype=dtype, device=device), torch.zeros_like(bias)]
                layer.state = [torch.zeros_like(bias), torch.ones(shape, dtype=dtype, device=device)]
            self.layers.append(layer)

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors, output layer first: the order in which ``backward`` gives their gradients."""
        return [part for layer in reversed(self.layers) for part in (layer.weight, layer.bias, *layer.norm)]

    def keep(self, which: Tensor) -> None:
        """Go on with some of the heads; the others cost nothing from here on."""
        self.heads = [self.heads[i] for i in which.tolist()]
        self._random = [self._random[i] for i in which.tolist()]
        for layer in self.layers:
            layer.weight, layer.bias = layer.weight[which], layer.bias[which]
            layer.norm, layer.state = [part[which] for part in layer.norm], [part[which] for part in layer.state]

    def copy_of(self, index: int) -> list[Tensor]:
        """Parameters and state of one head, to be given back by ``restore``."""
        return [part[index].clone() for layer in self.layers for part in _parts(layer)]

    def like(self, head: Head, saved: Sequence[Tensor]) -> HeadBank:
        """A bank of one head with a copy's parameters and state."""
        bank = object.__new__(HeadBank)
        bank.heads, bank.layers_hidden, bank._device, bank._random = [head], self.layers_hidden, self._device, []
        parts = [part[None] for part in saved]
        bank.layers = []
        for layer in self.layers:
            norm, state = len(layer.norm), len(layer.state)
            bank.layers.append(Layer(parts[0], parts[1], parts[2 : 2 + norm], parts[2 + norm : 2 + norm + state]))
            del parts[: 2 + norm + state]
        return bank

    def predict(self, blocks: Blocks, first: int = 0, stop: int | None = None) -> Tensor:
        """Logits (heads, rows, outputs) of some heads with BatchNorm's running statistics and no dropout."""
        hidden: Tensor | None = None
        for whole in self.layers:
            layer = _part_of(whole, slice(first, stop))
            hidden = _linear(layer, blocks, hidden)
            if layer.norm:
                (gamma, beta), (mean, variance) = layer.norm, layer.state
                scale = gamma / (variance + BN_EPS).sqrt()
                hidden = torch.relu_(hidden * scale[:, None] + (beta - mean * scale)[:, None])
        assert hidden is not None
        return hidden

    def forward(self, blocks: Blocks) -> tuple[Tensor, list[_Hidden]]:
        """Logits (heads, batch, outputs) in training mode, and what ``backward`` needs."""
        hidden: Tensor | None = None
        hiddens = []
        for layer in self.layers:
            hidden = _linear(layer, blocks, hidden)
            if layer.norm:
                stored = self._normalise(layer, hidden)
                hidden = stored.active
                hiddens.append(stored)
        assert hidden is not None
        return hidden, hiddens

    def backward(self, blocks: Blocks, hiddens: Sequence[_Hidden], gradient: Tensor) -> list[Tensor]:
        """Gradients of all ``parameters`` from that of the logits (heads, batch, outputs)."""
        found = []
        for depth in range(self.layers_hidden, -1, -1):
            layer = self.layers[depth]
            norm_gradients: list[Tensor] = []
            if layer.norm:
                gradient, norm_gradients = _norm_backward(hiddens[depth], gradient, self._gain)
            if depth > 0:
                weight = _products(gradient.transpose(1, 2), hiddens[depth - 1].active)
            else:
                weight = _first_gradient(gradient, blocks)
            found += [weight, gradient.sum(dim=1), *norm_gradients]
            if depth > 0:
                gradient = _products(gradient, layer.weight)
        return found

    @property
    def _gain(self) -> float:
        """What the units that dropout leaves are multiplied by."""
        return 1 / (1 - self.heads[0].point.dropout)

    def _normalise(self, layer: Layer, linear: Tensor) -> _Hidden:
        """BatchNorm over the batch, dropout, ReLU, in the kit's order; head by head, so that all stays in hiddens."""
        gamma, beta = (part * self._gain for part in layer.norm)
        active, moments = torch.empty_like(linear), []
        dropout = self.heads[0].point.dropout
        for head in range(len(linear)):
            mean, variance = (state[head] for state in layer.state)
            out, *saved = torch.native_batch_norm(
                linear[head], gamma[head], beta[head], mean, variance, True, BN_MOMENTUM, BN_EPS
            )
            if dropout:
                out.mul_(self._random[head].draw(out, dropout))
            torch.clamp(out, min=0, out=active[head])
            moments.append((saved[0], saved[1]))
        return _Hidden(linear, active, gamma, moments)


class _Mask:
    """Dropout's masks of one head, from its own generator: the same alone and in company, on one kind of device."""

    def __init__(self, key: Sequence[int], device: str) -> None:
        self._numpy = np.random.Generator(np.random.SFC64([*key, 1]))
        self._torch: torch.Generator | None = None
        if torch.device(device).type != "cpu":
            self._torch = torch.Generator(device).manual_seed(int(self._numpy.integers(2**63)))

    def draw(self, like: Tensor, dropout: float) -> Tensor:
        """0 where a unit is dropped and 1 elsewhere, shaped and typed as ``like``."""
        kept = torch.empty_like(like)
        if self._torch is not None:
            return kept.bernoulli_(1 - dropout, generator=self._torch)
        # 16 bits of randomness a unit: within 1e-5 of the rate, and a quarter of the time of torch's generator
        bits = self._numpy.integers(0, 2**64, -(-like.numel() // 4), dtype=np.uint64).view(np.int16)
        drawn = torch.from_numpy(bits[: like.numel()]).view(like.shape)
        return torch.ge(drawn, round(dropout * 2**16) - 2**15, out=kept)


def _part_of(layer: Layer, heads: slice) -> Layer:
    """Views of some heads."""
    norm, state = ([part[heads] for part in parts] for parts in (layer.norm, layer.state))
    return Layer(layer.weight[heads], layer.bias[heads], norm, state)


def _parts(layer: Layer) -> list[Tensor]:
    return [layer.weight, layer.bias, *layer.norm, *layer.state]


# Narrow layers of many heads are one wide product; wide ones are as fast one by one, and need no transposing.
_NARROW = 256


def _products(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Tensor:
    """(heads, n, k) by (heads, k, m), with ``bias`` (heads, m).

    On CPUs one by one: of a batch, MKL gives each thread whole products, and the last threads wait.
    """
    if left.device.type != "cpu" or right.shape[2] < _NARROW:
        return torch.bmm(left, right) if bias is None else torch.baddbmm(bias[:, None], left, right)
    out = left.new_empty(len(left), left.shape[1], right.shape[2])
    for head in range(len(left)):
        if bias is None:
            torch.mm(left[head], right[head], out=out[head])
        else:
            torch.addmm(bias[head], left[head], right[head], out=out[head])
    return out


def _linear(layer: Layer, blocks: Blocks, hidden: Tensor | None) -> Tensor:
    """(heads, batch, out). In the first layer heads of one split share their rows."""
    if hidden is not None:
        return _products(hidden, layer.weight.transpose(1, 2), layer.bias)
    heads, width, dim = layer.weight.shape
    out = layer.weight.new_empty(heads, len(blocks[0][2]), width)
    for first, stop, rows in blocks:
        if width < _NARROW:
            weight, bias = layer.weight[first:stop].reshape(-1, dim), layer.bias[first:stop].reshape(-1)
            wide = torch.addmm(bias, rows, weight.T)
            out[first:stop] = wide.view(len(rows), stop - first, width).transpose(0, 1)
        else:
            for head in range(first, stop):
                torch.addmm(layer.bias[head], rows, layer.weight[head].T, out=out[head])
    return out


def _first_gradient(gradient: Tensor, blocks: Blocks) -> Tensor:
    """Of the first layer's weights, (heads, out, dim)."""
    heads, batch, width = gradient.shape
    out = gradient.new_empty(heads, width, blocks[0][2].shape[1])
    for first, stop, rows in blocks:
        if width < _NARROW:
            wide = gradient[first:stop].transpose(0, 1).reshape(batch, -1)
            torch.mm(wide.T, rows, out=out[first:stop].view(-1, rows.shape[1]))
        else:
            for head in range(first, stop):
                torch.mm(gradient[head].T, rows, out=out[head])
    return out


def _norm_backward(stored: _Hidden, gradient: Tensor, gain: float) -> tuple[Tensor, list[Tensor]]:
    """Through ReLU, dropout and BatchNorm: the gradient before them, and those of gamma and beta."""
    gammas, betas = [], []
    for head, (mean, deviation) in enumerate(stored.moments):
        # where a unit was dropped its activity is 0, so ReLU's mask is dropout's too
        passed = torch.ops.aten.threshold_backward(gradient[head], stored.active[head], 0)
        before, gamma, beta = torch.ops.aten.native_batch_norm_backward(
            passed, stored.linear[head], stored.gamma[head], None, None, mean, deviation, True, BN_EPS, [True] * 3
        )
        gradient[head] = before
        gammas.append(gamma * gain)
        betas.append(beta * gain)
    return gradient, [torch.stack(gammas), torch.stack(betas)]


def _initial(head: Head, sizes: Sequence[int], dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """(weight, bias) per layer, drawn in float64 from the head's own generator."""
    seed = np.random.SeedSequence([*head.key, 0]).generate_state(1, np.uint64)[0]
    random = torch.Generator().manual_seed(int(seed >> np.uint64(1)))
    made = []
    for depth, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        gain = 1.0 if depth == 0 else math.sqrt(2.0)
        limit = 1 / math.sqrt(inputs)
        if head.point.init == "xavier_normal":
            weight = torch.randn(outputs, inputs, generator=random, dtype=torch.float64)
            weight *= gain * math.sqrt(2 / (inputs + outputs))
        else:
            wide = limit if head.point.init == "default" else gain * math.sqrt(6 / (inputs + outputs))
            weight = (torch.rand(outputs, inputs, generator=random, dtype=torch.float64) * 2 - 1) * wide
        bias = (torch.rand(outputs, generator=random, dtype=torch.float64) * 2 - 1) * limit
        made.append((weight.to(dtype), bias.to(dtype)))
    return made
