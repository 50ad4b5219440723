"""A checkpoint as a model of MTEB (package ``mteb`` from 2.8 on, which carries the audio benchmark MAEB)::

    import mteb
    from dubcli.mteb import load

    tasks = mteb.get_benchmark("MAEB(audio-only)").tasks
    mteb.evaluate(load("runs/efj"), tasks)

Sounds go through our own resampler and chunks, as ``dubcli.embed.Embedder`` has them. The name of the model holds the
checkpoint's, its revision is that of the weights, so that results of other weights are never taken up again.
``pip install mteb`` brings the package; it wants Python 3.11.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dubcli.core.trained import TrainedModel
from dubcli.embed.embedder import Embedder
from dubcli.errors import UserError


class MtebEncoder:
    """What MTEB asks of an encoder of sounds.

    Args:
        embedder: the model; ``layer`` and ``projected`` are its options.

    Raises:
        UserError: the package is not there.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._meta = _meta(embedder)

    @property
    def mteb_model_meta(self) -> Any:
        """MTEB's record of what the model is."""
        return self._meta

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        """float32 (sounds, features) of a DataLoader whose rows have ``audio``: ``array`` and ``sampling_rate``.

        Raises UserError where rows have none.
        """
        inputs.collate_fn = _rows
        found = [self._embedder.audio([_array(row)], _rate(row)) for batch in inputs for row in batch]
        width = self._embedder.feature_sizes["audio"]
        return np.concatenate(found) if found else np.zeros((0, width), np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of all with all: (n, m)."""
        import torch

        return torch.from_numpy(_unit(embeddings1) @ _unit(embeddings2).T)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of each with its own: (n,)."""
        import torch

        return torch.from_numpy((_unit(embeddings1) * _unit(embeddings2)).sum(axis=-1))


def load(ckpt: str | os.PathLike[str] | TrainedModel = "random", **options: Any) -> MtebEncoder:
    """A checkpoint for ``mteb.evaluate``.

    Args:
        ckpt: a checkpoint, an exported folder, ``random``, or what ``dubcli.from_pretrained`` returned.
        options: of ``dubcli.embed.Embedder``: device, precision, layer, projected. The precision is float32
            unless it says otherwise, as other models' there.

    Raises:
        UserError: the package is not there, ``ckpt`` is no checkpoint.
    """
    return MtebEncoder(Embedder(ckpt, **{"precision": "fp32", **options}))


def _meta(embedder: Embedder) -> Any:
    try:
        from mteb.models.model_meta import ModelMeta, ScoringFunction
    except ImportError:
        raise UserError(
            "dubcli.mteb needs the package mteb from 2.8 on (Python 3.11): pip install 'mteb>=2.8'"
        ) from None
    trained, output = embedder.trained, embedder.output.identity()
    suffix = "".join(f"-{name}-{value}" if value is not True else f"-{name}" for name, value in output.items())
    return ModelMeta.create_empty(
        {
            "name": f"dubcli/{trained.name}{suffix}",
            "revision": trained.content_hash[:12],
            "modalities": ["audio"],
            "embed_dim": embedder.feature_sizes["audio"],
            "n_parameters": sum(weight.numel() for weight in trained.model.audio.parameters()),
            "framework": ["PyTorch"],
            "similarity_fn_name": ScoringFunction.COSINE,
        }
    )


def _rows(rows: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """A batch as it comes: sounds have different lengths and rates."""
    return rows


def _sound(row: Mapping[str, Any]) -> Mapping[str, Any]:
    if "audio" not in row:
        raise UserError(f"dubcli.mteb takes sounds; this task's rows have {', '.join(row)}")
    found: Mapping[str, Any] = row["audio"]
    return found


def _array(row: Mapping[str, Any]) -> np.ndarray:
    return np.asarray(_sound(row)["array"], dtype=np.float32)


def _rate(row: Mapping[str, Any]) -> int:
    return int(_sound(row)["sampling_rate"])


def _unit(embeddings: Any) -> np.ndarray:
    array = np.atleast_2d(np.asarray(embeddings, dtype=np.float64))
    unit: np.ndarray = array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12)
    return unit
