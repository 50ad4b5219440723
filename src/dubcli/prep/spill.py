"""Arrays of float16 in a file that has no name: what is kept of a long film needs no memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Half = npt.NDArray[np.float16]


class Spill:
    """Values one after another, written at the end and read anywhere. ``folder``: on whose disk; None is the system's.

    The file is gone with the object, and with the process. Raises OSError where the disk is full.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self.size = 0

    def append(self, values: npt.NDArray[np.floating[Any]]) -> int:
        """Write them, as float16. Returns the place of the first."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        place = self.size
        self._file.write(values.astype(np.float16).tobytes())
        self._file.flush()
        self.size += values.size
        return place

    def read(self, place: int, count: int) -> Half:
        """(``count``,) values from a place on; fewer at the end."""
        if self._file is None:
            return np.zeros(0, np.float16)
        return np.frombuffer(os.pread(self._file.fileno(), 2 * count, 2 * place), np.float16)


class Windows(Mapping[int, Half]):
    """Stretches of waveform, (2, ``samples``) each, by where they start."""

    def __init__(self, samples: int, folder: Path | None) -> None:
        self._spill, self._samples = Spill(folder), samples
        self._places: dict[int, int] = {}

    def __getitem__(self, start: int) -> Half:
        return self._spill.read(self._places[start], 2 * self._samples).reshape(2, -1)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, start: int, window: npt.NDArray[np.floating[Any]]) -> None:
        """Keep one."""
        self._places[start] = self._spill.append(window)

    def remove(self, start: int) -> None:
        """Forget one."""
        del self._places[start]
