"""A device that is not there is one line and exit status 2, in every command that has one."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from soundfile import write

from dubcli.cli.app import load_command
from dubcli.embed import EmbedConfig
from dubcli.hear import load_model
from dubcli.probe.config import ProbeConfig
from dubcli.separate import SeparateConfig
from helpers.separation import fast_demucs, save_model
from helpers.sounds import noise


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """A folder with a sound, labelled sounds and features of them, a separation model, and a result."""
    monkeypatch.chdir(tmp_path)
    write("a.wav", noise(1, 16000), 16000)
    rows = []
    for number in range(8):
        path = tmp_path / "data/train" / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, noise(1, 16000, seed=number), 16000)
        rows.append({"path": str(path), "status": "ok", "reason": "", "audio_chunks": 1, "video_chunks": 0, "rows": 1})
    (tmp_path / "features").mkdir()
    np.save("features/audio.npy", np.random.default_rng(0).normal(size=(8, 1024)).astype(np.float32))
    with open("features/items.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    (tmp_path / "features/embed.json").write_text(json.dumps({"rows_of": "items.csv"}))
    (tmp_path / "models").mkdir()
    save_model(fast_demucs(1), tmp_path / "models", "fast")
    return tmp_path


COMMANDS = {
    "embed": "a.wav random --preset tiny --out out",
    "separate": "a.wav --out out --model fast --model-repo models",
    "probe": "folder features:features --data data --protocol linear --out out",
    "report": "data --out out",
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("device", ["cuda", "cuda:99", "nonsense"])
def test_device_that_is_not_there(ready, name, device):
    result = CliRunner().invoke(load_command(name), [*COMMANDS[name].split(), "--quiet", "--device", device])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"dubav: --device {device} ")
    assert result.stderr.count("\n") == 1
    assert not (ready / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
@pytest.mark.parametrize("name", ["embed", "separate", "probe"])
def test_gpus_that_are_not_there(ready, name):
    result = CliRunner().invoke(load_command(name), [*COMMANDS[name].split(), "--quiet", "--gpus", "3"])
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("dubav: --gpus 3, but this machine has no GPU")
    assert not (ready / "out").exists()


@pytest.mark.parametrize("name", ["embed", "separate", "probe"])
def test_misspelt_precision(ready, name):
    result = CliRunner().invoke(load_command(name), [*COMMANDS[name].split(), "--precision", "bfloat61"])
    assert result.exit_code == 2
    assert "--precision is 'bfloat61' (did you mean bfloat16" in result.stderr


@pytest.mark.parametrize("config", [EmbedConfig(), ProbeConfig(), SeparateConfig()])
def test_long_words_of_precision_are_taken(config):
    assert replace(config, precision="bfloat16") == replace(config, precision="bf16")
    assert replace(config, precision="float32").precision == "fp32"


def test_hear_has_one_vocabulary_too():
    audio = torch.from_numpy(noise(1, 48000).T.astype(np.float32))
    exact = load_model("random:tiny")
    assert exact.precision == "fp32"
    assert torch.equal(load_model("random:tiny", precision="auto")(audio), exact(audio))  # on the CPU
    narrow = load_model("random:tiny", precision="bfloat16")(audio)
    assert narrow.dtype == torch.float32
    assert 0.999 < torch.nn.functional.cosine_similarity(narrow, exact(audio)).min() < 1
    with pytest.raises(Exception, match="fp16 needs a GPU"):
        load_model("random:tiny", precision="fp16")(audio)
