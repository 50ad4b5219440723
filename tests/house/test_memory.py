"""A card whose memory another program has is one line in every stage that brings a model there."""

import types

import numpy as np
import pytest
import torch

from dubcli.embed import Embedder
from dubcli.errors import UserError
from dubcli.probe.foreign import ForeignModel
from dubcli.separate.bags import load_bag
from helpers.separation import fast_demucs, save_model


def embeds(_):
    Embedder("random", preset="tiny").audio(np.zeros((2, 48000)), 48000)


def probes(_):
    model = torch.nn.Linear(2, 2)
    model.sample_rate, model.scene_embedding_size = 16000, 2
    home = types.SimpleNamespace(load_model=lambda: model, get_scene_embeddings=lambda sounds, model: sounds)
    ForeignModel(home, "hear:theirs", device="cpu")


def separates(repo):
    load_bag.cache_clear()
    load_bag("fast", repo)


@pytest.fixture(scope="module")
def model_repo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    save_model(fast_demucs(1), folder, "fast")
    return folder


@pytest.mark.parametrize("stage", [embeds, probes, separates])
def test_no_room_for_the_model_is_one_line(stage, model_repo, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    stage(model_repo)
    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(UserError, match="out of memory on cpu for the model alone"):
        stage(model_repo)
