"""What this machine is, and how work is laid on it: devices, precision, ranks, cores, memory that processes share.

The one place for these rules; every stage asks here. torch is imported only where it is needed: the command line reads
this module's vocabulary for its help.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dubcli.errors import UserError

if TYPE_CHECKING:
    import torch

PRECISIONS = ("auto", "bf16", "fp16", "fp32")
PRECISION_HELP = "auto (bf16 where the device computes it natively, else fp32), bf16, fp16 or fp32."
_LONG_NAMES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32"}

MAX_LOADER_WORKERS = 12


def parse_precision(text: str) -> str:
    """One of ``PRECISIONS``; torch's own names (``bfloat16``, ``float16``, ``float32``) are taken too.

    Raises UserError that names the nearest word.
    """
    word = text.strip().lower()
    word = _LONG_NAMES.get(word, word)
    if word not in PRECISIONS:
        near = difflib.get_close_matches(word, [*PRECISIONS, *_LONG_NAMES], 1)
        meant = f"did you mean {near[0]}? there are" if near else "give one of"
        raise UserError(f"--precision is {text!r}; {meant} {', '.join(PRECISIONS)}")
    return word


def choose_precision(asked: str, device: torch.device) -> str:
    """``bf16``, ``fp16`` or ``fp32`` for a word of ``PRECISIONS``: ``auto`` is bf16 where the device computes it.

    Natively, that is: cards before Ampere emulate bf16 and cuDNN has no bfloat16 convolutions for them. On CPUs, where
    autocast was slower than float32 (RESULTS.md), ``auto`` is fp32, and fp16 is refused: torch's convolutions for it
    are slow there and partly missing. Raises UserError.
    """
    import torch

    word = parse_precision(asked)
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if word == "auto":
        return "bf16" if native else "fp32"
    if word == "fp16" and device.type == "cpu":
        raise UserError("--precision fp16 needs a GPU; on the CPU give fp32 or bf16")
    return word


def torch_type(precision: str) -> torch.dtype:
    """torch's type of ``bf16``, ``fp16`` or ``fp32``."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Compute in ``precision`` inside the block: torch's autocast, or nothing for ``fp32``."""
    import torch

    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch_type(precision))


def choose_device(asked: str | None = None) -> torch.device:
    """The device of that name; by default ``cuda`` where there is one. Raises UserError where it cannot be used."""
    import torch

    if not asked:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise UserError(f"--device {asked} is no device; give cpu, cuda or cuda:N, or leave it away") from None
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"--device {asked} cannot be used here: {_devices_there()}") from None
    return device


def choose_devices(asked: str | None = None, gpus: int | None = None) -> list[torch.device]:
    """The devices that a stage spreads its work over, one process each.

    By default all GPUs, else the CPU; ``gpus`` takes so many of them (0: the CPU), ``asked`` one device of that name.
    Raises UserError where they are not there.
    """
    import torch

    if asked and asked != "cuda":
        if gpus is not None and gpus > 1:
            raise UserError(f"--device {asked} is one device, --gpus {gpus} are several; give one of the two")
        return [choose_device(asked)]
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "cuda":
        choose_device(asked)
    wanted = there if gpus is None else gpus
    if not 0 <= wanted <= there:
        raise UserError(f"--gpus {wanted}, but {_devices_there()}")
    return [torch.device("cuda", number) for number in range(wanted)] or [torch.device("cpu")]


def _devices_there() -> str:
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if there == 0:
        return "this machine has no GPU that torch can use; give cpu, or leave it away"
    return f"this machine has {there} GPU{'s' if there > 1 else ''} (cuda:0{f' to cuda:{there - 1}' * (there > 1)})"


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process's place in a run of several: numbers from 0. ``local``: among those of this machine."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    started_by: str


def ranks_of(environment: Mapping[str, str] = os.environ) -> Ranks | None:
    """What torchrun's, Slurm's or MPI's variables say; None where this process was started alone.

    Slurm's count only inside a job step: in the batch script itself ``SLURM_NTASKS`` tells of tasks to come, not of
    copies of this process. Of one of these, ``rank`` comes with its ``local_rank``, whichever of them names it.
    """
    for name, rank, world, local, local_world in _LAUNCHERS:
        if rank not in environment or world not in environment:
            continue
        if name == "slurm" and "SLURM_STEP_ID" not in environment:
            continue
        world_size = int(environment[world])
        if name != "torchrun" and world_size == 1:
            continue
        local_rank = _first(environment, local, *_LOCAL_RANKS)
        size = _first(environment, local_world, *_LOCAL_SIZES)
        if size is None:
            size = _tasks_here(environment) if name == "slurm" else world_size
        return Ranks(
            rank=int(environment[rank]),
            world_size=world_size,
            local_rank=int(environment[rank]) % size if local_rank is None else local_rank,
            local_world_size=size,
            started_by=name,
        )
    return None


_LAUNCHERS = (
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", ""),  # tasks here: see _tasks_here
    ("mpi", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("mpi", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
    ("mpi", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
_LOCAL_RANKS = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID")
_LOCAL_SIZES = ("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")


def _first(environment: Mapping[str, str], *names: str) -> int | None:
    return next((int(environment[name]) for name in names if environment.get(name, "").isdigit()), None)


def _tasks_here(environment: Mapping[str, str]) -> int:
    """This node's entry of Slurm's ``4(x2),3``: tasks of each node of the step, in order."""
    counts: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", "")):
        counts += [int(count)] * int(times or 1)
    node = _first(environment, "SLURM_NODEID") or 0
    return counts[node] if node < len(counts) else 1


def usable_cores() -> int:
    """Cores that this process may use: taskset, cpusets of containers and Slurm's binding count, where known."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loader_workers(device_type: str, processes_here: int, asked: int = -1) -> int:
    """Processes that load for each rank: as asked, else by the cores and the ranks that share this machine.

    On the CPU the model itself keeps the cores busy, so that two suffice.
    """
    if asked >= 0:
        return asked
    cores = usable_cores()
    if device_type == "cpu":
        return min(2, cores // 2)
    return max(1, min(MAX_LOADER_WORKERS, cores // max(1, processes_here)))


def shared_memory_free() -> int | None:
    """Bytes left where processes hand each other tensors (``/dev/shm``); None where the system has no such place."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
