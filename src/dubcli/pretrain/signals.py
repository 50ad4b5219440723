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
        """The signal that any rank received, the same answer on all: all stop after the same step."""
        if distributed.world_size() == 1:
            return self.received
        note = torch.tensor([self.received or 0], device=device)
        torch.distributed.all_reduce(note, op=torch.distributed.ReduceOp.MAX)
        return int(note.item()) or None
