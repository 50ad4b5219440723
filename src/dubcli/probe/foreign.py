"""Any model with the HEAR API as a source of features: ``hear:MODULE[:WEIGHTS]``."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dubcli.core.atomic import atomic_folder, read_json, write_json
from dubcli.core.checkpoint import content_hash
from dubcli.core.machine import choose_device
from dubcli.embed.sounds import Heard, stereo_blocks
from dubcli.errors import InputError, UserError
from dubcli.jobs.progress import Progress
from dubcli.probe.features import ClipFeatures, segment_file
from dubcli.probe.tasks.data import Clip


class ForeignModel:
    """A HEAR module and the model that it loaded, frozen and in eval mode where it is a torch module."""

    def __init__(self, module: str, weights: str = "", device: str | None = None) -> None:
        """Import ``module`` (the working folder counts) and load its model. Raises UserError for one that cannot."""
        if "" not in sys.path:
            sys.path.insert(0, "")
        try:
            self.module = importlib.import_module(module)
        except ImportError as error:
            raise UserError(f"hear:{module} cannot be imported ({error}); install it, or stand in its folder") from None
        lacking = [name for name in ("load_model", "get_scene_embeddings") if not hasattr(self.module, name)]
        if lacking:
            raise UserError(f"module {module} has no {' and no '.join(lacking)}; it does not have the HEAR API")
        self.model: Any = self.module.load_model(weights) if weights else self.module.load_model()
        self.device = choose_device(device)
        if isinstance(self.model, torch.nn.Module):
            # hear-eval-kit forgets eval(); without it BatchNorm learns from the test set
            self.model.to(self.device).eval()
            self.content_hash = content_hash(self.model.state_dict())
        else:
            self.content_hash = _file_hash(weights, module)
        self.sample_rate = int(self.model.sample_rate)
        self.width = int(self.model.scene_embedding_size)

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        """Scene embeddings of (sounds, samples) mono float32 -> float32 (sounds, width).

        In halves where the device's memory does not hold them at once: a module says nothing of what it needs.
        """
        try:
            return self._embed(waveforms)
        except torch.OutOfMemoryError:
            half = len(waveforms) // 2
        if not half:
            seconds = waveforms.shape[1] / self.sample_rate
            raise UserError(f"out of memory on {self.device} with one sound of {seconds:.0f} s; give --device cpu")
        return np.concatenate([self.embed(waveforms[:half]), self.embed(waveforms[half:])])

    def _embed(self, waveforms: np.ndarray) -> np.ndarray:
        audio = torch.from_numpy(waveforms).to(self.device)
        with torch.no_grad():
            found = self.module.get_scene_embeddings(audio, self.model)
        embeddings = torch.as_tensor(found).detach().cpu().float().numpy()
        if embeddings.shape != (len(waveforms), self.width):
            raise UserError(
                f"{self.module.__name__} gave embeddings of shape {embeddings.shape} for {len(waveforms)} sounds; its "
                f"scene_embedding_size is {self.width}"
            )
        return embeddings


def foreign_features(model: ForeignModel, clips: Sequence[Clip], folder: Path, progress: Progress) -> ClipFeatures:
    """The model's features of clips, mono at its own sample rate, kept in ``folder``."""
    names = [f"{clip.path} {clip.start_seconds} {clip.seconds}" for clip in clips]
    known = folder / "clips.json"
    if known.exists() and read_json(known)["stamps"] == _stamps(clips):
        record = read_json(known)
        row = {name: number for number, name in enumerate(record["clips"])}
        array = np.load(folder / "features.npy", allow_pickle=False)[[row[name] for name in names]]
        return ClipFeatures(array=array, failed={i: record["failed"][n] for i, n in enumerate(names)
                                                 if n in record["failed"]})  # fmt: skip
    array = np.zeros((len(clips), model.width), dtype=np.float32)
    failed: dict[int, str] = {}
    progress.start("embed", len(clips), "files")
    done = 0
    for numbers, waveforms in _batches(model, clips, folder, failed):
        array[numbers] = model.embed(waveforms)
        done += len(numbers)
        progress.update("embed", done + len(failed), failed=len(failed))
    progress.finish("embed")
    with atomic_folder(folder) as home:
        np.save(home / "features.npy", array)
        write_json(
            home / "clips.json",
            {"clips": names, "stamps": _stamps(clips), "failed": {names[i]: reason for i, reason in failed.items()}},
        )
    return ClipFeatures(array=array, failed=failed)


def _batches(
    model: ForeignModel, clips: Sequence[Clip], folder: Path, failed: dict[int, str]
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Sounds of equal length together, as many as hear-eval-kit takes: 0.7 * 120 s * 16 kHz worth of samples."""
    numbers: list[int] = []
    waiting: list[np.ndarray] = []
    for number, clip in enumerate(clips):
        try:
            waveform = _mono(_at_rate(segment_file(clip, folder.parent / "segments"), model.sample_rate),
                             model.sample_rate)  # fmt: skip
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


def _file_hash(weights: str, module: str) -> str:
    path = Path(weights)
    content = path.read_bytes() if weights and path.is_file() else module.encode()
    return hashlib.sha256(content).hexdigest()
