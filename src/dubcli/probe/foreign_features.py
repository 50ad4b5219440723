"""Features of a task's clips by a model from outside, kept in a folder until a file changes."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from dubcli.core.atomic import atomic_folder, read_json, write_json
from dubcli.core.machine import usable_cores
from dubcli.core.models import ModelSizes
from dubcli.embed.chunks import DecodeNotes, Wanted
from dubcli.embed.decode import decode
from dubcli.embed.inputs import file_item
from dubcli.embed.stereo import Heard, stereo_blocks
from dubcli.errors import InputError
from dubcli.jobs.progress import Progress
from dubcli.probe.features import ClipFeatures, segment_file
from dubcli.probe.foreign import ForeignModel
from dubcli.probe.tasks.data import Clip

_VIDEO_BATCH = 4
_QUEUED = 16


def foreign_features(
    model: ForeignModel, clips: Sequence[Clip], modalities: Sequence[str], folder: Path | None, progress: Progress
) -> ClipFeatures:
    """The model's features of clips, float32 (clips, width); of several modalities they stand side by side.

    Sounds are mono at the model's own sample rate, whole; of a video the mean over its 3-second chunks is taken.
    ``folder`` keeps the features; None keeps none. Cut segments of longer sounds lie beside it.
    """
    if folder is not None and (known := _kept(folder, clips)) is not None:
        return known
    failed: dict[int, str] = {}
    segments = None if folder is None else folder.parent / "segments"
    arrays = [
        (_sounds if modality == "audio" else _videos)(model, clips, segments, failed, progress)
        for modality in modalities
    ]
    array = np.concatenate(arrays, axis=1)
    array[list(failed)] = 0
    if folder is not None:
        _keep(folder, clips, array, failed)
    return ClipFeatures(array=array, failed=failed)


def _names(clips: Sequence[Clip]) -> list[str]:
    return [f"{clip.path} {clip.start_seconds} {clip.seconds}" for clip in clips]


def _kept(folder: Path, clips: Sequence[Clip]) -> ClipFeatures | None:
    known = folder / "clips.json"
    if not known.exists() or (record := read_json(known))["stamps"] != _stamps(clips):
        return None
    names = _names(clips)
    row = {name: number for number, name in enumerate(record["clips"])}
    array = np.load(folder / "features.npy", allow_pickle=False)[[row[name] for name in names]]
    failed = {i: record["failed"][name] for i, name in enumerate(names) if name in record["failed"]}
    return ClipFeatures(array=array, failed=failed)


def _keep(folder: Path, clips: Sequence[Clip], array: np.ndarray, failed: dict[int, str]) -> None:
    names = _names(clips)
    with atomic_folder(folder) as home:
        np.save(home / "features.npy", array)
        write_json(
            home / "clips.json",
            {"clips": names, "stamps": _stamps(clips), "failed": {names[i]: reason for i, reason in failed.items()}},
        )


def _sounds(
    model: ForeignModel, clips: Sequence[Clip], segments: Path | None, failed: dict[int, str], progress: Progress
) -> np.ndarray:
    array = np.zeros((len(clips), model.widths["audio"]), dtype=np.float32)
    progress.start("embed", len(clips), "files")
    done = 0
    for numbers, waveforms in _sound_batches(model, clips, segments, failed):
        array[numbers] = model.embed(waveforms)
        done += len(numbers)
        progress.update("embed", done + len(failed), failed=len(failed))
    progress.finish("embed")
    return array


def _sound_batches(
    model: ForeignModel, clips: Sequence[Clip], segments: Path | None, failed: dict[int, str]
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Sounds of equal length together, as many as hear-eval-kit takes: 0.7 * 120 s * 16 kHz worth of samples."""
    numbers: list[int] = []
    waiting: list[np.ndarray] = []
    for number, clip in enumerate(clips):
        try:
            waveform = _heard(clip, segments, model.sample_rate)
        except InputError as error:
            failed[number] = str(error)
            continue
        full = len(waiting) * max(1, waveform.size) >= 0.7 * 120 * 16000
        if waiting and (full or waiting[0].size != waveform.size):
            yield numbers, np.stack(waiting)
            numbers, waiting = [], []
        numbers.append(number)
        waiting.append(waveform)
    if waiting:
        yield numbers, np.stack(waiting)


