"""Adam and SGD over tensors with a leading dimension of heads, each head at its own learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPS = 1e-8


class Adam:
    """Kingma and Ba 2015 as torch.optim.Adam computes it. ``lr``: (heads,)."""

    def __init__(self, parameters: Sequence[Tensor], lr: Tensor) -> None:
        self._lr = lr
        self._steps = 0
        self._means = [torch.zeros_like(part) for part in parameters]
        self._squares = [torch.zeros_like(part) for part in parameters]
        self._rates = self._shaped(parameters)

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], scale: float = 1.0) -> None:
        """Update in place; ``scale`` multiplies the learning rate. ``gradients`` are overwritten."""
        self._steps += 1
        first, second = 1 - BETAS[0] ** self._steps, 1 - BETAS[1] ** self._steps
        together = (self._means, self._squares, parameters, gradients, self._rates)
        for mean, square, part, gradient, rate in zip(*together, strict=True):
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            torch.sqrt(square, out=gradient).mul_(second**-0.5).add_(EPS)
            torch.div(mean, gradient, out=gradient)
            if isinstance(rate, float):
                part.add_(gradient, alpha=-rate * scale / first)
            else:
                part.addcmul_(gradient, rate, value=-scale / first)

    def keep(self, which: Tensor) -> None:
        """Go on with some of the heads."""
        self._means = [part[which] for part in self._means]
        self._squares = [part[which] for part in self._squares]
        self._lr = self._lr[which]
        self._rates = self._shaped(self._means)

    def _shaped(self, parameters: Sequence[Tensor]) -> list[Tensor | float]:
        """A rate for each tensor: a plain number where all heads have the same, which is one operation less."""
        if bool((self._lr == self._lr[0]).all()):
            return [float(self._lr[0])] * len(parameters)
        return [self._lr.to(part).view(-1, *[1] * (part.dim() - 1)) for part in parameters]


class SGD:
    """Plain stochastic gradient descent, no momentum. ``lr``: (heads,), all the same."""

    def __init__(self, parameters: Sequence[Tensor], lr: Tensor) -> None:
        self._lr = float(lr[0])

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], scale: float = 1.0) -> None:
        """Update in place; ``scale`` multiplies the learning rate."""
        for part, gradient in zip(parameters, gradients, strict=True):
            part.add_(gradient, alpha=-self._lr * scale)
