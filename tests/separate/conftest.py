"""Small separation models with seeded random weights, as files in a local folder like demucs's own."""

import hashlib
import io
from pathlib import Path

import pytest
import torch
from demucs.hdemucs import HDemucs
from demucs.states import get_state
from diffq import DiffQuantizer

SOURCES = ["drums", "bass", "other", "vocals"]
SEGMENT_SECONDS = 1.5


def small_hdemucs(seed: int = 0, **options) -> HDemucs:
    """HDemucs with 8 channels: with 4 its norm raises on a last chunk of 1 to 4 samples."""
    torch.manual_seed(seed)
    return HDemucs(SOURCES, **{"channels": 8, "segment": SEGMENT_SECONDS, **options}).eval()


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


@pytest.fixture(scope="session")
def model_repo(tmp_path_factory) -> Path:
    """A folder with the models 11111111 and 22222222 (the second quantised) and ``tinybag`` of both, with weights."""
    folder = tmp_path_factory.mktemp("models")
    save_model(small_hdemucs(1), folder, "11111111")
    save_model(small_hdemucs(2), folder, "22222222", quantised=True)
    recipe = "models: ['11111111', '22222222']\nweights: [[1, 0.5, 1, 2], [1, 1, 0.25, 0.7]]\nsegment: 1.25\n"
    (folder / "tinybag.yaml").write_text(recipe)
    return folder