def _heard(clip: Clip, segments: Path | None, sample_rate: int) -> np.ndarray:
    """The clip's sound, else that beside a video without one. Raises InputError where there is neither."""
    try:
        return _mono(_at_rate(segment_file(clip, segments), sample_rate), sample_rate)
    except InputError:
        if clip.sound is None:
            raise
        return _mono(clip.sound, sample_rate)


def _mono(path: Path, sample_rate: int) -> np.ndarray:
    blocks = list(stereo_blocks(path, sample_rate, Heard()))
    if not blocks:
        raise InputError("holds no samples")
    waveform: np.ndarray = torch.cat(blocks, dim=-1).mean(dim=0).numpy()
    return waveform


def _at_rate(path: Path, sample_rate: int) -> Path:
    """The same sound at the model's own rate where a HEAR folder holds that too: ``<rate>/<split>/<name>``."""
    rate_folder = path.parent.parent
    other = rate_folder.with_name(str(sample_rate)) / path.parent.name / path.name
    return other if rate_folder.name.isdecimal() and other.exists() else path


def _videos(
    model: ForeignModel, clips: Sequence[Clip], segments: Path | None, failed: dict[int, str], progress: Progress
) -> np.ndarray:
    sums = np.zeros((len(clips), model.widths["video"]), dtype=np.float64)
    counts = np.zeros(len(clips))
    progress.start("embed", len(clips), "files")
    with _Decoders(model, clips) as decoders:
        waiting: list[tuple[int, torch.Tensor]] = []
        for number, chunk in decoders.chunks(failed):
            waiting.append((number, chunk))
            if len(waiting) == _VIDEO_BATCH:
                _add(model, waiting, sums, counts)
                waiting = []
                progress.update("embed", int((counts > 0).sum()), failed=len(failed))
        if waiting:
            _add(model, waiting, sums, counts)
    progress.finish("embed")
    return (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)


def _add(model: ForeignModel, batch: list[tuple[int, torch.Tensor]], sums: np.ndarray, counts: np.ndarray) -> None:
    numbers = [number for number, _ in batch]
    np.add.at(sums, numbers, model.embed_video(torch.stack([chunk for _, chunk in batch])))
    np.add.at(counts, numbers, 1)


class _Decoders:
    """Threads that decode clips while the model runs in the calling thread; few chunks are in memory at a time."""

    def __init__(self, model: ForeignModel, clips: Sequence[Clip]) -> None:
        sizes = ModelSizes(crop=model.frame_size)
        self._wanted = Wanted(modalities=("video",), sample_rate=48000, sizes=sizes, frames=model.frames)
        self._clips = iter(enumerate(clips))
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: queue.Queue[tuple[int, torch.Tensor | Exception] | None] = queue.Queue(_QUEUED)
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(usable_cores())]

    def __enter__(self) -> _Decoders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def chunks(self, failed: dict[int, str]) -> Iterator[tuple[int, torch.Tensor]]:
        """(clip's number, uint8 (frames, height, width, 3)) as they come; why a clip has none goes into ``failed``."""
        running = len(self._threads)
        while running:
            message = self._queue.get()
            if message is None:
                running -= 1
            elif isinstance(message[1], InputError):
                failed[message[0]] = str(message[1])
            elif isinstance(message[1], Exception):
                raise message[1]
            else:
                yield message[0], message[1]

    def _run(self) -> None:
        while True:
            with self._lock:
                number, clip = next(self._clips, (None, None))
            if number is None or clip is None:
                break
            try:
                for chunk in decode(file_item(str(clip.path)), self._wanted, DecodeNotes()):
                    self._put((number, chunk.data.permute(1, 2, 3, 0)))
            except Exception as error:  # raised again, or noted, in the calling thread
                self._put((number, error))
            if self._stop.is_set():
                return
        self._put(None)

    def _put(self, message: tuple[int, torch.Tensor | Exception] | None) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._queue.put(message, timeout=0.2)
                return


def _stamps(clips: Sequence[Clip]) -> str:
    """A digest of the files' sizes and times of change, which tells when features are out of date."""
    stamps = []
    for clip in clips:
        try:
            status = clip.path.stat()
            stamps.append([str(clip.path), clip.start_seconds, status.st_size, status.st_mtime_ns])
        except OSError:
            stamps.append([str(clip.path), clip.start_seconds, -1, -1])
    return hashlib.sha256(json.dumps(sorted(stamps)).encode()).hexdigest()
