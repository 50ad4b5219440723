"""Write a stem as a sound file: any rate and channels, block by block, the same bytes every time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor

from dubcli.core.atomic import atomic_write
from dubcli.errors import InputError
from dubcli.media.resample import Resampler

_WAV_BYTES = (1 << 32) - (1 << 16)  # a WAV file counts its bytes in 32 bits
_SAMPLE_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "DOUBLE": 8}
_COUNTED_IN_32_BITS = frozenset({"WAV", "WAVEX", "AIFF", "AU", "VOC", "SVX"})
_PEAK_REACH = 4096  # bytes of a WAV file among which its PEAK chunk begins, if it has one


@dataclass(frozen=True, kw_only=True)
class SoundFormat:
    """How a sound is stored: Hz, 1 or 2 channels, libsndfile's format and subtype, samples of each channel."""

    sample_rate: int
    channels: int
    format: str
    subtype: str
    samples: int = 0


class SoundWriter:
    """Takes (2, samples) float32 blocks at ``source_rate`` and writes them in ``shape``."""

    def __init__(self, file: soundfile.SoundFile, source_rate: int, shape: SoundFormat) -> None:
        self._file, self._shape, self._source_rate = file, shape, source_rate
        same = source_rate == shape.sample_rate
        self._resampler = None if same else Resampler(source_rate, shape.sample_rate, 2)
        self._written = 0
        self.clipped = 0

    def add(self, block: Tensor) -> None:
        """Write the next samples."""
        samples = block.numpy()
        self._write(samples if self._resampler is None else self._resampler.push(samples))

    def finish(self) -> None:
        """Write the end, to the length that the source had."""
        if self._resampler is not None:
            self._write(self._resampler.finish())
        missing = self._shape.samples - self._written
        if missing > 0:
            self._write(np.zeros((2, missing), np.float32))

    def _write(self, stereo: npt.NDArray[np.float32]) -> None:
        samples = stereo[:, : max(0, self._shape.samples - self._written)]
        if self._shape.channels == 1:
            samples = samples.mean(axis=0, keepdims=True)
        if self._shape.subtype not in ("FLOAT", "DOUBLE"):
            self.clipped += int((np.abs(samples) > 1).sum())
        self._file.write(samples.T)
        self._written += samples.shape[1]


@contextmanager
def sound_file(path: Path, source_rate: int, shape: SoundFormat) -> Iterator[SoundWriter]:
    """A SoundWriter whose file takes ``path``'s place when the block ends without an exception."""
    shape = replace(shape, format=_format_that_holds(shape))
    with atomic_write(path) as file:
        with soundfile.SoundFile(
            file, "w", shape.sample_rate, shape.channels, subtype=shape.subtype, format=shape.format
        ) as sound:
            writer = SoundWriter(sound, source_rate, shape)
            yield writer
            writer.finish()
        if shape.format in ("WAV", "RF64") and shape.subtype in ("FLOAT", "DOUBLE"):
            _forget_time(file)


def _format_that_holds(shape: SoundFormat) -> str:
    """RF64 (EBU 3306), which readers of WAV know, instead of a WAV file that is too large. Raises InputError."""
    size = shape.samples * shape.channels * _SAMPLE_BYTES.get(shape.subtype, 4)
    if size < _WAV_BYTES or shape.format not in _COUNTED_IN_32_BITS:
        return shape.format
    if not shape.format.startswith("WAV"):
        raise InputError(f"its sound has {size} bytes, more than {shape.format} holds; give it as FLAC, W64 or RF64")
    return "RF64"


def _forget_time(file: Any) -> None:
    """libsndfile writes into float WAV files when they were made; the same sound shall give the same bytes."""
    file.flush()
    descriptor = os.open(file.name, os.O_RDWR)
    try:
        place = os.pread(descriptor, _PEAK_REACH, 0).find(b"PEAK")
        if place >= 0:
            os.pwrite(descriptor, bytes(4), place + 12)
    finally:
        os.close(descriptor)


def stem_of(stems: Tensor, vocals: int, name: str) -> Tensor:
    """``vocals``, or ``no_vocals``: the sum of the others in their order, as demucs's ``--two-stems`` adds them.

    stems: (sources, channels, samples).
    """
    if name == "vocals":
        return stems[vocals]
    rest = torch.zeros_like(stems[0])
    for source, stem in enumerate(stems):
        if source != vocals:
            rest += stem
    return rest
