"""Decoding threads feed the backbones, which run in the calling thread; memory does not grow with the work.

Chunks of many files share a batch, so that ten thousand short sounds cost what one long sound costs. Threads, not
processes: libsndfile, FFmpeg and torch all let go of Python's lock while they work, and a waveform needs no copy.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dubcli.embed.chunks import Chunk, DecodeNotes, Wanted
from dubcli.embed.config import MODALITIES
from dubcli.embed.decode import decode
from dubcli.embed.embedder import Embedder
from dubcli.embed.engine import Pending
from dubcli.embed.inputs import MediaItem
from dubcli.embed.store import Block
from dubcli.errors import InputError, UserError
from dubcli.jobs.call import NO_ROOM

_QUEUED_CHUNKS = 64
_MOST_OPEN_ITEMS = 1024
"""Items that may wait for a batch of their shape to fill; then all batches are run as they are."""


@dataclass
class _Open:
    """An item whose chunks are on their way."""

    item: MediaItem
    waiting: int = 0
    done: int = 0
    ended: bool = False
    failure: str | None = None
    reading: DecodeNotes = field(default_factory=DecodeNotes)
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0))
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    padded_seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(MODALITIES, 0.0))
    seen: Counter[str] = field(default_factory=Counter)


_Key = tuple[str, tuple[int, ...]]
_Message = tuple[_Open, Chunk | None]


class Pipeline:
    """Turns items into rows of features. ``run`` may be called once."""

    def __init__(
        self, embedder: Embedder, wanted: Wanted, *, pool: str = "mean", threads: int, total_bytes: int = 0
    ) -> None:
        self._embedder = embedder
        self._wanted = wanted
        self._pool, self._per_chunk = pool, pool == "none"
        self._threads = threads
        self._queue: queue.Queue[_Message | BaseException | None] = queue.Queue(_QUEUED_CHUNKS)
        self._stop = threading.Event()
        self._batches: dict[_Key, list[tuple[_Open, Chunk]]] = {}
        self._workload = _Workload(total_bytes)
        self._finished: list[_Open] = []
        self._running: tuple[list[tuple[_Open, Chunk]], Pending] | None = None
        self._ended = 0

    def run(self, items: Iterable[MediaItem], done: Callable[[MediaItem, Block], None]) -> None:
        """Call ``done`` with each item and its one-item block, in the order in which they end.

        Raises UserError when the work as a whole cannot go on.
        """
        source = _Shared(items)
        threads = [
            threading.Thread(target=self._decode_all, args=(source,), name=f"decode-{i}", daemon=True)
            for i in range(self._threads)
        ]
        for thread in threads:
            thread.start()
        try:
            self._collect(done)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _decode_all(self, source: _Shared) -> None:
        with suppress(_Stopped):
            try:
                for item in source:
                    self._decode(item)
            except _Stopped:
                raise
            except BaseException as error:
                self._put(error)
            self._put(None)

    def _decode(self, item: MediaItem) -> None:
        opened = _Open(item)
        try:
            for chunk in decode(item, self._wanted, opened.reading):
                opened.waiting += 1
                self._put((opened, chunk))
            if not opened.waiting:
                opened.failure = "holds no samples and no frames"
        except Exception as error:
            opened.failure = _reason(error)
        self._put((opened, None))

    def _put(self, message: _Message | BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(message, timeout=0.2)
            except queue.Full:
                continue
            return
        raise _Stopped

    def _collect(self, done: Callable[[MediaItem, Block], None]) -> None:
        running = self._threads
        while running:
            if self._running is not None and self._queue.empty():
                self._take_running()  # nothing else to do meanwhile
                self._hand_over(done)
            message = self._queue.get()
            if isinstance(message, BaseException):
                raise message
            if message is None:
                running -= 1
            elif message[1] is not None:
                self._add(message[0], message[1])
            else:
                message[0].ended = True
                self._workload.end(message[0])
                self._ended += 1
                self._finish([message[0]])
            if not running or self._ended > _MOST_OPEN_ITEMS:
                self._flush()
            self._hand_over(done)

    def _hand_over(self, done: Callable[[MediaItem, Block], None]) -> None:
        while self._finished:
            opened = self._finished.pop()
            done(opened.item, self._block(opened))

    def _add(self, opened: _Open, chunk: Chunk) -> None:
        key = (chunk.kind, tuple(chunk.data.shape))
        batch = self._batches.setdefault(key, [])
        batch.append((opened, chunk))
        self._workload.see(opened, key)
        if len(batch) == self._embedder.batch_size(chunk.kind):
            self._run_batch(self._batches.pop(key), self._workload.left(key))

    def _finish(self, candidates: Iterable[_Open]) -> None:
        """Of these items, put the ones that are complete on the list of finished ones."""
        for opened in candidates:
            if opened.ended and opened.done == opened.waiting:
                self._ended -= 1
                self._finished.append(opened)

    def _flush(self) -> None:
        for key in list(self._batches):
            self._run_batch(self._batches.pop(key))
        self._take_running()

    def _run_batch(self, batch: list[tuple[_Open, Chunk]], left: float = 0.0) -> None:
        """Start a batch, then take the features of the one before: a GPU has the next work when it ends one."""
        started = self._embedder.start([chunk for _, chunk in batch], left, fill=True)
        self._take_running()
        self._running = batch, started
        if started.is_there:
            self._take_running()

    def _take_running(self) -> None:
        if self._running is None:
            return
        (batch, started), self._running = self._running, None
        features = started.result()[: len(batch)].numpy()
        for (opened, chunk), row in zip(batch, features, strict=True):
            self._take(opened, chunk, row)
        self._finish({id(opened): opened for opened, _ in batch}.values())

    def _take(self, opened: _Open, chunk: Chunk, row: np.ndarray) -> None:
        modality = "video" if chunk.kind == "frames" else "audio"
        opened.done += 1
        opened.counts[modality] += 1
        opened.padded_seconds[modality] += chunk.padded_seconds
        if not np.isfinite(row).all():
            opened.failure = opened.failure or "its features are not finite; are its samples within [-1, 1]?"
        elif self._per_chunk:
            _note_chunk(opened, chunk, modality, row)
        elif self._pool == "max":
            opened.sums[modality] = np.maximum(opened.sums.get(modality, row), row)
        else:
            opened.sums[modality] = opened.sums.get(modality, 0.0) + row.astype(np.float64)

    def _block(self, opened: _Open) -> Block:
        failed = opened.failure is not None
        rows = [] if failed else [opened.rows[index] for index in sorted(opened.rows)]
        chunks = [{name: cell for name, cell in row.items() if name != "features"} for row in rows]
        counts = dict.fromkeys(MODALITIES, 0) if failed else opened.counts
        number = len(rows) if self._per_chunk else 1
        features = {}
        for modality in MODALITIES:
            array = np.zeros((number, self._embedder.feature_sizes.get(modality, 0)), dtype=np.float32)
            if self._per_chunk:
                for position, row in enumerate(rows):
                    array[position] = row["features"].get(modality, 0.0)
            elif counts[modality]:
                array[0] = opened.sums[modality] / (1 if self._pool == "max" else counts[modality])
            features[modality] = array
        record = {
            "path": opened.item.path,
            "duration": round(opened.reading.seconds, 6),
            "chunks": max(counts.values()),
            "status": "failed" if failed else "ok",
            "reason": opened.failure if failed else (opened.reading.warning or ""),
            **{f"{modality}_chunks": counts[modality] for modality in MODALITIES},
            "padded_seconds": 0.0 if failed else round(max(opened.padded_seconds.values()), 6),
            "rows": number,
        }
        return Block([record], chunks, features)


def _note_chunk(opened: _Open, chunk: Chunk, modality: str, row: np.ndarray) -> None:
    entry = opened.rows.setdefault(
        chunk.index,
        {
            "path": opened.item.path,
            "chunk": chunk.index,
            "start_seconds": chunk.start_seconds,
            "stop_seconds": chunk.start_seconds + chunk.seconds,
            "padded_seconds": 0.0,
            "audio": 0,
            "video": 0,
            "features": {},
        },
    )
    entry["padded_seconds"] = max(entry["padded_seconds"], round(chunk.padded_seconds, 6))
    entry["stop_seconds"] = max(entry["stop_seconds"], chunk.start_seconds + chunk.seconds)
    entry[modality] = 1
    entry["features"][modality] = row.copy()  # the row alone, not the batch's memory


def _reason(error: Exception) -> str:
    if isinstance(error, UserError) or (isinstance(error, OSError) and error.errno in NO_ROOM):
        raise error
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"unexpected {type(error).__name__}: {text}"


class _Workload:
    """Estimates how many chunks of a kind and shape are still to come, from the files' headers and sizes."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._begun_bytes = 0
        self._expected: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()
        self._seen_of_shape: Counter[_Key] = Counter()

    def see(self, opened: _Open, key: _Key) -> None:
        """A chunk has come."""
        kind = key[0]
        expected = opened.reading.expected.get(kind, 0)
        if not opened.seen:
            self._begun_bytes += max(0, opened.item.size)
        if opened.seen[kind] == 0:
            self._expected[kind] += expected
        opened.seen[kind] += 1
        self._expected[kind] += opened.seen[kind] > expected
        self._seen[kind] += 1
        self._seen_of_shape[key] += 1

    def end(self, opened: _Open) -> None:
        """No more chunks of this item."""
        if not opened.seen:
            self._begun_bytes += max(0, opened.item.size)
        for kind, seen in opened.seen.items():
            self._expected[kind] -= max(0, opened.reading.expected.get(kind, 0) - seen)

    def left(self, key: _Key) -> float:
        """Chunks like this one that are not there yet."""
        kind = key[0]
        per_byte = self._expected[kind] / max(1, self._begun_bytes)
        unseen = self._expected[kind] - self._seen[kind] + per_byte * (self._total_bytes - self._begun_bytes)
        return max(0.0, unseen) * self._seen_of_shape[key] / max(1, self._seen[kind])


class _Stopped(BaseException):
    """The collecting side has ended; no decoder may take it for a damaged file."""


class _Shared:
    """An iterator that several threads take from."""

    def __init__(self, items: Iterable[MediaItem]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[MediaItem]:
        return self

    def __next__(self) -> MediaItem:
        with self._lock:
            return next(self._items)
