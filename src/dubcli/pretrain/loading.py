"""Batches brought to the trainer: by how many processes, over shared memory or pipes, and what if one dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dubcli.core import machine
from dubcli.errors import UserError
from dubcli.jobs.orphans import end_with_parent
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.loader import Batch, ClipDataset, Request, Requests

AHEAD = 2  # batches that each worker has ready
PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 5.0
_LOCK_BYTES = 64 << 10  # the locks of a worker's queues, a page each, twice over


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How batches come: by how many processes, and over what (``sharing``). ``note``: what to tell the user of it."""

    workers: int
    sharing: str
    pin: bool
    note: str = ""

    @property
    def facts(self) -> dict[str, Any]:
        """For ``config.json``."""
        return {"loader_processes": self.workers, "loader_sharing": self.sharing}


def choose_loading(dataset: ClipDataset, config: PretrainConfig, device: torch.device, processes_here: int) -> Loading:
    """Processes by the cores; batches over shared memory where that of all ranks of this machine has room there.

    Where it has not (Docker gives 64 MB, a paper's batch on a GPU has 78), they go through the pipes between the
    processes, which copies them twice more. Raises UserError where there is not even room for the processes' locks.
    """
    workers = machine.loader_workers(device.type, processes_here, config.data.loader_workers)
    pin = device.type == "cuda"
    room = machine.shared_memory_free()
    if workers == 0:
        return Loading(workers=0, sharing="none", pin=pin)
    if room is not None and room < (workers + 1) * _LOCK_BYTES:
        raise UserError(
            f"/dev/shm is full, {workers} processes that load batches need it for their locks; make room there "
            "(docker run --shm-size), or load in the training process with --loader-workers 0"
        )
    # of each worker those that wait and the one under way, and the one that the trainer has
    need = dataset.batch_bytes(config.optimisation.clips_per_step) * (workers * (AHEAD + 1) + 1) * processes_here
    if room is None or need <= room:
        return Loading(workers=workers, sharing="shared memory", pin=pin)
    note = (
        f"batches would take {need / 1e6:.0f} MB of shared memory and /dev/shm has {room / 1e6:.0f} MB left: they go "
        "through pipes, which is slower; give it more (docker run --shm-size) or fewer --loader-workers"
    )
    return Loading(workers=workers, sharing="pipes", pin=pin, note=note)


def load_batches(dataset: ClipDataset, requests: Requests, loading: Loading) -> Iterator[Batch]:
    """Batches of ``requests`` in order, loaded ahead by worker processes (0: in this one).

    Raises UserError where a worker dies or gives no sign of life.
    """
    workers = loading.workers
    batches = iter(
        DataLoader(
            _Piped(dataset) if loading.sharing == "pipes" else dataset,
            batch_size=None,
            sampler=requests,
            num_workers=workers,
            pin_memory=loading.pin,
            prefetch_factor=AHEAD if workers else None,
            multiprocessing_context="forkserver" if workers else None,
            worker_init_fn=_one_thread,
            timeout=_LOOK_SECONDS if workers else 0,
            # of its own: it would draw its workers' seed from the generator that dropout draws from, again on resume
            generator=torch.Generator(),
        )
    )
    for _ in range(len(requests)):
        yield _next(batches, dataset)


def _next(batches: Iterator[Batch], dataset: ClipDataset) -> Batch:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return next(batches)
        except RuntimeError as error:
            text = str(error)
            if "timed out" in text and time.monotonic() < end:
                continue  # torch looks whether its workers live when it has waited, and can be asked again
            if "timed out" in text:
                folder = dataset.part.movies[0].folder
                what = f"no batch came in {PATIENCE_SECONDS} seconds (is the disk of {folder} there?)"
            elif "exited unexpectedly" in text or "killed by signal" in text:
                what = "a process that loads batches died (is there memory left, and room in /dev/shm?)"
            else:
                raise
            raise UserError(f"{what}; --loader-workers 0 loads in the training process") from None


class _Piped(Dataset["_AsBytes"]):
    """The dataset's batches, for the way through a pipe."""

    def __init__(self, dataset: ClipDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, request: Request) -> _AsBytes:
        return _AsBytes(self._dataset[request])


class _AsBytes:
    """Pickled it is its batch, whose tensors lie in the pickle itself and not, as torch's do, in shared memory."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: _as_arrays(value) for name, value in vars(self._batch).items()}
        return _from_arrays, (fields,)


def _as_arrays(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_arrays(item) for item in value]
    return value.numpy() if isinstance(value, Tensor) else value


def _from_arrays(fields: dict[str, Any]) -> Batch:
    return Batch(**{name: _as_tensors(value) for name, value in fields.items()})


def _as_tensors(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_tensors(item) for item in value]
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _one_thread(worker: int) -> None:
    import signal

    end_with_parent()
    torch.set_num_threads(1)
    # a batch that cannot be sent would be dropped with a traceback, and the trainer wait for it: it sees a death
    Queue._on_queue_feeder_error = staticmethod(_die)  # type: ignore[attr-defined]
    # Ctrl-C and pre-emption go to the whole process group: the trainer finishes its step and ends the workers itself
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _die(error: BaseException, batch: object) -> None:
    os._exit(1)
