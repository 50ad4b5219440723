"""The embeddings folder of hear-eval-kit: a task with its features, read from JSON and raw float32 only.

The kit writes ``<split>.embeddings.npy`` without a npy header and its labels as a pickle beside. The pickle is never
opened: the same labels stand in ``<split>.json`` and in a JSON file per sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubcli.core.atomic import read_json
from dubcli.errors import UserError
from dubcli.probe.tasks import hear
from dubcli.probe.tasks.data import Clip, TaskData, check_labels


def is_kit_folder(folder: Path) -> bool:
    """Whether ``folder`` holds embeddings of the kit for one task."""
    return (folder / hear.METADATA).is_file() and next(folder.glob("*.embedding-dimensions.json"), None) is not None


def find_kit_folder(folder: Path, hear_name: str, mode: str) -> Path | None:
    """``folder`` itself or the one in it that holds the embeddings of the HEAR task ``hear_name`` ("" for any)."""
    fitting = []
    for place in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if is_kit_folder(place):
            metadata = read_json(place / hear.METADATA)
            if not hear_name or metadata.get("task_name") == hear_name:
                fitting.append((metadata.get("mode", "full") != mode, str(place), place))
    return min(fitting)[2] if fitting else None


def read_kit(folder: Path) -> tuple[TaskData, np.ndarray]:
    """The task of a kit folder and its features, float32 (clips, dim), in the kit's order where that can be known.

    The kit shuffles each split's keys with one generator of seed 0; where the sounds' own embeddings lie beside, the
    rows are checked against them, and taken from them if the order is another (older versions used the file
    system's). Raises UserError for sizes that do not fit and for labels that are not in the vocabulary.
    """
    metadata = hear.read_metadata(folder)
    splits = hear.split_names(folder, metadata)
    clips: list[Clip] = []
    parts: list[str] = []
    arrays: list[np.ndarray] = []
    notes: list[str] = []
    for split, listed in hear.ordered_labels(folder, splits):
        names = [name for name, _ in listed]
        array = read_memmap(folder, split)
        if len(array) != len(names):
            raise UserError(f"{folder / (split + '.embeddings.npy')} has {len(array)} rows for {len(names)} sounds")
        checked = _checked(folder / split, names, array)
        if checked is None:
            notes.append(f"{split}: no embeddings of single sounds to check the order of the rows against")
        elif checked is not array:
            notes.append(f"{split}: the rows are in another order than the kit's keys; taken from the single files")
        arrays.append(array if checked is None else checked)
        clips.extend(Clip(path=folder / split / name, labels=labels) for name, labels in listed)
        parts.extend(split for _ in listed)
    classes = hear.read_vocabulary(folder)
    metrics, unknown = hear.known_metrics(metadata, classes)
    data = TaskData(
        name=str(metadata["task_name"]),
        kind=str(metadata["prediction_type"]),
        folder=folder,
        layout="embeddings of hear-eval-kit",
        classes=(classes,),
        clips=tuple(clips),
        splits=hear.fold_splits(splits, parts, folder),
        metrics=metrics,
        notes=(*notes, *unknown),
    )
    widths = sorted({array.shape[1] for array in arrays})
    if len(widths) > 1:
        raise UserError(f"{folder}: the splits' embeddings have different widths {widths}; embed the task again")
    return check_labels(data), np.concatenate(arrays)


def read_memmap(folder: Path, split: str) -> np.ndarray:
    """``<split>.embeddings.npy``: raw little-endian float32, (n, dim) by ``<split>.embedding-dimensions.json``."""
    dimensions = read_json(folder / f"{split}.embedding-dimensions.json")
    path = folder / f"{split}.embeddings.npy"
    if not (isinstance(dimensions, list) and len(dimensions) == 2 and all(isinstance(n, int) for n in dimensions)):
        raise UserError(f"{folder / (split + '.embedding-dimensions.json')} does not hold [rows, width]")
    rows, width = dimensions
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if size != 4 * rows * width or not size:
        raise UserError(f"{path} has {size} bytes, [{rows}, {width}] float32 need {4 * rows * width}; embed again")
    return np.array(np.memmap(path, dtype="<f4", mode="r", shape=(rows, width)), dtype=np.float32)


def _checked(folder: Path, names: Sequence[str], array: np.ndarray) -> np.ndarray | None:
    """``array`` if its rows are the single sounds' embeddings in order, those instead if not; None without files."""
    files = [folder / f"{name}.embedding.npy" for name in names]
    if not all(file.exists() for file in files):
        return None
    try:
        single = np.stack([np.load(file, allow_pickle=False) for file in files]).astype(np.float32)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: an embedding of a single sound cannot be read: {error}") from None
    return array if np.array_equal(single, array, equal_nan=True) else single
