"""No process is left behind when the one that started it is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """End this worker process when the one that started it is gone and could not end it itself (kill -9).

    For workers of every start method: one of a fork server has that server as its parent by ``getppid``, which lives as
    long as its workers do. Does nothing in a process that multiprocessing did not start.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_for, args=(parent,), daemon=True).start()


def _wait_for(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
