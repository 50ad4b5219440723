"""Backbones, heads and freezing: shapes, sizes, and what may and may not move."""

import copy
import pickle

import pytest
import torch
from torch import nn

from dubcli.core.backbones import AcousticResNet50, x3d_m
from dubcli.core.models import (
    PRESETS,
    DubModel,
    ModelSizes,
    count_parameters,
    freeze,
    normalise_pixels,
    unfreeze,
)
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError

LANGUAGES = ["en", "es", "fr", "ja"]


def variant(name):
    return parse_variant(name, "en", LANGUAGES)


def inputs(heads, batch=2, frames=40, crop=64):
    generator = torch.Generator().manual_seed(0)
    given = {name: torch.randn(batch, 2, 96, frames, generator=generator) for name in heads if name != "video"}
    if "video" in heads:
        given["video"] = torch.randn(batch, 3, 4, crop, crop, generator=generator)
    return {"video": None, "secondary": None, **given}


def flops(function, *shapes):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        function(*(torch.empty(shape, device="meta") for shape in shapes))
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize(
    ("preset", "video_parameters", "audio_parameters", "video_gflop", "audio_gflop"),
    [
        ("paper", 5_072_850, 34_025_984, 9.467, 29.259),
        ("small", 1_601_986, 2_531_456, 2.111, 1.837),
        ("tiny", 897_394, 768_256, 0.236, 0.462),
        ("micro", 343_438, 768_256, 0.009, 0.031),
    ],
)
def test_sizes(preset, video_parameters, audio_parameters, video_gflop, audio_gflop):
    with torch.device("meta"):
        model = DubModel(variant("mono"), preset)
    crop = PRESETS[preset].crop
    assert count_parameters(model.video) == video_parameters
    assert count_parameters(model.audio) == audio_parameters
    assert count_parameters(model.heads) == 3 * (1024 * 512 + 2 * 512 + 512 * 128 + 128)
    assert flops(model.embed_video, (1, 3, 16, crop, crop)) == pytest.approx(video_gflop, abs=1e-3)
    assert flops(model.embed_audio, (1, 2, 96, 280)) == pytest.approx(audio_gflop, abs=1e-3)
    for frames in (280, 257, 1000):
        assert model.embed_audio(torch.empty(3, 2, 96, frames, device="meta")).shape == (3, 1024)
    assert model.embed_video(torch.empty(3, 3, 16, crop, crop, device="meta")).shape == (3, 1024)


def test_x3d_m_is_pytorchvideos():
    """At 224 the replaced pool changes nothing, and there is no activation after the last layer."""
    from pytorchvideo.models.x3d import create_x3d

    torch.manual_seed(0)
    ours = x3d_m("paper").eval()
    theirs = create_x3d(
        input_clip_length=16, input_crop_size=224, model_num_class=1024, dropout_rate=0.0, head_activation=None
    ).eval()
    theirs.load_state_dict(ours.state_dict())
    clip = torch.randn(1, 3, 16, 224, 224)
    with torch.no_grad():
        features = ours(clip)
        assert features.shape == (1, 1024)
        assert torch.allclose(features, theirs(clip), atol=1e-5)
        assert (features < 0).any()
        assert (features.sum() - 1).abs() > 1e-3


