"""Every reading of what the paper leaves open trains, another model than the default one, and is recorded."""

import json

import pytest
import torch

from dubcli.cache.layout import CACHE_FILE
from dubcli.core.checkpoint import load_trained
from dubcli.core.readings import READINGS, readings_of
from dubcli.embed.blocks import wanted_of
from dubcli.embed.config import EmbedConfig
from dubcli.embed.embedder import Embedder
from dubcli.errors import UserError
from dubcli.pretrain import PretrainConfig, train
from dubcli.pretrain.learner import parameter_groups
from helpers.caches import make_cache
from helpers.runs import pretrain, small_config

# what one process on an even cache cannot show: tests of films, of ranks and of the sampler do
ELSEWHERE = {"films_with", "val_fraction", "local_negatives", "sync_bn", "clip_gradient"}
OTHERS = [
    pytest.param(dict(choice.value), id=f"{reading.title}: {choice.meaning}")
    for reading in READINGS
    for choice in reading.others
    if reading.command == "pretrain" and not ELSEWHERE & set(choice.value)
]
RUN = {"variant": "es", "max_steps": 2, "deterministic": True}


def weights(cache, out, **options):
    train(small_config(cache, out, **{**RUN, **options}), device="cpu")
    return load_trained(out)


@pytest.fixture(scope="module")
def usual(cache, tmp_path_factory):
    return weights(cache, tmp_path_factory.mktemp("usual") / "run")


@pytest.mark.parametrize("options", OTHERS)
def test_another_reading_trains_another_model_and_is_recorded(cache, usual, tmp_path, options):
    found = weights(cache, tmp_path / "run", **options)
    assert found.content_hash != usual.content_hash
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())
    expected = PretrainConfig(**options).to_dict()
    for name in options:
        assert recorded[name] == found.config[name] == expected[name]
    assert readings_of("pretrain", found.config).keys() >= options.keys()
    assert all(torch.isfinite(tensor.float()).all() for tensor in found.model.state_dict().values())


def test_only_weights_of_layers_decay(usual):
    model = usual.model
    everything = list(model.parameters())
    assert [len(group["params"]) for group in parameter_groups(model, "all")] == [len(everything)]
    decaying, others = parameter_groups(model, "weights")
    assert len(decaying["params"]) + len(others["params"]) == len(everything)
    assert others["weight_decay"] == 0
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all("norm" in names[id(p)] or "bias" in names[id(p)] or "bn" in names[id(p)] or p.ndim == 1
               for p in others["params"])  # fmt: skip
    assert {p.ndim for p in decaying["params"]} == {2, 5}


def test_levels_have_the_scale_of_their_form():
    with pytest.raises(UserError, match="--randaugment-magnitude is 27; of pytorchvideo give 0 to 10"):
        PretrainConfig(randaugment="pytorchvideo", randaugment_magnitude=27)
    assert PretrainConfig(randaugment_magnitude=27).data.randaugment_magnitude == 27
    with pytest.raises(UserError, match="randaugment.*pytorchvide.*did you mean pytorchvideo"):
        PretrainConfig(randaugment="pytorchvide")


def test_the_command_tells_them_and_trains_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = pretrain(tmp_path / "none", tmp_path / "run", "--readings")
    assert done.returncode == 0
    assert "or --randaugment pytorchvideo: level 9 of 10" in done.stdout
    assert not (tmp_path / "run").exists()


def test_videos_are_looked_at_as_the_checkpoints_cache_was_made(tmp_path):
    cache = make_cache(tmp_path / "cache", films=2, clips=4, languages=("en", "es"))
    info = json.loads((cache / CACHE_FILE).read_text())
    info["parameters"]["frame_rule"] = "ends"
    (cache / CACHE_FILE).write_text(json.dumps(info))
    found = weights(cache, tmp_path / "run")
    assert found.frame_rule == "ends"
    assert wanted_of(Embedder(found, device="cpu"), EmbedConfig()).frame_rule == "ends"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["frame_rule"] == "ends"
