"""NT-Xent (paper section 3.4, Eq. 1 and 2): plain where the matrix of similarities is small, else without holding it.

Plain is a product, a softmax and autograd. Above ``_PLAIN_ELEMENTS`` similarities are computed in blocks of rows,
twice: once for the sums of the softmax, once for the gradient, which is finished in the forward pass. Memory grows with
batch * dim instead of batch^2, and large batches take half the time (RESULTS.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, normalize

from dubcli.core import distributed
from dubcli.core.precision import full_precision
from dubcli.core.presets import MIN_TEMPERATURE, NEGATIVES, Negatives

# Similarities of a pair of heads up to which the plain form is the faster: two heads of 128 clips.
_PLAIN_ELEMENTS = 2**16
# Elements of a block of similarities: what a processor's cache holds; on an accelerator, what keeps it busy.
_BLOCK_CPU = 2**21
_BLOCK_ACCELERATOR = 2**25


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.1, negatives: Negatives = "both") -> Tensor:
    """Contrastive loss of pairs (a[i], b[i]) in this process alone: the mean over i of (l(a_i, b_i) + l(b_i, a_i)) / 2.

    Args:
        a: (batch, dim), any scale (the similarity is the cosine). Half precision is computed in float32.
        b: the same shape.
        temperature: of the softmax, 0.003 or more.
        negatives: ``"both"`` takes the 2 * batch - 1 other vectors into the denominator (SimCLR, the literal reading of
            Eq. 1), ``"cross"`` the batch vectors of the other modality.

    Returns:
        A scalar.

    Raises:
        ValueError: other shapes, another ``negatives``, a lower temperature.

    >>> same = torch.eye(4)
    >>> f"{nt_xent(same, same):.4f}"  # log(1 + 6 * exp(-1 / 0.1)): the pair is alike, the other six are at right angles
    '0.0003'
    """
    return _losses([a, b], [(0, 1)], temperature, negatives, across_ranks=False)[0]


def nt_xent_distributed(a: Tensor, b: Tensor, temperature: float = 0.1, negatives: Negatives = "both") -> Tensor:
    """``nt_xent`` whose negatives come from all ranks.

    This rank's gradient is that of the SUM over all ranks' losses with respect to its own a and b, as a gather with
    gradient gives it. DistributedDataParallel then averages the parameters' gradients over the ranks, which makes them
    those of the joined batch's loss: do not rescale. (It assumes that all ranks scale their loss alike before
    ``backward``.)

    Args:
        a: (batch, dim), the same shape on each rank.
        b: the same shape.
        temperature, negatives: as of ``nt_xent``.

    Returns:
        The mean over this rank's rows; the mean of that over the ranks is the joined batch's loss.

    Raises:
        ValueError: as ``nt_xent``.

    >>> nt_xent_distributed(torch.eye(4), torch.eye(4)) == nt_xent(torch.eye(4), torch.eye(4))  # of one rank
    tensor(True)
    """
    return _losses([a, b], [(0, 1)], temperature, negatives, across_ranks=True)[0]


def contrastive_losses(
    projections: Mapping[str, Tensor],
    terms: Sequence[tuple[str, str]],
    temperature: float = 0.1,
    negatives: Negatives = "both",
    local_negatives: bool = False,
) -> dict[str, Tensor]:
    """The terms of Eq. 2 by name (``"video-primary"``, ...); the training loss is their sum.

    Args:
        projections: (batch, dim) by head, as ``DubModel`` gives them.
        terms: pairs of heads, as ``Variant.terms``.
        temperature, negatives: as of ``nt_xent``.
        local_negatives: negatives come from this rank alone; else from all, gathered once for all terms. Values and
            gradients are those of ``nt_xent_distributed``.

    Returns:
        A scalar per term.

    Raises:
        ValueError: as ``nt_xent``.

    >>> heads = {name: torch.randn(4, 8) for name in ("video", "primary", "secondary")}
    >>> list(contrastive_losses(heads, [("video", "primary"), ("video", "secondary")]))
    ['video-primary', 'video-secondary']
    """
    heads = list(projections)
    pairs = [(heads.index(first), heads.index(second)) for first, second in terms]
    values = _losses(list(projections.values()), pairs, temperature, negatives, across_ranks=not local_negatives)
    return {f"{first}-{second}": value for (first, second), value in zip(terms, values, strict=True)}


def _losses(
    heads: list[Tensor], pairs: list[tuple[int, int]], temperature: float, negatives: str, across_ranks: bool
) -> tuple[Tensor, ...]:
    if any(head.dim() != 2 or head.shape != heads[0].shape or len(head) == 0 for head in heads):
        raise ValueError(f"all must have one shape (batch, dim), not {[tuple(head.shape) for head in heads]}")
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives is {negatives!r}, not both or cross")
    if not temperature >= MIN_TEMPERATURE:
        raise ValueError(f"temperature {temperature} is below {MIN_TEMPERATURE}")
    # exp((cosine - 1) / temperature) needs no running maximum as long as its smallest value is a number.
    exact = any(head.dtype == torch.float64 for head in heads) or 2 / temperature > 80
    with full_precision(heads[0].device):
        units = [normalize(head.to(torch.float64 if exact else torch.float32), dim=1) for head in heads]
        across_ranks = across_ranks and distributed.world_size() > 1
        rows = 2 * len(units[0])
        if rows * rows * (distributed.world_size() if across_ranks else 1) <= _PLAIN_ELEMENTS:
            return _plain(units, pairs, temperature, negatives, across_ranks)
        values: tuple[Tensor, ...] = _NTXent.apply(pairs, temperature, negatives, across_ranks, *units)
    return values


def _plain(
    units: list[Tensor], pairs: list[tuple[int, int]], temperature: float, negatives: str, across_ranks: bool
) -> tuple[Tensor, ...]:
    everyone = distributed.gather_with_grad(torch.stack(units, dim=1)).unbind(1) if across_ranks else units
    own = torch.arange(len(units[0]), device=units[0].device)
    if across_ranks:
        own += distributed.rank() * len(own)
    values = []
    for first, second in pairs:
        a, b, all_a, all_b = units[first], units[second], everyone[first], everyone[second]
        if negatives == "cross":
            of_a, of_b = (_Product.apply(a, all_b) / temperature, _Product.apply(b, all_a) / temperature)
            values.append((cross_entropy(of_a, own) + cross_entropy(of_b, own)) / 2)
            continue
        logits = _Product.apply(torch.cat([a, b]), torch.cat([all_a, all_b])) / temperature
        itself, positive = torch.cat([own, own + len(all_a)]), torch.cat([own + len(all_a), own])
        values.append(cross_entropy(logits.scatter(1, itself[:, None], -torch.inf), positive))
    return tuple(values)


class _Product(torch.autograd.Function):
    """rows @ columns.T in whole float32, in the backward pass too: that runs where the program around chose less."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, columns: Tensor) -> Tensor:
        ctx.save_for_backward(rows, columns)
        return rows @ columns.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = ctx.saved_tensors
        with full_precision(upstream.device):
            return upstream @ columns, upstream.T @ rows


