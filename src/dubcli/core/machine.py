"""What this machine is, and how work is laid on it: devices, precision, ranks, cores, memory that processes share.

The one place for these rules; every stage asks here. torch is imported only where it is needed: the command line reads
this module's vocabulary for its help.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dubcli.errors import UserError, did_you_mean, first_line, one_of

if TYPE_CHECKING:
    import torch

PRECISIONS = ("auto", "bf16", "fp16", "fp32")
PRECISION_METAVAR = "|".join(PRECISIONS)
PRECISION_HELP = "auto (bf16 where the device computes it natively, else fp32), bf16, fp16 or fp32."
_LONG_NAMES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32"}
_DEVICE_KINDS = ("cpu", "cuda", "mps", "xpu", "hpu", "mtia", "meta")

MAX_LOADER_WORKERS = 12
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")


def parse_precision(text: str) -> str:
    """One of ``PRECISIONS``; torch's own names (``bfloat16``, ``float16``, ``float32``) are taken too.

    Raises UserError that names the words near it.
    """
    word = str(text).strip().lower().removeprefix("torch.")
    return one_of("--precision", _LONG_NAMES.get(word, word), PRECISIONS, _LONG_NAMES)


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


def recorded_precision(precision: str) -> str:
    """The word for a precision in files that are compared with those of other runs: torch's (``float32``)."""
    return str(torch_type(precision)).removeprefix("torch.")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Compute in ``precision`` inside the block: torch's autocast, or nothing for ``fp32``."""
    import torch

    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch_type(precision))


@contextmanager
def kernels(deterministic: bool, device: torch.device) -> Iterator[None]:
    """Inside the block torch takes kernels that give the same bits each time, or else the fastest for fixed shapes.

    On the CPU its kernels give the same bits either way. cuBLAS wants a workspace of fixed size for it (NVIDIA's
    documentation, "Results reproducibility"); cuDNN's and the compiler's choices by timing are left out. Afterwards
    the process is as it was: a notebook that trained goes on with its own choices.
    """
    import torch

    cudnn, strict = torch.backends.cudnn, torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    timing, workspace = (cudnn.deterministic, cudnn.benchmark), os.environ.get(_WORKSPACE)
    compiler = None
    try:
        if deterministic:
            os.environ.setdefault(_WORKSPACE, ":4096:8")
            import torch._inductor.config as inductor

            compiler, inductor.deterministic = inductor.deterministic, True
        if deterministic or device.type == "cuda":
            torch.use_deterministic_algorithms(deterministic)
            cudnn.deterministic, cudnn.benchmark = deterministic, not deterministic
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        cudnn.deterministic, cudnn.benchmark = timing
        if compiler is not None:
            inductor.deterministic = compiler
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)


def parse_device(text: str | None) -> str | None:
    """A device as it is asked for, ``cuda`` or ``cuda:1``; None or nothing is the default, None.

    Configs call it, so that a wrong word is refused also where nothing is computed; whether the device is there says
    ``choose_device``. Raises UserError that names the words near it.
    """
    kind, _, number = (text or "").strip().partition(":")
    if not text or not text.strip():
        return None
    if kind not in _DEVICE_KINDS or (":" in text and not number.isdecimal()):
        near = "" if kind in _DEVICE_KINDS else did_you_mean(kind, _DEVICE_KINDS)
        raise UserError(f"--device {text} is no device{near}; give cpu, cuda or cuda:N, or leave it away")
    return text.strip()


