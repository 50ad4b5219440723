"""The few collective operations we need. Without a process group each is the identity of a world of one rank."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from dubcli.errors import UserError

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether a process group is there."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """This process's number among all, from 0."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if is_distributed() else 1


def local_world_size() -> int:
    """How many of them are on this machine, by what their launcher says; all where it says nothing."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "0")) or world_size()


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait until every rank is here."""
    if is_distributed():
        dist.barrier()


def broadcast_object(value: Any) -> Any:
    """Rank 0's value on every rank (pickled: only for values that this program made)."""
    if not is_distributed():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """Every rank's value in order of rank (pickled, as ``broadcast_object``)."""
    if not is_distributed():
        return [value]
    everyone: list[Any] = [None] * world_size()
    dist.all_gather_object(everyone, value)
    return everyone


def on_main(action: Callable[[], T]) -> T:
    """What ``action`` returns on rank 0, on every rank. Where it raises UserError there, all ranks end with status 2.

    Rank 0 alone raises it, so that it is told of once.
    """
    result: tuple[bool, Any] = (True, None)
    error: UserError | None = None
    if is_main():
        try:
            result = True, action()
        except UserError as found:
            error, result = found, (False, None)
    done, value = broadcast_object(result)
    if error is not None:
        raise error
    if not done:
        raise SystemExit(2)
    return value  # type: ignore[no-any-return]


def gather(tensor: Tensor) -> Tensor:
    """All ranks' tensors, laid end to end along the first dimension in order of rank; carries no gradient.

    tensor: (batch, ...), of the same shape on all ranks. Returns (world_size * batch, ...).
    """
    if not is_distributed():
        return tensor.detach()
    contiguous = tensor.detach().contiguous()
    parts = [torch.empty_like(contiguous) for _ in range(world_size())]
    dist.all_gather(parts, contiguous)
    return torch.cat(parts)


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """The mean of all ranks' tensors, without gradient: what a log calls the loss of the global batch."""
    result = tensor.detach().clone()
    if is_distributed():
        dist.all_reduce(result)
        result /= world_size()
    return result


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return gather(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Every rank's loss depends on this rank's rows, so their gradients add up. (all_reduce and a slice,
        # because gloo has no reduce_scatter.)
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def gather_with_grad(tensor: Tensor) -> Tensor:
    """``gather`` whose backward pass brings every rank's gradient home, summed over the ranks.

    With a loss that each rank averages over its own rows, DistributedDataParallel's mean over the ranks of the
    parameters' gradients is then the gradient of the mean over the joined batch.
    """
    if not is_distributed():
        return tensor
    gathered: Tensor = _Gather.apply(tensor)
    return gathered
