"""Adam and SGD over tensors with a leading dimension of heads, each head at its own learning rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS = (0.9, 0.999)
EPS = 1e-8


class Adam:
    """torch's own fused Adam (Kingma and Ba 2015), one pass over memory for each head. ``lr``: (heads,)."""

    def __init__(self, parameters: Sequence[Tensor], lr: Tensor) -> None:
        self._rates = lr.tolist()
        self._steps = [[torch.zeros((), device=part.device) for part in parameters] for _ in self._rates]
        self._means = [torch.zeros_like(part) for part in parameters]
        self._squares = [torch.zeros_like(part) for part in parameters]

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], scale: float = 1.0) -> None:
        """Update in place; ``scale`` multiplies the learning rate."""
        for head, rate in enumerate(self._rates):
            adam(
                [part[head] for part in parameters],
                [part[head] for part in gradients],
                [part[head] for part in self._means],
                [part[head] for part in self._squares],
                max_exp_avg_sqs=[],
                state_steps=self._steps[head],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate * scale,
                weight_decay=0.0,
                eps=EPS,
                maximize=False,
            )

    def keep(self, which: Tensor) -> None:
        """Go on with some of the heads."""
        self._means = [part[which] for part in self._means]
        self._squares = [part[which] for part in self._squares]
        self._rates = [self._rates[head] for head in which.tolist()]
        self._steps = [self._steps[head] for head in which.tolist()]


class SGD:
    """Plain stochastic gradient descent, no momentum. ``lr``: (heads,), all the same."""

    def __init__(self, parameters: Sequence[Tensor], lr: Tensor) -> None:
        self._lr = float(lr[0])

    def step(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor], scale: float = 1.0) -> None:
        """Update in place; ``scale`` multiplies the learning rate."""
        for part, gradient in zip(parameters, gradients, strict=True):
            part.add_(gradient, alpha=-self._lr * scale)
