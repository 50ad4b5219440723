"""Checkpoints: what is written comes back, whatever is broken is named in one line."""

import os
import pickle
import random

import numpy as np
import pytest
import torch

from dubcli.core.checkpoint import load_checkpoint, load_trained, model_entries, restore_rng, rng_state, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.trained import content_hash, random_trained
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return DubModel(parse_variant("multi:es,fr", "en", ["en", "es", "fr"]), "tiny", dropout=0.2)


@pytest.fixture
def path(tmp_path, model):
    path = tmp_path / "runs" / "mine" / "ckpt.pt"
    state = model_entries(model, mel_mean=-5.5, mel_std=4.5, config={"epochs": 10})
    save_checkpoint(path, {**state, "step": 7, "rng": rng_state(), "optimizer": {"state": {}, "param_groups": []}})
    return path


def test_a_trained_model_comes_back_frozen(path, model):
    trained = load_trained(path)
    assert (trained.name, trained.preset, trained.sample_rate) == ("mine-ckpt", "tiny", 48000)
    assert (trained.mel_mean, trained.mel_std, trained.config) == (-5.5, 4.5, {"epochs": 10})
    assert trained.variant == model.variant
    assert trained.content_hash == content_hash(model.state_dict())
    assert not trained.model.train().training
    mels = torch.randn(2, 2, 96, 60)
    was_training = model.training
    model.eval()
    assert torch.equal(trained.model.embed_audio(mels), model.embed_audio(mels))
    model.train(was_training)
    assert load_trained(path.parent).name == "mine-ckpt"
    assert load_checkpoint(path)["step"] == 7
    assert os.listdir(path.parent) == ["ckpt.pt"]


def test_a_failed_write_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(Exception, match=r"pickle|local"):
        save_checkpoint(path, {"model": {}, "bad": lambda: None})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["ckpt.pt"]


def test_content_hash_sees_names_types_shapes_and_values():
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    base = content_hash(weights)
    assert content_hash(dict(reversed(weights.items()))) == base
    assert content_hash({**weights, "a": weights["a"].T.contiguous().T}) == base
    changes = [
        {"a": weights["a"].reshape(3, 2)},
        {"a": weights["a"].double()},
        {"a": weights["a"] + 1e-6},
        {"b": torch.tensor(4)},
        {"c": torch.tensor(3)},
        {"a": weights["a"].bfloat16()},
    ]
    assert len({content_hash({**weights, **change}) for change in changes} | {base}) == len(changes) + 1


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def broken(kind, path, tmp_path):
    """Paths of files that are no good checkpoint."""
    target = tmp_path / f"{kind}.pt"
    content = path.read_bytes()
    if kind == "cut":
        target.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        target.write_bytes(b"")
    elif kind == "text":
        target.write_text("not a checkpoint\n")
    elif kind == "pickle":
        target.write_bytes(pickle.dumps(Evil()))
    elif kind == "foreign":
        torch.save({"state_dict": {}}, target)
    elif kind == "list":
        torch.save([1, 2], target)
    elif kind == "newer":
        torch.save({"format": 3}, target)
    elif kind in ("no weights", "other weights", "other variant"):
        state = load_checkpoint(path)
        weights = state["model"].items()
        key, value = {
            "no weights": ("model", {}),
            "other weights": (
                "model",
                {name: tensor[:1] if tensor.dim() else tensor for name, tensor in weights},
            ),
            "other variant": ("variant", {"name": "x", "secondaries": []}),
        }[kind]
        save_checkpoint(target, {**state, key: value})
    return target


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("cut", "damaged"),
        ("empty", "damaged"),
        ("text", "damaged"),
        ("pickle", "damaged"),
        ("foreign", "not a checkpoint of dubav"),
        ("list", "not a checkpoint of dubav"),
        ("newer", "format 3, this dubav reads 1 and 2"),
        ("no weights", "whole model"),
        ("other weights", "whole model"),
        ("other variant", "whole model"),
        ("missing", "is not there"),
    ],
)
def test_bad_files_are_named_in_one_line(kind, message, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = broken(kind, path, tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        load_trained(target)
    assert str(target) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "evil").exists()


def test_a_missing_checkpoint_lists_the_runs_there_are(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"ckpt.pt is not there; found here: runs/mine/ckpt.pt"):
        load_trained("ckpt.pt")
    path.unlink()
    with pytest.raises(UserError, match="dubav pretrain"):
        load_trained("ckpt.pt")


def test_random_baseline_is_a_function_of_the_seed():
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first = random_trained(0, "tiny")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(12)
    assert random_trained(0, "tiny").content_hash == first.content_hash
    assert random_trained(1, "tiny").content_hash != first.content_hash
    assert (first.name, first.model.training, first.sample_rate) == ("random-seed0", False, 48000)
    assert first.model.embed_audio(torch.randn(2, 2, 96, 280)).shape == (2, 1024)
    assert first.model.embed_video(torch.randn(2, 3, 16, 112, 112)).shape == (2, 1024)
    with pytest.raises(UserError, match="preset"):
        random_trained(0, "large")


def draw_everywhere():
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]


def test_random_states_come_back_through_a_file(tmp_path):
    for warm_up in range(3):  # after an odd number of normal draws, python and numpy keep a second one in store
        for _ in range(warm_up):
            random.gauss(0, 1)
            np.random.randn()
        save_checkpoint(tmp_path / "rng.pt", {"rng": rng_state()})
        expected = [draw_everywhere() for _ in range(3)]
        states = load_checkpoint(tmp_path / "rng.pt")["rng"]
        assert all(isinstance(value, torch.Tensor) for value in states.values())
        restore_rng(states)
        assert [draw_everywhere() for _ in range(3)] == expected
