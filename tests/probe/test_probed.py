"""What a MODEL argument means."""

import sys

import numpy as np
import pytest
import torch

from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.trained import random_trained
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT
from dubcli.probe.probed import CheckpointModel, OutsideModel, Settings, StoredModel, open_model
from dubcli.probe.tasks.find import load_task
from dubcli.probe.tasks.registry import FOLDER, find_task
from probe.layouts import folder_task, hear_task, sound

MODULE = '''
"""A HEAR module: the embedding is (mean square, number of samples, calls in training mode, 1)."""
import torch

class Net(torch.nn.Module):
    sample_rate = 16000
    scene_embedding_size = 4
    timestamp_embedding_size = 4

    def __init__(self, path):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(1)
        self.scale = torch.nn.Parameter(torch.tensor(float(len(path))))

def load_model(path=""):
    return Net(path)

def get_scene_embeddings(audio, model):
    assert audio.ndim == 2 and audio.dtype == torch.float32
    n = torch.full((len(audio),), float(audio.shape[1]))
    training = torch.full((len(audio),), float(model.training))
    return torch.stack([audio.square().mean(1), n, training, torch.ones(len(audio))], 1)
'''


@pytest.fixture
def settings(tmp_path):
    return Settings(root=tmp_path / "features", preset="tiny", devices=("cpu",))


@pytest.fixture
def hear_module(tmp_path, monkeypatch):
    (tmp_path / "my_hear_module.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield "my_hear_module"
    sys.modules.pop("my_hear_module", None)


def checkpoint(path):
    trained = random_trained(7, "tiny")
    save_checkpoint(path, model_entries(trained.model, mel_mean=-4.0, mel_std=4.0, config={}))
    return trained


def test_checkpoint_file_and_run_folder(tmp_path, settings):
    trained = checkpoint(tmp_path / "efj" / "ckpt.pt")
    for argument in (tmp_path / "efj" / "ckpt.pt", tmp_path / "efj"):
        model = open_model(str(argument), settings)
        assert isinstance(model, CheckpointModel)
        assert model.name == "efj-ckpt"
        assert model.identity()["content_hash"] == trained.content_hash


def test_a_checkpoint_that_is_not_there_lists_the_runs(tmp_path, settings, monkeypatch):
    checkpoint(tmp_path / "runs" / "efj" / "ckpt.pt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="ckpt.pt is not there; found here: runs/efj/ckpt.pt"):
        open_model("ckpt.pt", settings)


@pytest.mark.parametrize(
    ("argument", "name"),
    [("random", "random-seed0-tiny"), ("random:3", "random-seed3-tiny"), ("random:tiny:2", "random-seed2-tiny")],
)
def test_random(settings, argument, name):
    model = open_model(argument, settings)
    assert model.name == name
    assert model.kind == "random"


def test_random_of_what(settings):
    with pytest.raises(UserError, match="'huge' is neither a seed nor a preset"):
        open_model("random:huge", settings)


def test_the_paper_preset_has_the_plain_name(tmp_path):
    assert open_model("random", Settings(root=tmp_path, devices=("cpu",))).name == "random-seed0"


def test_hear_module_is_evaluated_at_its_own_rate_in_eval_mode(tmp_path, settings, hear_module):
    data = load_task(FOLDER, folder_task(tmp_path / "own", each=3))
    model = open_model(f"hear:{hear_module}", settings)
    assert isinstance(model, OutsideModel)
    assert model.name == "hear-my_hear_module"
    found = model.features(data, ["audio"], SILENT)
    assert found.array.shape == (12, 4)
    np.testing.assert_array_equal(found.array[:, 1], 4000)
    assert not found.array[:, 2].any()
    assert (found.array[:, 0] > 0.04).all()
    model.model.embed = lambda *_: pytest.fail("computed again")
    np.testing.assert_array_equal(model.features(data, ["audio"], SILENT).array, found.array)
    with pytest.raises(UserError, match="hears only"):
        model.features(data, ["video"], SILENT)


def test_hear_module_sees_a_changed_file(tmp_path, settings, hear_module):
    data = load_task(FOLDER, folder_task(tmp_path / "own", each=3))
    model = open_model(f"hear:{hear_module}", settings)
    model.features(data, ["audio"], SILENT)
    sound(data.clips[4].path, seconds=0.5)
    assert model.features(data, ["audio"], SILENT).array[4, 1] == 8000


def test_hear_module_takes_a_hear_folders_own_rate(tmp_path, settings, hear_module):
    home = hear_task(tmp_path / "tasks")
    for path in home.glob("48000/*/*.wav"):
        sound(home / "16000" / path.parent.name / path.name, seconds=0.2)
    found = open_model(f"hear:{hear_module}", settings).features(load_task(find_task("esc50"), home), ["audio"], SILENT)
    np.testing.assert_array_equal(found.array[:, 1], 3200)


def test_hear_weights_are_part_of_name_and_hash(settings, hear_module):
    one, two = (open_model(f"hear:{hear_module}{weights}", settings) for weights in ("", ":a/b.pt"))
    assert (one.name, two.name) == ("hear-my_hear_module", "hear-my_hear_module-b")
    assert one.identity()["content_hash"] != two.identity()["content_hash"]


def test_hear_damaged_sound_is_told(tmp_path, settings, hear_module):
    data = load_task(FOLDER, folder_task(tmp_path / "own", each=3))
    data.clips[2].path.write_text("no sound")
    assert set(open_model(f"hear:{hear_module}", settings).features(data, ["audio"], SILENT).failed) == {2}


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("hear:no_such_module_here", "cannot be imported"),
        ("hear:json", "has no load_model and no get_scene_embeddings"),
        ("hear:", "needs a module"),
        ("features:no/such/folder", "is not there; give features:FOLDER"),
    ],
)
def test_a_source_that_is_none(settings, argument, message):
    with pytest.raises(UserError, match=message):
        open_model(argument, settings)


