"""Asking a run to stop: the step under way is finished, its state saved, then the process exits."""

from __future__ import annotations

import signal
from types import FrameType

import torch

from dubcli.core import distributed

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequests:
    """Within the block SIGTERM, SIGUSR1 (pre-emption) and Ctrl-C only leave a note; a second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._asked: _Question | None = None
        self._former: dict[int, object] = {}

    def __enter__(self) -> StopRequests:
        for number in STOPPING:
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number

    def agreed(self, device: torch.device) -> int | None:
        """The signal that any rank received, the same answer on all: all stop after the same step.

        To be asked once a step. With several ranks the answer is to the question of the step before, asked while this
        one was computed: so neither the ranks nor a GPU and its process wait for each other at the end of each step.
        """
        if distributed.world_size() == 1:
            return self.received
        asked, self._asked = self._asked, _Question(self.received or 0, device)
        return None if asked is None else asked.answer() or None


class _Question:
    """The largest number of all ranks, asked for now and read later."""

    def __init__(self, number: int, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        note = torch.tensor([number], pin_memory=self._on_gpu).to(device, non_blocking=True)
        self._work = torch.distributed.all_reduce(note, op=torch.distributed.ReduceOp.MAX, async_op=True)
        self._note = note
        if self._on_gpu:
            self._work.wait()  # of the device, which has its queue: the process goes on
            self._note = torch.empty(1, dtype=note.dtype, pin_memory=True).copy_(note, non_blocking=True)
            self._read = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._read.record()

    def answer(self) -> int:
        if self._on_gpu:
            self._read.synchronize()
        else:
            self._work.wait()
        return int(self._note[0])
