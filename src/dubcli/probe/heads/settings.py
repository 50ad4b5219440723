"""What is trained: grid points, and the recipes of the four protocols that train with gradients."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Point:
    """One head's settings. ``layers``: hidden ones, each Linear, BatchNorm, dropout, ReLU. ``init``: of the weights.

    ``init``: "xavier_uniform" or "xavier_normal" (gain 1 for the first layer, sqrt 2 after a ReLU), or "default"
    (torch.nn.Linear's own). Biases always have Linear's own.
    """

    layers: int
    lr: float
    init: str
    hidden: int = 1024
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class EpochRecipe:
    """Adam until the validation score has not risen ``patience`` times; the best state is kept. The same fixed order
    of rows in every epoch (hear-eval-kit never shuffles). ``max_steps``: the last epoch is the first past them."""

    points: tuple[Point, ...]
    batch_size: int = 1024
    max_epochs: int = 500
    validate_every: int = 3
    patience: int = 20
    max_steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class StepRecipe:
    """A fixed number of steps, rows shuffled anew in every epoch, cosine to 0 after a linear warm-up; nothing is
    chosen. ``epochs`` or ``steps``: the other is None. ``max_steps``: fewer steps, and warm-up in proportion."""

    optimizer: str
    lr: float
    batch_size: int
    steps: int | None = None
    epochs: int | None = None
    warmup_steps: int = 0
    max_steps: int | None = None


# hear-eval-kit draws 8 of its 16 grid points with a fixed seed; these are the ones, in its order.
HEAR = EpochRecipe(
    points=tuple(
        Point(layers=layers, lr=lr, init=init)
        for layers, lr, init in (
            (1, 1e-4, "xavier_normal"),
            (2, 1e-3, "xavier_uniform"),
            (1, 1e-3, "xavier_normal"),
            (1, 3.2e-4, "xavier_normal"),
            (2, 3.2e-4, "xavier_normal"),
            (2, 3.2e-4, "xavier_uniform"),
            (2, 3.2e-3, "xavier_normal"),
            (2, 3.2e-3, "xavier_uniform"),
        )
    )
)
LINEAR = EpochRecipe(
    points=tuple(
        Point(layers=0, lr=lr, init=init)
        for lr in (3.2e-3, 1e-3, 3.2e-4, 1e-4)
        for init in ("xavier_uniform", "xavier_normal")
    )
)
# Section 3.5: "400K training steps [...] 5K linear warmup steps and a cosine decay for the rest (max. learning rate of
# 2e-4, with the Adam optimizer) [...] a total batch size of 64".
HARES = StepRecipe(optimizer="adam", lr=2e-4, batch_size=64, steps=400_000, warmup_steps=5_000)
# Section 3.5: "200 epochs using Stochastic Gradient Descent and a learning rate of 0.2 following a cosine schedule
# [...] a total batch size of 1024"; no momentum or weight decay is named.
SGD = StepRecipe(optimizer="sgd", lr=0.2, batch_size=1024, epochs=200)

RECIPES: dict[str, EpochRecipe | StepRecipe] = {"hear": HEAR, "linear": LINEAR, "hares": HARES, "sgd": SGD}
