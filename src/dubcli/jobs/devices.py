"""Which device a worker process computes on, and with how many threads.

The workers of a job settle it among themselves by locks on files, which the kernel lets go of however a process ends:
one that is started in the place of a killed one takes the device that is free.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dubcli.core.machine import choose_devices, usable_cores
from dubcli.errors import UserError

_held: dict[str, tuple[str, IO[str]]] = {}
_one_thread_at_a_time = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Devices:
    """What a command found out for its workers.

    ``names``: the devices that they share; empty on a cluster, whose workers look at their own machine. ``asked``:
    ``--device``. ``locks``: the folder in which they settle who takes which; None is one for all workers that this user
    has on the machine. ``threads``: of each worker; None leaves torch's own choice.
    """

    names: tuple[str, ...] = ()
    asked: str | None = None
    locks: str | None = None
    threads: int | None = None


@contextmanager
def devices_for_workers(
    asked: str | None, gpus: int | None, workers: int | None, scheduler: str | None
) -> Iterator[tuple[Devices, int]]:
    """The devices of a job's workers and how many workers there are: as asked, else one per GPU, else one.

    Raises UserError where the devices are not there.
    """
    if scheduler is not None:
        refuse_gpus(gpus)
        yield Devices(asked=asked), workers or 1
        return
    names = [str(device) for device in choose_devices(asked, gpus)]
    count = workers or len(names)
    threads = threads_for(count) if names == ["cpu"] else None
    with tempfile.TemporaryDirectory(prefix="dubav-devices-") as locks:
        yield Devices(names=tuple(names), locks=locks, threads=threads), count


def refuse_gpus(gpus: int | None) -> None:
    """Raises UserError for a number of GPUs where the work is a cluster's."""
    if gpus is not None:
        raise UserError("--gpus is for this machine; with --scheduler each worker takes a GPU of its own machine")


def claim(devices: Devices) -> str:
    """This process's device. Of several each is taken once before any twice, and is held until the process ends.

    Raises UserError on a cluster's worker that lacks what was asked for.
    """
    if devices.threads is not None:
        import torch

        torch.set_num_threads(devices.threads)
    names = devices.names or tuple(str(device) for device in choose_devices(devices.asked))
    if len(set(names)) == 1:
        return names[0]
    folder = devices.locks or str(locks_of_this_machine("devices"))
    with _one_thread_at_a_time:
        if folder not in _held:
            held = take_least_used(Path(folder), names)
            assert held is not None  # without a limit there is always one
            _held[folder] = held
        return _held[folder][0]


def take_least_used(folder: Path, names: Sequence[str], most: int | None = None) -> tuple[str, IO[str]] | None:
    """One of ``names`` that the fewest hold, and the open file whose lock holds it; None where ``most`` hold each."""
    for turn in itertools.count() if most is None else range(most):
        for name in names:
            file = open(folder / f"{_lasting_name(name)}.{turn}", "a")  # noqa: SIM115 - as long as the process
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            return name, file
    return None


def _lasting_name(device: str) -> str:
    """The card itself: ``cuda:0`` is another one in a process whose CUDA_VISIBLE_DEVICES says so (as Dask-CUDA's)."""
    import torch

    if device.startswith("cuda") and torch.cuda.is_available():
        return str(torch.cuda.get_device_properties(device).uuid)
    return device


def locks_of_this_machine(purpose: str) -> Path:
    """The folder of this user's locks for a purpose, made where missing. Raises UserError where it is another's."""
    folder = Path(tempfile.gettempdir(), f"dubav-{purpose}-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder} is another user's; set TMPDIR to a folder of your own for the workers")
    return folder


def threads_for(workers: int) -> int:
    """Threads of each of ``workers`` processes that share this machine's cores."""
    import torch

    return max(1, min(torch.get_num_threads(), usable_cores() // workers))
