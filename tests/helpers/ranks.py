"""Run a function on several gloo processes of this machine and get what each returns."""

import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from helpers.waiting import HOPELESS_SECONDS


def on_ranks(function: Callable[..., Any], world_size: int, *arguments: Any) -> list[Any]:
    """``function(rank, world_size, *arguments)`` on each rank; its results (tensors, plain values) in order of rank.

    The function must be importable (a module of ``tests/helpers``): the processes are fresh ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_run, (world_size, folder, function, arguments), nprocs=world_size)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(world_size)]


def _run(rank: int, world_size: int, folder: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store = f"file://{folder}/store"
    dist.init_process_group(
        "gloo", init_method=store, rank=rank, world_size=world_size, timeout=timedelta(seconds=HOPELESS_SECONDS)
    )
    try:
        torch.save(function(rank, world_size, *arguments), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()
