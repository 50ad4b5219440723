"""What features are: pooled, of a layer, projected; the same through embed, Embedder and HEAR, and recorded."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import dubcli
from dubcli import hear
from dubcli.core.features import log_mel
from dubcli.core.models import DubModel, freeze
from dubcli.core.outputs import Output
from dubcli.core.trained import random_trained
from dubcli.core.transforms import normalise_mels
from dubcli.core.variants import parse_variant
from dubcli.embed import EmbedConfig, Embedder, embed, load_features
from dubcli.embed.blocks import open_embedder
from dubcli.errors import UserError
from helpers.sounds import noise


@pytest.fixture(scope="module")
def trained():
    return random_trained(0, "tiny")


@pytest.fixture(scope="module")
def sound():
    """Seven seconds, mono at 48 kHz: chunks of 3 and 3 seconds by the rule, the last second is left out."""
    return noise(7)[:, 0].astype(np.float32)


def mels_of(sound, trained, start, seconds=3):
    part = torch.from_numpy(sound[start * 48000 : (start + seconds) * 48000])
    return normalise_mels(log_mel(part.expand(1, 2, -1), 48000), trained.mel_mean, trained.mel_std)


def test_pools_and_hops(tiny, sound):
    chunks = tiny.audio(sound, 48000, per_chunk=True)
    assert chunks.shape == (2, 1024)
    np.testing.assert_allclose(tiny.audio(sound, 48000, pool="max"), chunks.max(axis=0, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(tiny.audio(sound, 48000), chunks.mean(axis=0, keepdims=True), atol=1e-6)
    hops = tiny.audio([sound, sound[:96000]], 48000, pool="none", hop_seconds=1.5)
    assert hops.shape == (4 + 1, 1024)  # at 0, 1.5, 3 and, of which 2.5 s are there, 4.5; the short one's only chunk
    np.testing.assert_allclose(hops[[0, 2]], chunks, atol=1e-5)
    for wrong in ({"pool": "median"}, {"hop_seconds": 0.0}, {"hop_seconds": float("nan")}):
        with pytest.raises(UserError, match=r"pool|hop"):
            tiny.audio(sound, 48000, **wrong)


def test_many_sounds_are_embedded_in_pieces_as_alone(tiny):
    sounds = [noise(seconds, rate=8000, seed=number)[:, 0] for number, seconds in enumerate([1, 30, 2, 3, 31, 1])]
    together = tiny.audio(sounds, 8000)
    for one, row in zip(sounds, together, strict=True):
        np.testing.assert_allclose(tiny.audio(one, 8000)[0], row, atol=1e-6)


@pytest.mark.parametrize("layer", ["blocks.3", "blocks.2.res_blocks.0.branch2.conv_a", "blocks.5"])
def test_a_layer_is_what_a_hook_on_the_plain_model_sees(trained, sound, layer):
    seen = []
    handle = trained.model.audio.get_submodule(layer).register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        trained.model.audio(mels_of(sound, trained, 0))
    handle.remove()
    expected = seen[0].flatten(2).mean(dim=2) if seen[0].dim() > 2 else seen[0]
    embedder = Embedder(trained, layer=layer)
    assert embedder.feature_sizes["audio"] == expected.shape[1]
    found = embedder.audio(sound[: 3 * 48000], 48000)
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
    model = hear.load_model("random:tiny", layer=layer)
    assert model.scene_embedding_size == expected.shape[1]
    scenes = hear.get_scene_embeddings(torch.from_numpy(sound[None, : 3 * 48000]), model)
    np.testing.assert_allclose(scenes, expected, atol=1e-5 * float(expected.abs().max()))


def test_projected_is_the_space_of_the_loss(trained, sound):
    with torch.no_grad():
        head = trained.model.heads["primary"](trained.model.audio(mels_of(sound, trained, 0)))
    expected = nn.functional.normalize(head, dim=1)
    found = Embedder(trained, projected=True).audio(sound[: 3 * 48000], 48000)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert hear.load_model("random:tiny", projected=True).scene_embedding_size == found.shape[1] == 128


def test_a_dub_is_placed_by_the_head_that_was_trained_on_it(sound, trained):
    torch.manual_seed(0)
    variant = parse_variant("es", "en", ["en", "es"])
    model = freeze(DubModel(variant, "tiny"))
    trained = replace(trained, model=model, variant=variant)
    three = sound[: 3 * 48000]
    with torch.no_grad():
        features = model.audio(mels_of(three, trained, 0))
        wanted = {
            lang: nn.functional.normalize(model.heads[head](features), dim=1).numpy()
            for lang, head in ((None, "primary"), ("en", "primary"), ("es", "secondary"))
        }
    assert np.abs(wanted["en"] - wanted["es"]).max() > 0.1
    for lang, expected in wanted.items():
        embedder = Embedder(trained, projected=True, lang=lang)
        np.testing.assert_allclose(embedder.audio(three, 48000), expected, atol=1e-5)
        assert embedder.identity().get("head") == ("secondary" if lang == "es" else None)
    with pytest.raises(UserError, match="give it layer, projected and lang itself"):
        open_embedder(Embedder(trained, projected=True), EmbedConfig(projected=True, lang="es"), print)


def test_a_layer_s_width_is_known_without_a_copy_and_leaves_no_hook(trained, monkeypatch):
    def no_copy(*_):
        raise AssertionError("copied")

    monkeypatch.setattr("copy.deepcopy", no_copy)
    assert Output(layer="blocks.3").size(trained.model, "audio") == 128
    assert not any(module._forward_hooks for module in trained.model.audio.modules())


def test_outputs_that_are_not_there(trained):
    with pytest.raises(UserError, match=r"no layer 'block\.3' \(did you mean blocks\.3"):
        Embedder(trained, layer="block.3")
    with pytest.raises(UserError, match="contradict"):
        Embedder(trained, layer="blocks.3", projected=True)
    audio, video = (dict(module.named_modules()) for module in (trained.model.audio, trained.model.video))
    layer = next(name for name in audio if name not in video)
    audio_alone = Embedder(trained, layer=layer)  # the picture's backbone has no such layer
    assert audio_alone.modalities == ("audio",)
    with pytest.raises(UserError, match=f"has no layer {layer} for video"):
        audio_alone.video(np.zeros((1, 16, 64, 64, 3), np.uint8))


def test_embed_makes_and_records_them_and_takes_no_others_for_them(trained, sound, write_sound, tmp_path):
    path = write_sound("a.wav", sound, subtype="FLOAT")
    embedder, layered = Embedder(trained), Embedder(trained, layer="blocks.3")
    made = {
        "max": ({"pool": "max"}, embedder, embedder.audio(sound, 48000, pool="max")),
        "none": ({"pool": "none", "hop_seconds": 2.0}, embedder,
                 embedder.audio(sound, 48000, pool="none", hop_seconds=2)),
        "layer": ({}, layered, layered.audio(sound, 48000)),
        "by name": ({"layer": "blocks.3"}, trained, layered.audio(sound, 48000)),
    }  # fmt: skip
    for name, (options, model, expected) in made.items():
        config = EmbedConfig(modalities=("audio",), device="cpu", compile=False, **options)
        embed(path, model, tmp_path / name, config)
        np.testing.assert_allclose(load_features(tmp_path / name).audio, expected, atol=1e-5)
        recorded = json.loads((tmp_path / name / "embed.json").read_text())["identity"]
        assert {key: recorded.get(key) for key in options} == {**options, **({"pool": None} if name == "none" else {})}
        if options.get("pool") != "none":
            with pytest.raises(UserError, match="holds features with"):
                embed(path, trained, tmp_path / name, EmbedConfig(modalities=("audio",), device="cpu", compile=False))
    assert recorded["layer"] == "blocks.3"
    with pytest.raises(UserError, match="other features than are asked for"):
        embed(path, embedder, tmp_path / "new", EmbedConfig(modalities=("audio",), projected=True))


@pytest.mark.parametrize(
    ("options", "said"),
    [({"pool": "meen"}, "did you mean mean"), ({"hop_seconds": -1}, "--hop-seconds is -1"),
     ({"per_chunk": True, "pool": "max"}, "contradict"), ({"layer": "a", "projected": True}, "contradict")],
)  # fmt: skip
def test_options_that_make_no_sense(options, said):
    with pytest.raises(UserError, match=said):
        EmbedConfig(**options)


def test_feature_maps_with_gradients_and_what_is_unfrozen_by_name(trained):
    backbone = dubcli.load_backbone(trained, frozen=True)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    dubcli.unfreeze(backbone.backbone, "blocks.4", "blocks.5")
    maps = backbone.train().maps(torch.zeros(2, 144000), "blocks.3", "blocks.4")
    assert (maps["blocks.3"].requires_grad, maps["blocks.4"].requires_grad) == (False, True)
    assert maps["blocks.4"].shape[:2] == (2, 256)
    learns = {name for name, parameter in backbone.backbone.named_parameters() if parameter.requires_grad}
    assert learns == {
        name for name, _ in backbone.backbone.named_parameters() if name.startswith(("blocks.4", "blocks.5"))
    }
    assert backbone.backbone.get_submodule("blocks.4").training
    assert not backbone.backbone.get_submodule("blocks.3").training
    assert not any(part._forward_hooks for part in backbone.modules())
    assert not any(parameter.requires_grad for parameter in trained.model.parameters())  # a copy learns
    with pytest.raises(UserError, match="no layer 'blocks.7'"):
        dubcli.unfreeze(backbone.backbone, "blocks.7")
    with pytest.raises(UserError, match="no layer"):
        backbone.maps(torch.zeros(1, 144000), "blocks.7")
    assert freeze(backbone).training is False


def test_arrays_as_soundfile_gives_them(tiny):
    stereo = noise(2, channels=2).astype(np.float32)  # (frames, channels)
    expected = tiny.audio(stereo.T[None], 48000)
    for same in (stereo, [stereo], stereo[None], torch.from_numpy(stereo)):
        np.testing.assert_allclose(tiny.audio(same, 48000), expected, atol=1e-6)
    mono = stereo[:, :1]
    np.testing.assert_allclose(tiny.audio(mono, 48000), tiny.audio(mono[:, 0], 48000), atol=1e-6)
    with pytest.raises(UserError, match=r"a waveform is \(96000, 6\)"):
        tiny.audio(noise(2, channels=6), 48000)


@pytest.mark.parametrize("rate", [0, -8000, 44100.5, float("nan"), float("inf"), "48000", True, None, 10**9])
def test_rates_that_are_none(tiny, rate):
    with pytest.raises(UserError, match="the sample rate is .*; give whole Hz"):
        tiny.audio(np.zeros(9600), rate)


def test_rates_of_other_types(tiny):
    sound = noise(0.5, rate=16000)[:, 0]
    for rate in (16000.0, np.int32(16000), np.float32(16000)):
        np.testing.assert_array_equal(tiny.audio(sound, rate), tiny.audio(sound, 16000))