def test_audio_head_averages_over_time_and_frequency():
    torch.manual_seed(0)
    backbone = AcousticResNet50("tiny").eval()
    mels = torch.randn(2, 2, 96, 280)
    with torch.no_grad():
        maps = mels.permute(0, 1, 3, 2)[:, :, :, None]  # time by frequency
        for block in backbone.blocks[:-1]:
            maps = block(maps)
        expected = backbone.blocks[-1].proj(maps.mean(dim=(2, 3, 4)))
        assert torch.allclose(backbone(mels), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("mono", ["video", "primary", "secondary"]),
        ("es", ["video", "primary", "secondary"]),
        ("sep", ["video", "primary"]),
        ("a-efj", ["primary", "secondary"]),
    ],
)
def test_forward_uses_every_parameter_of_the_variant(name, heads):
    torch.manual_seed(0)
    model = DubModel(variant(name), "tiny")
    assert (model.video is None) == ("video" not in heads)
    projections = model(**inputs(heads))
    assert list(projections) == heads
    assert all(projection.shape == (2, 128) for projection in projections.values())
    sum(projection.square().sum() for projection in projections.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_forward_refuses_other_inputs():
    model = DubModel(variant("sep"), "tiny")
    with pytest.raises(ValueError, match="sep takes video, primary"):
        model(**inputs(["video", "primary", "secondary"]))
    with pytest.raises(ValueError, match="a takes primary, secondary"):
        DubModel(variant("a"), "tiny")(**inputs(["video", "primary", "secondary"]))
    with pytest.raises(UserError, match="no video"):
        DubModel(variant("a"), "tiny").embed_video(torch.zeros(1))
    with pytest.raises(UserError, match="preset"):
        DubModel(variant("a"), "huge")
    with pytest.raises(ValueError, match="crop"):
        ModelSizes(crop=16)


def test_primary_and_secondary_share_the_backbone_and_nothing_else():
    model = DubModel(variant("mono"), "tiny").eval()
    given = inputs(["video", "primary", "secondary"])
    given["secondary"] = given["primary"]
    projections = model(**given)
    assert not torch.allclose(projections["primary"], projections["secondary"])
    assert torch.equal(projections["primary"], model.heads["primary"](model.embed_audio(given["primary"])))
    assert torch.equal(projections["secondary"], model.heads["secondary"](model.embed_audio(given["primary"])))


def test_projections_of_different_clips_differ_from_the_start():
    """Or training with negatives of both modalities maps every clip to one point and stays there."""
    torch.manual_seed(0)
    model = DubModel(variant("mono"), "tiny").train()
    projections = model(**inputs(["video", "primary", "secondary"], batch=16))
    for name, rows in projections.items():
        unit = nn.functional.normalize(rows, dim=1)
        mean_cosine = ((unit @ unit.T).sum() - 16) / (16 * 15)
        assert mean_cosine < 0.5, name


def test_in_training_each_audio_is_normalised_by_its_own_batch():
    torch.manual_seed(0)
    model = DubModel(variant("mono"), "tiny")
    given = inputs(["video", "primary", "secondary"], batch=4)
    first = model(**given)
    given["secondary"] = given["secondary"] * 5 + 1
    second = model(**given)
    assert torch.equal(first["primary"], second["primary"])
    assert not torch.allclose(first["secondary"], second["secondary"], atol=1e-3)


def test_memory_format_and_autocast_change_rounding_only():
    torch.manual_seed(0)
    model = DubModel(variant("mono"), "tiny").eval()
    given = inputs(["video", "primary", "secondary"], crop=112)
    with torch.no_grad():
        plain = model(**given)
        model.to(memory_format=torch.channels_last_3d)
        fast = model(**{**given, "video": given["video"].to(memory_format=torch.channels_last_3d)})
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = model(**given)
    for name, expected in plain.items():
        assert torch.allclose(fast[name], expected, atol=1e-4 * expected.abs().max().item()), name
        assert low[name].dtype == torch.bfloat16
        assert torch.allclose(low[name].float(), expected, atol=0.1 * expected.abs().max().item()), name


@pytest.mark.slow
def test_both_backbones_compile_without_a_break():
    torch.manual_seed(0)
    model = DubModel(variant("mono"), "tiny").eval()
    given = inputs(["video", "primary", "secondary"], crop=112)
    with torch.no_grad():
        expected = model(**given)
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)(**given)
    assert all(torch.allclose(compiled[name], expected[name], atol=1e-6) for name in expected)


def statistics_of(model):
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def test_freeze_keeps_batchnorm_still():
    torch.manual_seed(0)
    model = DubModel(variant("mono"), "tiny")
    given = inputs(["video", "primary", "secondary"])
    thawed = statistics_of(model)
    model(**given)
    assert any(not torch.equal(buffer, thawed[name]) for name, buffer in model.named_buffers())  # or this test is void
    assert freeze(model) is model
    before, expected = statistics_of(model), model(**given)
    parent = nn.Sequential(model, nn.Linear(2, 2))
    parent.train()
    model.train()
    model.audio.train(True)
    for part in model.modules():
        part.train()
    again = model(**given)
    assert not any(part.training for part in model.modules())
    assert parent.training
    assert parent[1].training
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(torch.equal(again[name], expected[name]) for name in expected)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(value.requires_grad for value in again.values())


def test_what_was_frozen_can_be_trained_again():
    model = freeze(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    assert unfreeze(model) is model
    assert all(part.training for part in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    assert model[1].num_batches_tracked == 1
    model.eval()
    assert not any(part.training for part in model.modules())
    model.train()
    assert model[1].training


def test_frozen_models_copy_and_pickle_frozen():
    norm = freeze(nn.Sequential(nn.BatchNorm1d(3)))
    for twin in (copy.deepcopy(norm), pickle.loads(pickle.dumps(norm))):
        assert twin.train() is twin
        twin(torch.randn(5, 3))
        assert not twin[0].training
        assert twin[0].num_batches_tracked == 0
        assert twin[0].train.args[0] is twin[0]


def test_normalise_pixels():
    pixels = torch.arange(256, dtype=torch.uint8)
    expected = (torch.arange(256, dtype=torch.float64) / 255 - 0.45) / 0.225
    assert normalise_pixels(pixels).dtype == torch.float32
    assert torch.allclose(normalise_pixels(pixels).double(), expected, atol=1e-6)
    assert pixels[255] == 255
