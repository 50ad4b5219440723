"""A small random model and sounds written once."""

import pytest
import soundfile

from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.trained import random_trained
from dubcli.core.variants import parse_variant
from dubcli.embed import Embedder


@pytest.fixture(scope="session")
def tiny():
    """The random model of preset tiny, whose runs share compiled and folded backbones."""
    return Embedder(random_trained(0, "tiny"))


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Checkpoint files of preset tiny by variant."""
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = {}
    for name in ("a", "efj", "sep"):
        model = DubModel(parse_variant(name, "en", ["en", "es", "fr", "ja"]), "tiny")
        paths[name] = folder / name / "ckpt.pt"
        save_checkpoint(paths[name], model_entries(model, mel_mean=-5.0, mel_std=3.0, config={"variant": name}))
    return paths


@pytest.fixture
def write_sound(tmp_path):
    """``write_sound(name, samples, rate)``: a sound file of (samples,) or (samples, channels)."""

    def write(name, samples, rate=48000, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, **options)
        return path

    return write
