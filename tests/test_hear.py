"""The HEAR API: against the public validator where pip can fetch it, and against a plain reading of the model."""

import contextlib
import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from dubcli import hear
from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.features import log_mel
from dubcli.core.models import DubModel
from dubcli.core.trained import random_trained
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError

VALIDATOR = "hearvalidator==2021.0.6"
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A checkpoint of preset tiny for each kind of variant."""
    folder = tmp_path_factory.mktemp("hear")
    for name in ("a", "efj", "sep"):
        model = DubModel(parse_variant(name, "en", ["en", "es", "fr", "ja"]), "tiny")
        save_checkpoint(folder / f"{name}.pt", model_entries(model, mel_mean=-5.0, mel_std=3.0, config={}))
    return folder


@pytest.fixture(scope="module")
def validator(tmp_path_factory):
    """hearvalidator's module. It declares Python < 3.9 and imports TensorFlow, of which it needs two names only."""
    folder = tmp_path_factory.mktemp("validator")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-requires-python"]
    done = subprocess.run([*command, "--target", str(folder), VALIDATOR], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"pip cannot fetch {VALIDATOR}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    (folder / "tensorflow.py").write_text("class Module:\n    pass\n\n\nfloat32 = 'float32'\n")
    sys.path.insert(0, str(folder))
    try:
        from hearvalidator import validate

        yield validate
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "hearvalidator")]:
            del sys.modules[name]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["a.pt", "efj.pt", "sep.pt", "random:tiny", pytest.param("", marks=pytest.mark.slow)])
def test_passes_the_public_validator(validator, checkpoints, name, device):
    path = str(checkpoints / name) if name.endswith(".pt") else name
    told = io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(told):
        warnings.simplefilter("always")
        validator.ValidateModel("dubcli.hear", path, device=device)()
    texts = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    # one warning is printed for everybody; any other would be about our timestamps
    assert [text for text in texts if "A common bug we have seen" not in text and "imestamp" in text] == []
    assert "get_scene_embeddings" in told.getvalue()


@pytest.fixture(scope="module")
def model():
    return hear.load_model("random:tiny")


def plain(trained, windows):
    """(n, samples) mono -> features, in the plainest way."""
    mels = (log_mel(windows[:, None].expand(-1, 2, -1), trained.sample_rate) - trained.mel_mean) / trained.mel_std
    with torch.no_grad():
        return trained.model.embed_audio(mels)


def test_scene_is_the_mean_of_chunks(model):
    trained = random_trained(0, "tiny")
    audio = torch.rand(2, round(7.6 * 48000)) - 0.5
    padded = torch.nn.functional.pad(audio, (0, 9 * 48000 - audio.shape[1]))
    expected = torch.stack([plain(trained, padded[:, 144000 * i : 144000 * (i + 1)]) for i in range(3)]).mean(dim=0)
    torch.testing.assert_close(hear.get_scene_embeddings(audio, model), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("seconds", [0.0001, 0.4, 1.0, 2.74, 4.4])
def test_scene_equals_embed(model, seconds):
    from dubcli.embed import Embedder

    audio = torch.rand(1, max(1, round(seconds * 48000))) - 0.5
    expected = Embedder("random:tiny").audio(audio, 48000)
    np.testing.assert_allclose(hear.get_scene_embeddings(audio, model).numpy(), expected, atol=1e-6)


def test_timestamps_are_windows_around_their_times():
    trained = random_trained(0, "tiny")
    model = hear.load_model("random:tiny", hop_ms=330.0)
    audio = torch.rand(2, 50000) - 0.5
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert timestamps.tolist() == [[0.0, 330.0, 660.0, 990.0]] * 2
    assert embeddings.dtype == timestamps.dtype == torch.float32
    silence = torch.zeros(2, 72000)
    surrounded = torch.cat([silence, audio, silence], dim=1)
    for index, centre in enumerate((0, 15840, 31680, 47520)):
        expected = plain(trained, surrounded[:, centre : centre + 144000])
        torch.testing.assert_close(embeddings[:, index], expected, atol=1e-6, rtol=1e-5)


def test_hops_that_are_no_whole_samples_do_not_drift(checkpoints):
    model = hear.load_model(checkpoints / "sep.pt", hop_ms=25.0)  # 1102.5 samples at 44.1 kHz
    audio = torch.zeros(1, 40 * 44100)
    audio[0, 39 * 44100] = 1.0  # 39 s is 1560 hops of 25 ms
    model.forward = lambda windows: windows[:, 66150:][:, :1024]  # what lies at the window's centre
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert timestamps[0, 1560] == 39000
    assert embeddings[0, 1560].argmax() == 0
    assert embeddings[0, 1560].max() == 1


def test_sizes_are_ints_and_the_path_may_be_empty(monkeypatch):
    monkeypatch.setattr(hear, "load_trained_or_random", lambda path, seed: random_trained(seed, "tiny"))
    model = hear.load_model()
    assert [model.sample_rate, model.scene_embedding_size, model.timestamp_embedding_size] == [48000, 1024, 1024]
    same, other = hear.load_model(""), hear.load_model("", seed=1)
    audio = torch.rand(1, 48000) - 0.5
    assert torch.equal(hear.get_scene_embeddings(audio, model), hear.get_scene_embeddings(audio, same))
    assert not torch.equal(hear.get_scene_embeddings(audio, model), hear.get_scene_embeddings(audio, other))


def test_wrong_input_is_refused(model, tmp_path):
    for audio in (torch.zeros(48000), torch.zeros(1, 0), torch.zeros(1, 48000, dtype=torch.int16)):
        with pytest.raises(ValueError, match="give float"):
            hear.get_scene_embeddings(audio, model)
        with pytest.raises(ValueError, match="give float"):
            hear.get_timestamp_embeddings(audio, model)
    with pytest.raises(UserError, match="hop_ms"):
        hear.load_model("random:tiny", hop_ms=0)
    with pytest.raises(UserError, match="not there"):
        hear.load_model(tmp_path / "gone.pt")
