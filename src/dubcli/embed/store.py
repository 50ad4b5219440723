"""Features on disk: blocks while the work goes on, whole arrays at its end, never more than a block in memory.

While ``embed`` runs, ``OUT/.embed/`` holds one ``.npz`` per finished block of inputs, named by what it was made from
(the inputs' names, sizes and times, the checkpoint, the options). A killed run loses the blocks it was at, no more.
When the last block is there they become ``audio.npy``, ``video.npy`` and ``items.csv``; ``embed.json`` comes last and
says that the folder is complete.
"""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from dubcli.core.atomic import atomic_write, read_json, writing
from dubcli.embed.config import MODALITIES
from dubcli.errors import UserError

WORK_FOLDER = ".embed"
ITEM_COLUMNS = (
    "path", "duration", "chunks", "status", "reason", "audio_chunks", "video_chunks", "padded_seconds", "first_row",
    "rows",
)  # fmt: skip
CHUNK_COLUMNS = ("path", "chunk", "start_seconds", "stop_seconds", "padded_seconds", "audio", "video")


@dataclass
class Block:
    """The features of some consecutive inputs: ``items`` and ``chunks`` are the rows of the two tables."""

    items: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of the feature arrays."""
        return sum(item["rows"] for item in self.items)

    @classmethod
    def joined(cls, parts: Sequence[Block]) -> Block:
        """One block of several, in order; of the modalities that one of its items has."""
        items = [item for part in parts for item in part.items]
        present = [name for name in MODALITIES if any(item[f"{name}_chunks"] for item in items)]
        return cls(
            items,
            [chunk for part in parts for chunk in part.chunks],
            {name: np.concatenate([part.features[name] for part in parts]) for name in present},
        )


def save_block(path: Path, block: Block) -> None:
    """Write a block atomically. Raises OSError."""
    tables = json.dumps({"items": block.items, "chunks": block.chunks}).encode("utf-8", "surrogateescape")
    with atomic_write(path) as file:
        np.savez(file, tables=np.frombuffer(tables, dtype=np.uint8), **block.features)  # type: ignore[arg-type]


def load_block(path: Path) -> Block:
    """Read a block. Raises UserError when the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            tables = json.loads(arrays["tables"].tobytes().decode("utf-8", "surrogateescape"))
            features = {name: arrays[name] for name in MODALITIES if name in arrays}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run embed again") from None
    return Block(tables["items"], tables["chunks"], features)


def write_features(out: Path, blocks: Sequence[Path], *, per_chunk: bool, file_format: str) -> dict[str, int]:
    """Join the blocks into the tables and arrays of ``out``; return counts of statuses, rows and modalities."""
    counts = _write_tables(out, blocks, per_chunk=per_chunk)
    rows = counts["rows"]
    present = [name for name in MODALITIES if counts[f"{name}_chunks"]]
    for name in ("audio.npy", "video.npy", "features.npz", "features.parquet"):
        (out / name).unlink(missing_ok=True)
    if file_format == "npy":
        for name in present:
            with atomic_write(out / f"{name}.npy") as file:
                _write_array(file, blocks, name, rows)
    elif file_format == "npz":
        with atomic_write(out / "features.npz") as file, zipfile.ZipFile(file, "w", allowZip64=True) as archive:
            for name in present:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    _write_array(member, blocks, name, rows)
    else:
        _write_parquet(out / "features.parquet", blocks, present, per_chunk=per_chunk)
    return counts


def _write_tables(out: Path, blocks: Sequence[Path], *, per_chunk: bool) -> dict[str, int]:
    counts = {"rows": 0, "files": 0, "ok": 0, "failed": 0, "audio_chunks": 0, "video_chunks": 0}
    with atomic_write(out / "items.csv", "w") as items_file, atomic_write(out / "chunks.csv", "w") as chunks_file:
        items = csv.DictWriter(items_file, ITEM_COLUMNS, lineterminator="\n")
        chunks = csv.DictWriter(chunks_file, CHUNK_COLUMNS, lineterminator="\n")
        items.writeheader()
        chunks.writeheader()
        for path in blocks:
            block = load_block(path)
            for item in block.items:
                items.writerow({**_writable(item), "first_row": counts["rows"]})
                counts["rows"] += item["rows"]
                counts["files"] += 1
                counts[item["status"]] += 1
                counts["audio_chunks"] += item["audio_chunks"]
                counts["video_chunks"] += item["video_chunks"]
            chunks.writerows(_writable(chunk) for chunk in block.chunks)
    if not per_chunk:
        (out / "chunks.csv").unlink()
    return counts


