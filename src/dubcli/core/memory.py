"""The process's memory, and a device's."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from dubcli.errors import UserError

if TYPE_CHECKING:
    import torch


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for the next layer. By default it gives blocks of megabytes back to the kernel,
    which then has to zero every page again: a third of the time of a backbone on a CPU.

    The process as a whole then holds on to the most memory it ever used. Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_threshold, largest = -1, -3, 2**31 - 1  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, largest)
    libc.mallopt(trim_threshold, largest)


def huge_pages_for_workers() -> None:
    """Have torch, in the processes that this one starts, ask the kernel for its large blocks in pages of 2 MB.

    That is most of what ``keep_freed_memory`` gains, and gives the memory back. A setting of the user's own stays.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def peak_bytes(device: torch.device) -> int:
    """The most memory that was in use: tensors on a GPU, on the CPU the whole process."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is what torch raises where a GPU's memory, or the machine's, does not suffice."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)


@contextmanager
def room_for_model(device: torch.device | str) -> Iterator[None]:
    """For bringing a model to ``device`` in the block. Raises UserError where its memory does not hold the model alone.

    No batch size would help then; mostly another program has the memory.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"out of memory on {device} for the model alone; end what else has its memory (nvidia-smi shows it), take "
            "another GPU (CUDA_VISIBLE_DEVICES) or the CPU"
        ) from None


def largest_that_fits(device: torch.device, batch_size: int, attempt: Callable[[int], object], least: int = 1) -> int:
    """The largest half, quarter, ... of ``batch_size`` for which ``attempt(size)`` finds memory; 0 where none does.

    ``attempt`` computes a batch of that size, for this to be measured and not guessed. Call this after the ``except``
    block, which holds on to the tensors of what failed. least: the smallest size that makes sense.
    """
    import torch

    size = batch_size // 2
    while size >= least:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            attempt(size)
            return size
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        size //= 2
    return 0


def out_of_memory(
    device: torch.device, batch_size: int, attempt: Callable[[int], object], option: str = "--batch-size {}"
) -> UserError:
    """What to say when ``batch_size`` items did not fit on ``device``: a size that does, as ``largest_that_fits``.

    ``option``: how the user says a batch size.
    """
    size = largest_that_fits(device, batch_size, attempt)
    if size:
        return UserError(f"out of memory on {device} with batches of {batch_size}; {option.format(size)} fits")
    return UserError(f"out of memory on {device}, which holds not even one item beside the model; give --device cpu")
