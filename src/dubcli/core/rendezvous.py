"""Where the processes of a run meet: torch's variables, from Slurm's or MPI's where torchrun has not set them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from dubcli.core.machine import Ranks
from dubcli.errors import UserError

_PORTS = range(15000, 30000)  # below those that systems give out by themselves


def variables(ranks: Ranks, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What torch's ``env://`` reads: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT.

    An address and a port that are set already stay. Raises UserError where the ranks are on several machines and
    nothing tells which of them is the first.
    """
    return {
        "RANK": str(ranks.rank),
        "WORLD_SIZE": str(ranks.world_size),
        "LOCAL_RANK": str(ranks.local_rank),
        "LOCAL_WORLD_SIZE": str(ranks.local_world_size),
        "MASTER_ADDR": environment.get("MASTER_ADDR") or _address(ranks, environment),
        "MASTER_PORT": environment.get("MASTER_PORT") or str(_port(ranks, environment)),
    }


def _address(ranks: Ranks, environment: Mapping[str, str]) -> str:
    if ranks.local_world_size == ranks.world_size:
        return "127.0.0.1"
    if ranks.started_by == "slurm":
        for name in ("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"):
            if environment.get(name):
                return first_host(environment[name])
        if environment.get("SLURM_LAUNCH_NODE_IPADDR"):
            return environment["SLURM_LAUNCH_NODE_IPADDR"]
    raise UserError(
        f"this is one of {ranks.world_size} processes on several machines, which do not know where to meet: "
        "set MASTER_ADDR to the first one's name for all of them (mpirun -x MASTER_ADDR=node0)"
    )


def first_host(nodes: str) -> str:
    """The first of Slurm's list of hosts: ``node01`` of ``node[01-04,07],gpu5``; of ``a[1-2]b[3-4]`` it is ``a1b3``."""
    first = re.match(r"(?:[^,\[\]]|\[[^\]]*\])*", nodes.strip())
    assert first is not None  # it matches nothing at all too
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first[0])


def _port(ranks: Ranks, environment: Mapping[str, str]) -> int:
    """The same number in all processes of a run, another one in another run of these machines."""
    if ranks.started_by == "slurm":
        job, step = (environment.get(name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        number = int(job) * 31 + int(step) if (job + step).isdecimal() else 0
    elif ranks.local_world_size == ranks.world_size:
        number = os.getppid()  # of mpirun, or of what it runs on this machine
    else:
        number = 0
    return _PORTS[number % len(_PORTS)]