def _writable(row: dict[str, Any]) -> dict[str, Any]:
    """File names that are not UTF-8 are written with their odd bytes as backslash escapes."""
    path = row["path"].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return {**row, "path": path}


def _width(blocks: Sequence[Path], name: str) -> int:
    """Of the features of a modality, which at least one of the blocks has."""
    return next(int(found.shape[1]) for path in blocks if (found := load_block(path).features.get(name)) is not None)


def _arrays(blocks: Sequence[Path], name: str, width: int) -> Iterator[np.ndarray]:
    for path in blocks:
        block = load_block(path)
        empty = np.zeros((block.rows, width), dtype=np.float32)
        yield np.ascontiguousarray(block.features.get(name, empty), dtype=np.float32)


def _write_array(file: IO[bytes], blocks: Sequence[Path], name: str, rows: int) -> None:
    width = _width(blocks, name)
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    npy_format.write_array_header_1_0(file, header)
    for array in _arrays(blocks, name, width):
        file.write(array.tobytes())


def _write_parquet(path: Path, blocks: Sequence[Path], present: Sequence[str], *, per_chunk: bool) -> None:
    """One row group per block: the table's columns, and each modality as a list of float32."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError("--format parquet needs pyarrow: pip install 'dubcli[parquet]'") from None
    widths = {name: _width(blocks, name) for name in present}
    texts, numbers = ("path", "status", "reason"), ("duration", "start_seconds", "stop_seconds", "padded_seconds")
    columns = CHUNK_COLUMNS[:5] if per_chunk else ITEM_COLUMNS[:8]
    kinds = {
        name: pa.string() if name in texts else pa.float64() if name in numbers else pa.int64() for name in columns
    }
    schema = pa.schema([*kinds.items(), *((name, pa.list_(pa.float32(), width)) for name, width in widths.items())])
    with atomic_write(path) as file, pq.ParquetWriter(file, schema) as writer:
        for source in blocks:
            block = load_block(source)
            table = [_writable(row) for row in (block.chunks if per_chunk else block.items)]
            if not table:
                continue
            cells = [pa.array([row[name] for row in table], kind) for name, kind in kinds.items()]
            vectors = []
            for name, width in widths.items():
                array = block.features.get(name, np.zeros((block.rows, width), dtype=np.float32))
                vectors.append(pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), width))
            writer.write_table(pa.table([*cells, *vectors], schema=schema))


def open_work_folder(out: Path) -> Path:
    """Make ``OUT/.embed``. Raises UserError when the target cannot be written."""
    folder = out / WORK_FOLDER
    with writing(out):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    return folder


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

    Returns:
        What is in it; a row per input, or per chunk.

    Raises:
        UserError: it is none, or not complete.

    >>> from dubcli.embed import embed, load_features
    >>> _ = embed("sounds", "runs/es", "kept")
    >>> [item["duration"] for item in load_features("kept").items[:2]]
    [1.0, 1.0]
    """
    home = Path(folder)
    description = read_json(home / "embed.json")
    arrays = _stored_arrays(home, description)
    chunks = home / "chunks.csv"
    return Features(
        audio=arrays.get("audio"),
        video=arrays.get("video"),
        items=read_embed_table(home / "items.csv"),
        chunks=read_embed_table(chunks) if chunks.exists() else [],
        description=description,
    )


def read_embed_table(path: Path) -> list[dict[str, Any]]:
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


def _stored_arrays(home: Path, description: dict[str, Any]) -> dict[str, np.ndarray]:
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
