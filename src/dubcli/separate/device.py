"""Which device a worker process computes on, and with how many threads."""

from __future__ import annotations

import fcntl
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from dubcli.errors import UserError

_held: dict[str, tuple[str, IO[str]]] = {}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the parent process found out for its workers.

    ``device``: as asked, or "cuda" to take one of several. ``locks``: a folder in which workers settle who takes
    which; None on a cluster, whose workers see the device that is theirs. ``threads``: of each worker; None leaves
    torch's own choice.
    """

    device: str
    locks: str | None = None
    threads: int | None = None


def resolve_device(asked: str | None) -> str:
    """The device's name: as asked, by default "cuda" where there is one. Raises UserError for one that is not there."""
    if asked is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(asked)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UserError(f"--device {asked} is not usable here; give cpu, or leave it away") from None
    return asked


def device_count(device: str) -> int:
    """How many devices "cuda" stands for; 1 for any other name."""
    return max(1, torch.cuda.device_count()) if device == "cuda" else 1


def claim(machine: Machine) -> str:
    """This process's device. Of several each is taken once before any twice, and is held until the process ends."""
    if machine.threads is not None:
        torch.set_num_threads(machine.threads)
    if machine.locks is None or device_count(machine.device) == 1:
        return machine.device
    if machine.locks not in _held:
        _held[machine.locks] = _take(Path(machine.locks), device_count(machine.device))
    return _held[machine.locks][0]


def _take(locks: Path, count: int) -> tuple[str, IO[str]]:
    for turn in itertools.count():
        for number in range(count):
            file = open(locks / f"{number}.{turn}", "a")  # noqa: SIM115 - the lock lasts as long as the process
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.close()
                continue
            return f"cuda:{number}", file
    raise AssertionError


def threads_for(workers: int) -> int:
    """Threads of each of ``workers`` processes that share this machine's cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(torch.get_num_threads(), cores // workers))
