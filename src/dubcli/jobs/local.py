"""The local engine: spawned worker processes, each item in one of them, and a dying worker costs only its item."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import select
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from dubcli.core.atomic import process_lives
from dubcli.jobs.call import Report, call
from dubcli.jobs.orphans import end_with_parent
from dubcli.jobs.outcomes import FAILED, Outcome
from dubcli.jobs.progress import Progress

Item = TypeVar("Item")
DIED = "the worker process died{how}; out of memory, or a crash in a decoder"


def run_in_processes(
    function: Callable[[Item, Report], dict[str, Any]],
    items: list[Item],
    key: Callable[[Item], str],
    workers: int,
    progress: Progress,
    meanwhile: Callable[[], bool] = lambda: True,
) -> Generator[Outcome]:
    """Yield outcomes as they come. Workers are started once and take item after item.

    ``meanwhile`` is called twice a second while they work; False, and what it raises, ends them. Raises UserError
    from a worker (the job cannot go on) and KeyboardInterrupt; either way the workers are ended.
    """
    if not items:
        return
    with _Reports(progress) as reports:
        pool = ProcessPool(
            max_workers=min(workers, len(items)),
            # fork would copy the threads' locks of torch and FFmpeg in whatever state they are in
            context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
        )
        try:
            waiting: dict[Future[Outcome], tuple[int, str]] = {}
            for number, item in enumerate(items):
                name = key(item)
                # Unpickling imports what the function needs, torch perhaps. Done by the pool, before it knows who has
                # the job, the job of a worker that is killed meanwhile would never end.
                work = pickle.dumps((function, item))
                waiting[pool.schedule(partial(_call_and_report, work, name, reports.address))] = number, name
            while waiting:
                # a timeout, so that Ctrl-C reaches the main thread while it waits
                finished, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
                if not meanwhile():
                    return
                if not finished:
                    for job in [job for job, (_, name) in waiting.items() if reports.lost(name) and not job.done()]:
                        _, name = waiting.pop(job)
                        progress.finish(name)
                        yield Outcome(name, FAILED, DIED.format(how=""))
                for job in sorted(finished, key=waiting.__getitem__):
                    _, name = waiting.pop(job)
                    progress.finish(name)
                    yield _outcome(job, name)
        finally:
            pool.stop()
            pool.join()


def _outcome(job: Future[Outcome], name: str) -> Outcome:
    try:
        return job.result()
    except ProcessExpired as error:
        code = error.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return Outcome(name, FAILED, DIED.format(how=f" ({how})"))


def _call_and_report(work: bytes, name: str, address: str) -> Outcome:
    function, item = pickle.loads(work)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:

        def send(fraction: float | None, fields: dict[str, Any], flags: int = 0) -> None:
            message = json.dumps([name, fraction, fields])
            with suppress(OSError):  # a message may be lost (a full buffer, a very long name); the work must not
                sender.sendto(message.encode("utf-8", "surrogateescape"), flags, address)

        def report(fraction: float, **fields: str | float) -> None:
            send(fraction, fields, socket.MSG_DONTWAIT)

        send(None, {"pid": os.getpid()})
        return call(function, item, name, report)


def _start_worker() -> None:
    # Ctrl-C goes to the whole process group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


class _Reports:
    """Receives the workers' progress. Datagrams need no lock that a killed worker could take with it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._started: set[str] = set()
        self._workers: dict[str, int] = {}
        self._gone: set[str] = set()

    def __enter__(self) -> _Reports:
        self._folder = tempfile.TemporaryDirectory(prefix="dubav-")
        self.address = str(Path(self._folder.name) / "progress")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._wake, self._end = os.pipe()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._end, b"x")
        self._thread.join()
        self._socket.close()
        os.close(self._wake)
        os.close(self._end)
        self._folder.cleanup()

    def lost(self, name: str) -> bool:
        """Whether the worker that has this job was gone when this was asked before, and still is.

        The pool tells nobody where a worker dies before the pool has read that it took the job.
        """
        if name not in self._workers or process_lives(self._workers[name]):
            return False
        before = name in self._gone
        self._gone.add(name)
        return before

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._wake], [], [])
            if self._wake in ready:
                return
            name, fraction, fields = json.loads(self._socket.recv(65536).decode("utf-8", "surrogateescape"))
            if fraction is None:
                self._workers[name] = fields["pid"]
                continue
            if name not in self._started:
                self._started.add(name)
                self._progress.start(name, 1.0, "")
            self._progress.update(name, fraction, **fields)
