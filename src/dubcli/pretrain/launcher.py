"""Start the processes of a run: in this one, or through torch.distributed's elastic launch (torchrun's engine)."""

from __future__ import annotations

import logging
import os
import re
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dubcli.core import machine, rendezvous
from dubcli.core.atomic import atomic_write
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.pretrain.config import LaunchConfig, PretrainConfig
from dubcli.pretrain.summary import RunSummary
from dubcli.pretrain.trainer import train

if TYPE_CHECKING:
    import torch

_LOST = re.compile("Connection (closed|reset) by peer|Broken pipe|Connection refused|remote process exited")
_STOP_SECONDS = {"cuda": 30, "cpu": 60}
_RESULT_SECONDS = 2.0
_NOTE_SECONDS = 10.0


def launch(
    config: PretrainConfig, where: LaunchConfig, progress: Progress = SILENT, *, fresh: bool = False
) -> RunSummary:
    """Train on GPUs or processes of this machine, or as one rank of torchrun's, srun's or mpirun's world.

    A worker that dies is started again with all others, up to ``max_restarts`` times, and goes on from the last
    checkpoint.

    Args:
        config: as of ``train``.
        where: how many GPUs or processes, on how many machines.
        progress: takes bars and lines.
        fresh: start over where a run is there.

    Returns:
        As ``train``.

    Raises:
        UserError: the GPUs asked for are not there.
        KeyboardInterrupt: after Ctrl-C.

    >>> from dubcli.pretrain import LaunchConfig, PretrainConfig, launch
    >>> launch(PretrainConfig(cache="cache", out="runs/fr", variant="fr"), LaunchConfig(gpus=4))  # doctest: +SKIP
    """
    ranks = machine.ranks_of()
    if ranks is not None and not _starts_its_own(ranks, where):
        os.environ.update(rendezvous.variables(ranks))
        with _the_others_end(ranks):
            return train_rank(config, _device_kind(where), progress, fresh=fresh)
    gpus = gpus_of(where)
    processes = gpus or where.procs
    if processes == 1 and where.nnodes == 1:
        return train(config, progress, device="cuda" if gpus else "cpu", fresh=fresh)
    return _elastic(config, where, processes, "cuda" if gpus else "cpu", fresh=fresh, quiet=progress is SILENT)


@contextmanager
def _the_others_end(ranks: machine.Ranks) -> Iterator[None]:
    """A rank that has lost another says so in a line: srun and mpirun, unlike torchrun, leave it to find out."""
    try:
        yield
    except RuntimeError as error:
        if ranks.started_by == "torchrun" or not _LOST.search(str(error)):
            raise
        raise UserError(
            f"process {ranks.rank} of {ranks.world_size} lost the others: one of them ended; start all of them again "
            "to go on from the last checkpoint"
        ) from None


def _starts_its_own(ranks: machine.Ranks, where: LaunchConfig) -> bool:
    """Whether this process, one of several, starts those of its machine itself (``--nnodes``, one task on each).

    Raises UserError where options ask for processes beside those that are there.
    """
    if ranks.started_by == "torchrun":
        return False
    there = f"{ranks.started_by} started {ranks.local_world_size} processes on this machine"
    if where.nnodes > 1:
        if ranks.local_world_size > 1:
            raise UserError(f"--nnodes starts a machine's processes itself and {there}; leave one of the two away")
        return True
    if where.procs > 1 or (where.gpus or 1) not in (1, ranks.local_world_size):
        asked = f"--procs {where.procs}" if where.procs > 1 else f"--gpus {where.gpus}"
        raise UserError(f"{there}, which are the ranks of one run; leave {asked} away")
    return False


def gpus_of(where: LaunchConfig) -> int:
    """GPUs of this machine that a run takes; 0 is the CPU. Raises UserError where more were asked for."""
    there = machine.gpu_count()
    wanted = there if where.gpus is None else where.gpus
    if where.gpus is None and where.procs > 1:
        return 0
    if wanted > there:
        raise UserError(
            f"--gpus {wanted}, but this machine has {there}; "
            f"give --gpus {there}{' to train on the CPU (--procs N for several processes)' if there == 0 else ''}"
        )
    return wanted


def _device_kind(where: LaunchConfig) -> str:
    return "cpu" if where.gpus == 0 or not machine.gpu_count() else "cuda"