def test_a_features_folder_of_nobody(tmp_path):
    with pytest.raises(UserError, match="neither features of dubav embed .* nor hear-eval-kit's embeddings of esc50"):
        StoredModel(f"features:{tmp_path}").own_task(find_task("esc50"))


def test_audio_only_checkpoints_have_no_video(tmp_path, settings):
    from dataclasses import replace

    from dubcli.embed import Embedder

    data = load_task(FOLDER, folder_task(tmp_path / "own", each=1))
    model = open_model("random", settings)
    video, model.trained.model.video = model.trained.model.video, None
    model.embedder = Embedder(replace(model.trained), device="cpu")
    assert video is not None
    with pytest.raises(UserError, match="audio-only checkpoint; .* needs audio and video"):
        model.features(data, ["audio", "video"], SILENT)


def test_features_are_made_on_all_devices(tmp_path, monkeypatch):
    place = folder_task(tmp_path / "own")
    data = load_task(FOLDER, place)
    one = Settings(root=tmp_path / "one", preset="tiny", devices=("cpu",))
    assert (one.device, one.gpus) == ("cpu", None)
    many = Settings(root=tmp_path / "many", preset="tiny", devices=("cpu", "cpu"))
    assert (many.device, many.gpus) == ("cpu", 2)
    asked = []

    def choose(device, gpus):
        asked.append((device, gpus))
        return [torch.device("cpu")] * 2

    monkeypatch.setattr("dubcli.embed.blocks.choose_devices", choose)
    monkeypatch.setattr("dubcli.embed.blocks._BLOCKS_PER_PROCESS", 1)
    monkeypatch.setattr("dubcli.embed.inputs._BLOCK_ITEMS", 3)
    alone, spread = (open_model("random", each).features(data, ["audio"], SILENT) for each in (one, many))
    assert asked == [(None, 2)]
    np.testing.assert_array_equal(spread.array, alone.array)
    assert alone.array.any()
