"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dubcli.core import exported
from dubcli.core.atomic import atomic_write
from dubcli.core.models import DubModel
from dubcli.core.trained import TrainedModel, mismatch, trained_of
from dubcli.errors import UserError

FORMAT = 2  # 1: no backbones named, the paper's; variants as languages with one kind of primary
READ_FORMATS = (1, 2)


def model_entries(model: DubModel, *, mel_mean: float, mel_std: float, config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a checkpoint that ``load_trained`` reads; a trainer adds its own keys beside it."""
    return {
        "format": FORMAT,
        "config": dict(config),
        "variant": model.variant.to_dict(),
        "preset": model.preset,
        "backbones": {modality: spec.to_dict() for modality, spec in model.backbones.items()},
        "projection": asdict(model.projection),
        "sample_rate": model.variant.sample_rate,
        "mel_mean": float(mel_mean),
        "mel_std": float(mel_std),
        "model": model.state_dict(),
    }


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically. ``state`` holds tensors and plain values; the format number is added."""
    with atomic_write(path) as file:
        torch.save({"format": FORMAT, **state}, file)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint onto the CPU with ``weights_only``: a foreign file cannot run code.

    Raises UserError when the file is missing, is no checkpoint, is damaged or has another format number.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint {path} is not there; {_found_instead(str(path))}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a foreign pickle's protocol; it is refused below in our own words
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"checkpoint {path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError, KeyError, ... by what is damaged
        raise UserError(
            f"{path} is damaged or not a checkpoint of dubav ({type(error).__name__}); take another, "
            "such as an epoch-NN.pt of the same run folder"
        ) from error
    if not isinstance(state, dict) or "format" not in state:
        raise UserError(f"{path} is not a checkpoint of dubav; give the ckpt.pt or epoch-NN.pt of a run folder")
    if state["format"] not in READ_FORMATS:
        reads = " and ".join(map(str, READ_FORMATS))
        raise UserError(f"{path} has checkpoint format {state['format']}, this dubav reads {reads}; update dubav")
    return state


def _found_instead(asked: str) -> str:
    found = sorted(str(path) for path in Path().glob("runs/*/ckpt.pt"))
    if found:
        return f"found here: {', '.join(found)}"
    # asked for by that word, it is not taken where this is said: nothing is there to export, say
    return "train one with dubav pretrain" + (", or use the word random" if asked != "random" else "")


def load_trained(path: str | os.PathLike[str], backbones: Mapping[str, nn.Module] | None = None) -> TrainedModel:
    """The frozen model of a checkpoint file, of the ``ckpt.pt`` in a run folder, or of a folder of ``dubav export``.

    Args:
        path: the file or the folder.
        backbones: modules for ``audio`` and ``video`` that the weights are put into; only for checkpoints whose
            backbones were made in Python, others name how theirs are made.

    Returns:
        The model, in eval mode, with what is known of it.

    Raises:
        UserError: as ``load_checkpoint``; a backbone's module does not import; the weights do not fit the model that
            the file names.

    >>> trained = load_trained("runs/es")
    >>> trained.variant.name, trained.preset, trained.model.feature_sizes
    ('es', 'minute', {'audio': 1024, 'video': 1024})
    """
    path = Path(path)
    if path.is_dir():
        if exported.is_exported(path):
            return exported.load_exported(path, backbones)
        path = path / "ckpt.pt"
    state = load_checkpoint(path)
    try:
        return trained_of(state, state["model"], backbones, config=state["config"], asked=str(path),
                          name=f"{path.resolve().parent.name}-{path.stem}")  # fmt: skip
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path} does not hold a whole model ({mismatch(error)}); train again or take another"
        ) from error


def rng_state() -> dict[str, Tensor]:
    """States of the generators of torch (CPU and, where used, this process's CUDA device), numpy and python.

    All are tensors, so that a checkpoint with them loads with ``weights_only``.
    """
    version, words, gauss = random.getstate()
    python = [version, *words, int(gauss is not None), *np.float64(gauss or 0.0).view(np.int64).reshape(1).tolist()]
    _, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    tail = [position, has_gauss, int(np.float64(cached).view(np.int64))]
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(python, dtype=torch.int64),
        "numpy": torch.tensor([*np.asarray(keys).tolist(), *tail], dtype=torch.int64),
    }
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def restore_rng(states: Mapping[str, Tensor]) -> None:
    """Put the generators back where ``rng_state`` found them. A CUDA state without a CUDA device is left aside."""
    torch.set_rng_state(states["torch"].cpu())
    version, *words, has_gauss, bits = states["python"].tolist()
    gauss = float(np.int64(bits).view(np.float64)) if has_gauss else None
    random.setstate((version, tuple(words), gauss))
    *keys, position, has_normal, cached = states["numpy"].tolist()
    normal = float(np.int64(cached).view(np.float64))
    np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, has_normal, normal))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
