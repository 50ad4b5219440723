"""The rows nearest to a query: all compared in one matrix product, or, of very many, by FAISS (extra ``faiss``).

FAISS's inverted lists are made once and kept beside the vectors. They choose candidates, whose scores are then computed
exactly: what is found has the score and the order that the exact search gives it, but a near row may be missed.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.core.atomic import atomic_write
from dubcli.jobs.progress import SILENT, Progress
from dubcli.search.index import VECTORS_FILE, Float, Index

MANY = 1_000_000
"""Rows up to which all are compared."""

LISTS_FILE = "vectors.faiss"
_SHARE_OF_LISTS = 8  # one list in so many is looked into: see the recall in tests/search/test_nearest.py
_MORE = 10  # so many times what is asked for are candidates
_TRAINED_ON = 64  # vectors of each list
Numbers = npt.NDArray[np.int64]


def nearest(index: Index, query: Float, among: Numbers, top: int, progress: Progress = SILENT) -> tuple[Numbers, Float]:
    """The ``top`` rows of ``among`` nearest to a query of length 1, and their cosines, the nearest first.

    Among equals those first that come first in the index. ``progress`` is told where not all rows are compared, or
    where they are although FAISS could spare it.
    """
    rows = len(index.vectors)
    if rows > MANY and importlib.util.find_spec("faiss") is None:
        progress.message(f"{rows} rows are all compared; pip install faiss-cpu finds among so many faster, nearly all")
    elif rows > MANY and (lists := _lists(index, progress)) is not None:
        progress.message(f"{rows} rows: FAISS looks into one list in {_SHARE_OF_LISTS}; a near row may be missed")
        among = _candidates(index, lists, query, among, top)
        return _ranked(among, np.asarray(index.vectors[among] @ query), top)
    return _ranked(among, index.scores(query)[among], top)


def _ranked(numbers: Numbers, scores: Float, top: int) -> tuple[Numbers, Float]:
    order = np.argsort(-scores, kind="stable")[:top]
    return numbers[order], scores[order]


def _candidates(index: Index, lists: Any, query: Float, among: Numbers, top: int) -> Numbers:
    """Rows of ``among`` in the lists near the query, in the index's order."""
    faiss = _faiss()
    bits = np.zeros(len(index.vectors), np.uint8)
    bits[among] = 1
    selector = faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little"))
    probed = math.ceil(lists.nlist / _SHARE_OF_LISTS)
    parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probed)
    _, found = lists.search(query[None], min(top * _MORE, len(among)), params=parameters)
    numbers: Numbers = np.sort(found[0][found[0] >= 0]).astype(np.int64)
    # few are wanted, and none of them is in the lists looked into: all are few enough to be compared
    return numbers if len(numbers) >= min(top, len(among)) else among


def _lists(index: Index, progress: Progress) -> Any:
    """The inverted lists of an index, made where they are not there or older than the vectors; None where they cannot
    be kept beside them (an index that others share, on a disk that is read-only): a line says so."""
    faiss = _faiss()
    path, vectors = index.folder / LISTS_FILE, index.folder / VECTORS_FILE
    if not path.is_file() or path.stat().st_mtime_ns < vectors.stat().st_mtime_ns:
        try:
            _write_lists(path, index.vectors, faiss)
        except OSError as error:
            progress.message(f"all rows are compared: FAISS's lists cannot be written to {path} ({error.strerror})")
            return None
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP)


def _faiss() -> Any:
    """Without a type: its stubs describe the C++ classes and not what their Python faces accept."""
    return importlib.import_module("faiss")


def _write_lists(path: Path, vectors: Float, faiss: Any) -> None:
    rows, width = vectors.shape
    count = max(1, min(rows // _TRAINED_ON, round(4 * math.sqrt(rows))))
    lists = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, count, faiss.METRIC_INNER_PRODUCT)
    chosen = np.sort(np.random.default_rng(0).choice(rows, min(rows, count * _TRAINED_ON), replace=False))
    lists.train(np.ascontiguousarray(vectors[chosen]))
    at_once = 1 << 18
    for start in range(0, rows, at_once):
        lists.add(np.ascontiguousarray(vectors[start : start + at_once]))
    with atomic_write(path) as file:
        file.write(faiss.serialize_index(lists).tobytes())
