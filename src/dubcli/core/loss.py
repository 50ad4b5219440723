"""NT-Xent (paper section 3.4, Eq. 1 and 2) that never holds the matrix of similarities.

Similarities are computed in blocks of rows, twice: once for the sums of the softmax, once for the gradient, which is
finished in the forward pass. Memory grows with batch * dim instead of batch^2.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from dubcli.core import distributed

Negatives = Literal["both", "cross"]
MIN_TEMPERATURE = 0.003  # below it, exp(-2 / temperature) is no float64 number
# Elements of a block of similarities: what a processor's cache holds; on an accelerator, what keeps it busy.
_BLOCK_CPU = 2**21
_BLOCK_ACCELERATOR = 2**25


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.1, negatives: Negatives = "both") -> Tensor:
    """Contrastive loss of pairs (a[i], b[i]) in this process alone: the mean over i of (l(a_i, b_i) + l(b_i, a_i)) / 2.

    a, b: (batch, dim), any scale (the similarity is the cosine). Half precision is computed in float32.
    negatives: ``"both"`` takes the 2 * batch - 1 other vectors into the denominator (SimCLR, the literal reading of
    Eq. 1), ``"cross"`` the batch vectors of the other modality. Returns a scalar. Raises ValueError for other shapes,
    another ``negatives`` or a temperature below 0.003.
    """
    return _loss(a, b, temperature, negatives, across_ranks=False)


def nt_xent_distributed(a: Tensor, b: Tensor, temperature: float = 0.1, negatives: Negatives = "both") -> Tensor:
    """``nt_xent`` whose negatives come from all ranks.

    a, b: (batch, dim), the same shape on each rank. Returns the mean over this rank's rows; the mean of that over the
    ranks is the joined batch's loss. This rank's gradient is that of the SUM over all ranks' losses with
    respect to its own a and b, as a gather with gradient gives it. DistributedDataParallel then averages the
    parameters' gradients over the ranks, which makes them those of the joined batch's loss: do not rescale.
    (It assumes that all ranks scale their loss alike before ``backward``.)
    """
    return _loss(a, b, temperature, negatives, across_ranks=distributed.world_size() > 1)


def _loss(a: Tensor, b: Tensor, temperature: float, negatives: str, across_ranks: bool) -> Tensor:
    if a.dim() != 2 or a.shape != b.shape or a.shape[0] == 0:
        raise ValueError(f"a {tuple(a.shape)} and b {tuple(b.shape)} must both be (batch, dim)")
    if negatives not in get_args(Negatives):
        raise ValueError(f"negatives is {negatives!r}, not both or cross")
    if not temperature >= MIN_TEMPERATURE:
        raise ValueError(f"temperature {temperature} is below {MIN_TEMPERATURE}")
    # exp((cosine - 1) / temperature) needs no running maximum as long as its smallest value is a number.
    exact = torch.float64 in (a.dtype, b.dtype) or 2 / temperature > 80
    dtype = torch.float64 if exact else torch.float32
    with torch.autocast(a.device.type, enabled=False):
        unit_a, unit_b = normalize(a.to(dtype), dim=1), normalize(b.to(dtype), dim=1)
        value: Tensor = _NTXent.apply(unit_a, unit_b, temperature, negatives, across_ranks)
    return value


class _NTXent(torch.autograd.Function):
    """Loss of unit vectors.

    With E_ij = exp((z_i . z_j - 1) / t), R_i = sum_j E_ij: loss = mean_i(log R_i - (z_i . z_pos(i) - 1) / t), and the
    gradient of row i, whose vector is a row of its own sum and a column of all others, is
    (sum_j E_ij (1 / R_i + 1 / R_j) z_j - 2 z_pos(i)) / (rows * t).
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, temperature: float, negatives: str, across_ranks: bool) -> Tensor:
        wants_gradient = any(ctx.needs_input_grad[:2])
        with torch.no_grad(), torch.autocast(a.device.type, enabled=False):
            everyone = _gather_pairs(a, b) if across_ranks else (a, b)
            offset = distributed.rank() * len(a) if across_ranks else 0
            sides = _both_sides(a, b, everyone, offset) if negatives == "both" else _cross_sides(a, b, everyone)
            sums = [_row_sums(rows, columns, own, temperature) for rows, columns, own in sides]
            positive = (a * b).sum(dim=1, dtype=torch.float64)
            value = torch.cat(sums).log().mean() - ((positive - 1) / temperature).mean()
            if wants_gradient:
                ctx.gradients = _gradients(a, b, sides, sums, temperature, across_ranks)
        return value.to(a.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradient_a, gradient_b = ctx.gradients
        return gradient_a * upstream, gradient_b * upstream, None, None, None


# One softmax problem: rows (n, dim), columns (m, dim), and each row's own column, which its sum leaves out, or None.
_Side = tuple[Tensor, Tensor, Tensor | None]


def _both_sides(a: Tensor, b: Tensor, everyone: tuple[Tensor, Tensor], offset: int) -> list[_Side]:
    place = torch.arange(len(a), device=a.device) + offset
    return [(torch.cat([a, b]), torch.cat(everyone), torch.cat([place, place + len(everyone[0])]))]


def _cross_sides(a: Tensor, b: Tensor, everyone: tuple[Tensor, Tensor]) -> list[_Side]:
    return [(a, everyone[1], None), (b, everyone[0], None)]


def _gather_pairs(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    pairs = distributed.gather(torch.stack([a, b], dim=1))  # one collective for both
    return pairs[:, 0].contiguous(), pairs[:, 1].contiguous()


def _gradients(
    a: Tensor, b: Tensor, sides: list[_Side], sums: list[Tensor], temperature: float, across_ranks: bool
) -> tuple[Tensor, Tensor]:
    """Gradients of the loss (summed over ranks) with respect to this rank's unit vectors, each (batch, dim)."""
    batch = len(a)
    of_rows = torch.cat(sums).reciprocal()  # a's rows, then b's
    of_all = _gather_pairs(of_rows[:batch], of_rows[batch:]) if across_ranks else (of_rows[:batch], of_rows[batch:])
    of_columns = [torch.cat(of_all)] if len(sides) == 1 else [of_all[1], of_all[0]]
    pulls = [
        _weighted_columns(rows, columns, own, own_sum.reciprocal(), other, temperature)
        for (rows, columns, own), own_sum, other in zip(sides, sums, of_columns, strict=True)
    ]
    pull_a, pull_b = torch.cat(pulls).tensor_split(2)
    scale = 1 / (2 * batch * temperature)
    return (pull_a - 2 * b) * scale, (pull_b - 2 * a) * scale


def _blocks(rows: int, columns: int, device: torch.device) -> list[slice]:
    size = max(1, (_BLOCK_CPU if device.type == "cpu" else _BLOCK_ACCELERATOR) // columns)
    return [slice(first, min(first + size, rows)) for first in range(0, rows, size)]


def _exponentials(rows: Tensor, columns: Tensor, own: Tensor | None, temperature: float) -> Tensor:
    shift = rows.new_full((1,), -1 / temperature)
    block = torch.addmm(shift, rows, columns.T, alpha=1 / temperature).exp_()
    if own is not None:
        block[torch.arange(len(rows), device=rows.device), own] = 0
    return block


def _row_sums(rows: Tensor, columns: Tensor, own: Tensor | None, temperature: float) -> Tensor:
    """sum_j E_ij of each row, (n,) float64."""
    sums = rows.new_empty(len(rows), dtype=torch.float64)
    for part in _blocks(len(rows), len(columns), rows.device):
        block = _exponentials(rows[part], columns, None if own is None else own[part], temperature)
        sums[part] = block.sum(dim=1)
    return sums


def _weighted_columns(
    rows: Tensor, columns: Tensor, own: Tensor | None, of_rows: Tensor, of_columns: Tensor, temperature: float
) -> Tensor:
    """sum_j E_ij (of_rows_i + of_columns_j) columns_j of each row, (n, dim)."""
    result = torch.empty_like(rows)
    of_rows, of_columns = of_rows.to(rows.dtype), of_columns.to(rows.dtype)
    for part in _blocks(len(rows), len(columns), rows.device):
        block = _exponentials(rows[part], columns, None if own is None else own[part], temperature)
        block *= of_rows[part, None] + of_columns
        torch.mm(block, columns, out=result[part])
    return result