def train_rank(config: PretrainConfig, device: str, progress: Progress = SILENT, *, fresh: bool = False) -> RunSummary:
    """One rank: join the process group that torch's variables describe, train, leave it."""
    import torch
    import torch.distributed as dist

    # 1 x 1 x 1 kernels have many strides of one meaning
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    if device == "cuda":
        number = own_gpu(int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(number)
        device = f"cuda:{number}"
    elif "OMP_NUM_THREADS" not in os.environ:
        cores = int(os.environ.get("SLURM_CPUS_PER_TASK", "0"))
        torch.set_num_threads(cores or max(1, machine.usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))
    join_process_group("nccl" if device.startswith("cuda") else "gloo", torch.device(device))
    # a run that was restarted goes on; only its first start may throw the former run away
    restarted = any(
        int(os.environ.get(name, "0")) > 0 for name in ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")
    )
    try:
        return train(config, progress, device=device, fresh=fresh and not restarted)
    finally:
        dist.destroy_process_group()


def own_gpu(local_rank: int) -> int:
    """The GPU of this machine's so-many-th process; where each process sees one GPU only, that one.

    Raises UserError where there are more processes than GPUs.
    """
    there = machine.gpu_count()
    if there == 1:
        return 0
    if local_rank >= there:
        raise UserError(
            f"this is process {local_rank} of its machine, from 0, which has {there} GPUs; start {there} on each "
            "machine, or give --gpus 0 to train on the CPU"
        )
    return local_rank


def join_process_group(backend: str, device: torch.device | None = None) -> None:
    """Join the process group, each restart under names of its own.

    The elastic agent keeps one store for all its restarts. Started again, ranks could read there the addresses of those
    before them, and then wait for each other for ever.
    """
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    gpu = device if device is not None and device.type == "cuda" else None
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or os.environ.get("GROUP_WORLD_SIZE") != "1":
        dist.init_process_group(backend, device_id=gpu)  # several nodes: a count of restarts is not the same on all
        return
    store, rank, world_size = next(rendezvous("env://"))
    store = PrefixStore(f"restart {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, device_id=gpu)


def _elastic(
    config: PretrainConfig, where: LaunchConfig, processes: int, device: str, *, fresh: bool, quiet: bool
) -> RunSummary:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig as ElasticConfig
    from torch.distributed.launcher.api import elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, machine.usable_cores() // processes)))
    one_node = where.nnodes == 1
    if not one_node:
        os.environ.setdefault(
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1"
        )  # a new store for each restart: see join_process_group
    _quieten_the_agent()
    settings = ElasticConfig(
        min_nodes=where.nnodes,
        max_nodes=where.nnodes,
        nproc_per_node=processes,
        run_id=f"dubav-{os.getpid()}" if one_node else "dubav",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0" if one_node else str(where.rdzv_endpoint),
        rdzv_configs={} if one_node else {"rank": where.node_rank, "is_host": where.node_rank == 0},
        max_restarts=where.max_restarts,
        monitor_interval=0.2,
        start_method="spawn",
        **_stopping(ElasticConfig, device),
    )
    try:
        with tempfile.TemporaryDirectory(prefix="dubav-") as folder:
            note = str(Path(folder) / "error")
            try:
                results = elastic_launch(settings, _worker)(config.to_dict(), device, fresh, quiet, note)
            except ChildFailedError:
                if Path(note).exists():
                    raise UserError(Path(note).read_text(encoding="utf-8")) from None
                raise
            text = Path(note).read_text(encoding="utf-8") if Path(note).exists() else ""
    except SignalException as error:
        # the workers were told, finished their step and saved
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        return _stopped(config, int(error.sigval))
    if text:
        raise UserError(text)
    return RunSummary(**results[min(results)])


def _stopping(settings: type[Any], device: str) -> dict[str, Any]:
    """Settings that not all versions of torch have: pass pre-emption on; a worker told to stop finishes its step."""
    wanted = {
        "shutdown_timeout": _STOP_SECONDS[device],
        "signals_to_handle": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    }
    known = {field.name for field in fields(settings)}
    return {name: value for name, value in wanted.items() if name in known}


def _quieten_the_agent() -> None:
    """The agent warns of each worker that it stops, and of those that end with what we tell in one line."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("torch.distributed", "torch.multiprocessing")):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    # a stopped worker leaves at once; its queue's semaphore is freed, with a warning, by the tracker of the agent
    others = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (others, "ignore:resource_tracker:UserWarning")))


def _worker(options: dict[str, Any], device: str, fresh: bool, quiet: bool, note: str) -> dict[str, Any] | None:
    """A rank started by the elastic agent. A user's error is noted for the launcher; restarts do not run into it."""
    if Path(note).exists():
        return None
    progress: Progress = SILENT
    if not quiet and os.environ.get("RANK") == "0":
        from dubcli.jobs.terminal import make_progress

        progress = make_progress()
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if restarts != "0":
        progress.message(f"a process died; all were started again (restart {restarts}) and go on from the checkpoint")
    try:
        summary = train_rank(PretrainConfig(**options), device, progress, fresh=fresh)
        if summary.stopped_by is not None:
            # an agent that is ending itself reads no results, for which a worker waits before it exits
            leave = threading.Timer(_RESULT_SECONDS, os._exit, (0,))
            leave.daemon = True
            leave.start()
        return asdict(summary)
    except UserError as error:
        with atomic_write(Path(note), "w") as file:
            file.write(str(error))
        # the other ranks wait for this one in a collective: its death has the agent end and restart them, and
        # started again they find the note
        os._exit(2)
    except SystemExit:  # rank 0's mistake to tell
        _wait_for(Path(note))
        os._exit(2)
    except RuntimeError:
        if Path(note).exists():  # the rank that wrote it left the collective
            os._exit(2)
        raise


def _wait_for(note: Path) -> None:
    end = time.monotonic() + _NOTE_SECONDS
    while not note.exists() and time.monotonic() < end:
        time.sleep(0.05)


def _stopped(config: PretrainConfig, number: int) -> RunSummary:
    from dubcli.pretrain.run_folder import RunFolder

    state = RunFolder(config.folder).load() or {"step": 0}
    return RunSummary(folder=config.folder, step=int(state["step"]), total_steps=0, stopped_by=number)
