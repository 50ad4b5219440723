"""What a results file of ``dubav probe`` holds, for the stage that writes it and those that read it: no torch here.

``<model>.json``: task, model, modality, metric, mean, std and scores over the splits, the protocol, what the result
depends on (``identity``), what the features come from with the model's training (``features``), what the data were.
``<model>.predictions.npz`` beside it: ``clips``, the names of all clips, and for each split ``<split>.rows`` (their
numbers), ``<split>.labels`` and ``<split>.scores.<output>``.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.errors import UserError

FORMAT = 2  # 1: no modality, names of clips, fingerprint of the clips used or training of the model
_LETTERS = {"audio": "A", "video": "V"}
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)

Array = np.ndarray[Any, Any]


def named(score: float) -> float | str | None:
    """A score as strict JSON holds it: ``"Infinity"`` and ``"-Infinity"`` are text, which ``float()`` reads; None where
    it is not defined."""
    if math.isinf(score):
        return "Infinity" if score > 0 else "-Infinity"
    return None if math.isnan(score) else float(score)


def number(value: Any) -> float:
    """The inverse of ``named``; NaN for what is no score."""
    try:
        return math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def shown(score: float, form: str = ".3f") -> str:
    """A score for people."""
    if math.isinf(score):
        return "infinite" if score > 0 else "-infinite"
    return "undefined" if math.isnan(score) else format(score, form)


def letters(modalities: Iterable[str]) -> str:
    """The paper's column M: A, V or AV."""
    return "".join(letter for name, letter in _LETTERS.items() if name in set(modalities))


def modality_of(content: Mapping[str, Any]) -> str:
    """A, V or AV; empty where an older file does not say."""
    identity = content.get("identity") or {}
    return str(content.get("modality") or letters(identity.get("modalities") or ()))


def format_notice(content: Mapping[str, Any]) -> str | None:
    """What a file of an earlier format does not hold, in words; None for today's."""
    if content.get("format", 1) >= FORMAT:
        return None
    return (
        "was written by an earlier dubav, without the names of its clips and the training of its model: clips of equal "
        "numbers and labels are taken for the same, and seeds are known by names alone"
    )


def predictions_beside(results_file: Path) -> Path:
    """Where the raw predictions of a results file are."""
    return results_file.with_name(results_file.name.removesuffix(".json") + ".predictions.npz")


def read_predictions(path: Path) -> dict[str, Array]:
    """The arrays beside the results file ``path``. Raises UserError where they are missing or damaged."""
    file = predictions_beside(path)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except _DAMAGED as error:
        raise UserError(
            f"{file} cannot be read ({error}); it stands beside its results file: probe it again with --again"
        ) from None
