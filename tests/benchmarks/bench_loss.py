"""NT-Xent forward and backward against lightly's NTXentLoss: time, memory and equal values.

Run: taskset -c 0,1 python tests/benchmarks/bench_loss.py
Both run in turn in one process, float32, dim 128, temperature 0.1; memory is each one's growth of peak resident memory
in a process of its own (Linux). Batches of 104 run on one thread: with two, a busy machine stalls small operations.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from dubcli.core.loss import nt_xent

DIM = 128
TEMPERATURE = 0.1
REPEATS = {104: 200, 1024: 20, 8192: 3}


def losses() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    warnings.simplefilter("ignore")
    from lightly.loss import NTXentLoss

    return {"ours": lambda a, b: nt_xent(a, b, TEMPERATURE), "lightly": NTXentLoss(TEMPERATURE)}


def inputs(batch: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    a, b = torch.randn(2, batch, DIM, generator=generator).unbind()
    return a.requires_grad_(), b.requires_grad_()


def time_both(batch: int, repeats: int) -> dict[str, float]:
    """Median seconds of one forward and backward pass of each."""
    torch.set_num_threads(1 if batch < 512 else 2)
    a, b = inputs(batch)
    seconds: dict[str, list[float]] = {name: [] for name in losses()}
    for turn in range(repeats + 1):
        for name, loss in losses().items():
            start = time.perf_counter()
            loss(a, b).backward()
            if turn:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def difference(batch: int) -> tuple[float, float]:
    """Largest difference of the value, and of the gradient in units of its largest element."""
    results = []
    for loss in losses().values():
        a, b = inputs(batch)
        value = loss(a, b)
        value.backward()
        results.append((value.item(), a.grad))
    (ours, our_gradient), (other, other_gradient) = results
    return abs(ours - other), ((our_gradient - other_gradient).abs().max() / other_gradient.abs().max()).item()


def print_memory(name: str, batch: int) -> None:
    """Growth of this process's peak memory in MB over one forward and backward pass."""
    loss = losses()[name]
    torch.set_num_threads(2)
    loss(*inputs(8)).backward()
    a, b = inputs(batch)
    before = peak_megabytes()
    loss(a, b).backward()
    print(peak_megabytes() - before)


def peak_megabytes() -> float:
    # Not getrusage: a child's maximum there starts at its parent's size.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def memory(name: str, batch: int) -> float:
    command = [sys.executable, __file__, "--memory", name, "--batch", str(batch)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", choices=["ours", "lightly"], help="only measure one's memory (used by itself)")
    parser.add_argument("--batch", type=int, default=8192)
    arguments = parser.parse_args()
    if arguments.memory:
        print_memory(arguments.memory, arguments.batch)
        return
    for batch, repeats in REPEATS.items():
        seconds = time_both(batch, repeats)
        value, gradient = difference(batch)
        megabytes = {name: memory(name, batch) for name in seconds}
        print(
            f"N={batch}: value differs by {value:.1e}, gradient by {gradient:.1e}; "
            f"memory {megabytes['ours']:.0f} MB against {megabytes['lightly']:.0f} MB; "
            f"lightly's time / ours = {seconds['lightly'] / seconds['ours']:.1f}"
        )


if __name__ == "__main__":
    main()