def choose_device(asked: str | None = None) -> torch.device:
    """The device of that name; by default ``cuda`` where there is one. Raises UserError where it cannot be used."""
    import torch

    asked = parse_device(asked)
    if asked is None:
        return torch.device("cuda" if gpu_count() else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise UserError(f"--device {asked} is no device: {first_line(error)}; give cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= gpu_count():
        raise UserError(f"--device {asked} cannot be used here: {_gpus_there()}")
    try:
        torch.zeros(1, device=device).cpu()  # a device of type meta makes tensors too, but without numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"--device {asked} cannot be used here ({first_line(error).split('. ')[0]}); give cpu or cuda"
        ) from None
    return device


def choose_devices(asked: str | None = None, gpus: int | None = None) -> list[torch.device]:
    """The devices that a stage spreads its work over, one process each.

    By default all GPUs, else the CPU; ``gpus`` takes so many of them (0: the CPU), ``asked`` one device of that name
    (``cuda`` without a number: all of that kind). Raises UserError where they are not there.
    """
    import torch

    if asked and asked != "cuda":
        device = choose_device(asked)
        if gpus is not None and gpus != (device.type != "cpu"):
            raise UserError(f"--device {asked} and --gpus {gpus} contradict each other; give one of the two")
        return [device]
    there = gpu_count()
    if gpus is not None and gpus < 0:
        raise UserError(f"--gpus is {gpus}; give 0 (the CPU) or more")
    if gpus is not None and gpus > there:
        raise UserError(f"--gpus {gpus}, but {_gpus_there()}")
    if asked == "cuda":
        choose_device(asked)
        if gpus == 0:
            raise UserError("--device cuda and --gpus 0 contradict each other; give one of the two")
    wanted = there if gpus is None else gpus
    return [torch.device("cuda", number) for number in range(wanted)] or [torch.device("cpu")]


def gpu_count() -> int:
    """GPUs that torch can use here."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def has_nvidia_driver() -> bool:
    """Whether the library is there without which neither torch nor FFmpeg finds an NVIDIA GPU; needs no torch."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def _gpus_there() -> str:
    there = gpu_count()
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


@dataclass(frozen=True, kw_only=True)
class _Launcher:
    """The variables by which a launcher tells a process its place. ``only_in``: one without which they do not count."""

    name: str
    rank: str
    world_size: str
    local_rank: str
    local_world_size: str = ""
    only_in: str = ""


def _mpi(prefix: str) -> _Launcher:
    names = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE")
    rank, world_size, local_rank, local_world_size = (f"{prefix}_COMM_WORLD_{name}" for name in names)
    return _Launcher(
        name="mpi", rank=rank, world_size=world_size, local_rank=local_rank, local_world_size=local_world_size
    )


_TORCHRUN = _Launcher(
    name="torchrun",
    rank="RANK",
    world_size="WORLD_SIZE",
    local_rank="LOCAL_RANK",
    local_world_size="LOCAL_WORLD_SIZE",
)
_SLURM = _Launcher(
    name="slurm",
    rank="SLURM_PROCID",
    world_size="SLURM_STEP_NUM_TASKS",
    local_rank="SLURM_LOCALID",  # how many there are on this node, see _slurm_tasks_here
    only_in="SLURM_STEP_ID",
)
_MPICH = _Launcher(
    name="mpi",
    rank="PMI_RANK",
    world_size="PMI_SIZE",
    local_rank="MPI_LOCALRANKID",
    local_world_size="MPI_LOCALNRANKS",
)
_LAUNCHERS = (_TORCHRUN, _mpi("OMPI"), _mpi("MV2"), _MPICH, _SLURM)
"""The first whose variables are there counts. Slurm is last: where it starts torchrun's or mpirun's own daemons, the
ranks inherit its variables from those."""


def ranks_of(environment: Mapping[str, str] = os.environ) -> Ranks | None:
    """What torchrun's, Slurm's or MPI's variables say; None where this process was started alone.

    Slurm's count only inside a job step: in the batch script itself ``SLURM_NTASKS`` tells of tasks to come, not of
    copies of this process. A place on the machine that the launcher itself does not name is taken from the others: a
    script that sets ``RANK`` and ``WORLD_SIZE`` for each task of a step leaves ``SLURM_LOCALID``.
    """
    for launcher in _LAUNCHERS:
        rank, world_size = _number(environment, launcher.rank), _number(environment, launcher.world_size)
        if rank is None or world_size is None or (launcher.only_in and launcher.only_in not in environment):
            continue
        if world_size == 1 and launcher is not _TORCHRUN:  # srun and mpirun start single processes too
            continue
        others = [launcher, *_LAUNCHERS]
        local_rank = _number(environment, *(other.local_rank for other in others))
        here = _number(environment, launcher.local_world_size) or _slurm_tasks_here(environment)
        here = here or _number(environment, *(other.local_world_size for other in others)) or world_size
        return Ranks(
            rank=rank,
            world_size=world_size,
            local_rank=rank % here if local_rank is None else local_rank,
            local_world_size=here,
            started_by=launcher.name,
        )
    return None


def _number(environment: Mapping[str, str], *names: str) -> int | None:
    """The first of these variables that holds a number."""
    return next((int(environment[name]) for name in names if environment.get(name, "").isdecimal()), None)


def _slurm_tasks_here(environment: Mapping[str, str]) -> int | None:
    """This node's entry of Slurm's ``4(x2),3``: tasks of each node of the step, in order. None outside a step."""
    counts: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", "")):
        counts += [int(count)] * int(times or 1)
    node = _number(environment, "SLURM_NODEID") or 0
    return counts[node] if node < len(counts) else None


def usable_cores() -> int:
    """Cores that this process may use: taskset, containers (cpusets and quotas) and Slurm count, where known."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA_FILE.read_text().split()  # docker run --cpus, Kubernetes' limits; "max 100000" is none
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores


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
