"""The folder that ``embed`` writes, read back."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.core.atomic import read_json
from dubcli.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features in the order of their inputs.

    Args:
        audio: float32 (rows, features); None where no input has sound. Rows without it are zeros.
        video: the same of pictures.
        items: the rows of ``items.csv``, one per input, with numbers as numbers.
        chunks: those of ``chunks.csv``, empty unless per chunk. Row i of the arrays belongs to row i of ``chunks`` if
            features are per chunk, else of ``items``.
        description: ``embed.json``.

    >>> from dubcli.embed import load_features
    >>> load_features("features").audio.dtype  # doctest: +SKIP
    dtype('float32')
    """

    audio: np.ndarray | None
    video: np.ndarray | None
    items: list[dict[str, Any]]
    chunks: list[dict[str, Any]]
    description: dict[str, Any]

    def array(self, modality: str) -> np.ndarray | None:
        """``audio`` or ``video`` by name."""
        return self.audio if modality == "audio" else self.video

    def in_memory(self) -> Features:
        """The same with arrays that do not need the folder any more."""
        audio, video = (None if array is None else np.array(array) for array in (self.audio, self.video))
        return replace(self, audio=audio, video=video)

    def has(self, modality: str) -> np.ndarray:
        """Which inputs have features of ``modality``: bool (items,)."""
        return np.array([item[f"{modality}_chunks"] > 0 for item in self.items], dtype=bool)


def load_features(folder: str | os.PathLike[str]) -> Features:
    """Read an output folder of ``embed``; arrays of format npy stay on disk, memory-mapped.

    Args:
        folder: the folder.

    Raises:
        UserError: it is none, or not complete.

    >>> from dubcli.embed import embed, load_features
    >>> _ = embed("sounds", "runs/es", "kept")
    >>> [item["duration"] for item in load_features("kept").items[:2]]
    [1.0, 1.0]
    """
    home = Path(folder)
    description = read_json(home / "embed.json")
    arrays = _arrays(home, description)
    chunks = home / "chunks.csv"
    return Features(
        audio=arrays.get("audio"),
        video=arrays.get("video"),
        items=read_table(home / "items.csv"),
        chunks=read_table(chunks) if chunks.exists() else [],
        description=description,
    )


def read_table(path: Path) -> list[dict[str, Any]]:
    """A table of ``embed`` with its numbers as int and float. Raises UserError when it is not there."""
    texts = ("path", "status", "reason")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [
                {name: cell if name in texts else _number(cell) for name, cell in row.items()}
                for row in csv.DictReader(file)
            ]
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run embed again") from None


def _number(cell: str) -> int | float:
    return float(cell) if "." in cell or "e" in cell else int(cell)


def _arrays(home: Path, description: dict[str, Any]) -> dict[str, np.ndarray]:
    names = description["arrays"]
    file_format = description["config"]["format"]
    if file_format == "npz":
        with np.load(home / "features.npz", allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    if file_format == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(home / "features.parquet", columns=names)
        return {name: table[name].combine_chunks().flatten().to_numpy().reshape(len(table), -1) for name in names}
    return {name: np.load(home / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