class _NTXent(torch.autograd.Function):
    """Losses of pairs of heads, whose rows are unit vectors.

    With E_ij = exp((z_i . z_j - 1) / t) and R_i = sum_j E_ij, a loss is mean_i(log R_i - (z_i . z_pos(i) - 1) / t), and
    the gradient of row i, which stands in its own sum as a row and in all others' as a column, is
    (sum_j E_ij (1 / R_i + 1 / R_j) z_j - 2 z_pos(i)) / (rows * t).
    """

    @staticmethod
    def forward(
        ctx: Any, pairs: list[tuple[int, int]], temperature: float, negatives: str, across_ranks: bool, *units: Tensor
    ) -> tuple[Tensor, ...]:
        everyone = distributed.gather(torch.stack(units, dim=1)).unbind(1) if across_ranks else units
        values, problems, sums = [], [], []
        for first, second in pairs:
            pair = _Pair(units[first], units[second], everyone[first], everyone[second], temperature)
            problems.append(pair.both() if negatives == "both" else pair.cross())
            sums.append(torch.cat([problem.row_sums() for problem in problems[-1]]).reshape(2, -1))  # a's, b's
            values.append((sums[-1].log().mean() - pair.mean_positive()).to(units[0].dtype))
        if any(ctx.needs_input_grad):
            ctx.pairs = pairs
            ctx.pulls = _pulls(problems, sums, across_ranks)
            ctx.save_for_backward(*units)
            ctx.scale = 1 / (2 * len(units[0]) * temperature)
        return tuple(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        units = ctx.saved_tensors
        gradients = [torch.zeros_like(unit) for unit in units]
        for (first, second), (pull_first, pull_second), weight in zip(ctx.pairs, ctx.pulls, upstream, strict=True):
            gradients[first] += (pull_first - 2 * units[second]) * (weight * ctx.scale)
            gradients[second] += (pull_second - 2 * units[first]) * (weight * ctx.scale)
        return None, None, None, None, *gradients


def _pulls(problems: list[list[_Softmax]], sums: list[Tensor], across_ranks: bool) -> list[tuple[Tensor, Tensor]]:
    """sum_j E_ij (1 / R_i + 1 / R_j) z_j of each pair's two heads, (batch, dim) each."""
    of_rows = torch.stack(sums).reciprocal()  # (pairs, 2 heads, batch)
    of_all = of_rows
    if across_ranks:
        of_all = distributed.gather(of_rows.permute(2, 0, 1)).permute(1, 2, 0)
    pulls = []
    for own, other, parts in zip(of_rows, of_all, problems, strict=True):
        if len(parts) == 1:  # both heads' rows against both heads' columns
            pull = parts[0].weighted_columns(own.flatten(), other.flatten())
            first, second = pull.tensor_split(2)
        else:
            first = parts[0].weighted_columns(own[0], other[1])
            second = parts[1].weighted_columns(own[1], other[0])
        pulls.append((first, second))
    return pulls


@dataclass(frozen=True)
class _Pair:
    """This rank's two heads, (batch, dim), and those of all ranks, (world_size * batch, dim)."""

    a: Tensor
    b: Tensor
    all_a: Tensor
    all_b: Tensor
    temperature: float

    def mean_positive(self) -> Tensor:
        return (((self.a * self.b).sum(dim=1, dtype=torch.float64) - 1) / self.temperature).mean()

    def both(self) -> list[_Softmax]:
        place = torch.arange(len(self.a), device=self.a.device)
        if len(self.all_a) > len(self.a):
            place += distributed.rank() * len(self.a)
        rows, columns = torch.cat([self.a, self.b]), torch.cat([self.all_a, self.all_b])
        return [_Softmax(rows, columns, torch.cat([place, place + len(self.all_a)]), self.temperature)]

    def cross(self) -> list[_Softmax]:
        return [
            _Softmax(self.a, self.all_b, None, self.temperature),
            _Softmax(self.b, self.all_a, None, self.temperature),
        ]


@dataclass(frozen=True)
class _Softmax:
    """rows: (n, dim), columns: (m, dim); own: each row's own column, which its sum leaves out, (n,) or None."""

    rows: Tensor
    columns: Tensor
    own: Tensor | None
    temperature: float

    def row_sums(self) -> Tensor:
        """sum_j E_ij of each row, (n,) float64."""
        sums = self.rows.new_empty(len(self.rows), dtype=torch.float64)
        for part in self._blocks():
            sums[part] = self._exponentials(part).sum(dim=1)
        return sums

    def weighted_columns(self, of_rows: Tensor, of_columns: Tensor) -> Tensor:
        """sum_j E_ij (of_rows_i + of_columns_j) columns_j of each row, (n, dim)."""
        result = torch.empty_like(self.rows)
        of_rows, of_columns = of_rows.to(result.dtype), of_columns.to(result.dtype)
        for part in self._blocks():
            block = self._exponentials(part)
            block *= of_rows[part, None] + of_columns
            torch.mm(block, self.columns, out=result[part])
        return result

    def _exponentials(self, part: slice) -> Tensor:
        shift = self.rows.new_full((1,), -1 / self.temperature)
        block = torch.addmm(shift, self.rows[part], self.columns.T, alpha=1 / self.temperature).exp_()
        if self.own is not None:
            block[torch.arange(len(block), device=block.device), self.own[part]] = 0
        return block

    def _blocks(self) -> list[slice]:
        elements = _BLOCK_CPU if self.rows.device.type == "cpu" else _BLOCK_ACCELERATOR
        size = max(1, elements // len(self.columns))
        return [slice(first, first + size) for first in range(0, len(self.rows), size)]
