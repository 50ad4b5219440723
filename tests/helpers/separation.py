"""Small separation models with seeded random weights, and how demucs writes them."""

import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.states import get_state
from diffq import DiffQuantizer
from safetensors.torch import save_file

SOURCES = ["drums", "bass", "other", "vocals"]
SEGMENT_SECONDS = 1.5


def small_hdemucs(seed: int = 0, **options) -> HDemucs:
    """HDemucs with 8 channels: with 4 its norm raises on a last chunk of 1 to 4 samples."""
    torch.manual_seed(seed)
    return HDemucs(SOURCES, **{"channels": 8, "segment": SEGMENT_SECONDS, **options}).eval()


def fast_demucs(seed: int = 0, **options) -> Demucs:
    """Demucs in the time domain alone, with few and narrow layers."""
    torch.manual_seed(seed)
    sizes = {"channels": 4, "depth": 2, "segment": 1, "lstm_layers": 0, "resample": False, **options}
    return Demucs(SOURCES, **sizes).eval()


def save_model(model, folder: Path, signature: str, *, quantised: bool = False, extra=None) -> Path:
    """Write ``<signature>-<checksum>.th`` as demucs's training does."""
    quantiser = DiffQuantizer(model, min_size=0.01, group_size=8) if quantised else None
    arguments, options = model._init_args_kwargs
    package = {
        "klass": type(model),
        "args": arguments,
        "kwargs": options,
        "state": get_state(model, quantiser),
        "training_args": {"extra": extra},
    }
    content = io.BytesIO()
    torch.save(package, content)
    checksum = hashlib.sha256(content.getvalue()).hexdigest()[:8]
    path = folder / f"{signature}-{checksum}.th"
    path.write_bytes(content.getvalue())
    return path


def save_hub_form(model, path, quantised=None):
    """As demucs's tools/export_hf.py writes a model: its class and arguments are JSON in the metadata."""
    _, options = model._init_args_kwargs
    state = model.state_dict() if quantised is None else quantised
    metadata = {"klass": f"{type(model).__module__}.{type(model).__name__}", "args": json.dumps([list(model.sources)])}
    metadata["kwargs"] = json.dumps(options)
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, path, metadata)


def silent_vocals(**recipe):
    """Stands for a Separator where the test is not about separation: all of the sound is in the other stem."""

    def stems(sound, report):
        for _ in sound():  # a Separator hears a track twice: for its mean and level first
            pass
        for block in sound():
            yield torch.stack([block, torch.zeros_like(block)])

    bag = SimpleNamespace(sample_rate=44100, vocals=1)
    return SimpleNamespace(bag=bag, stems=stems, recipe=lambda: {"model": "none", **recipe}, errors=dict)
