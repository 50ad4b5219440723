"""Backbones by name: the paper's unchanged, others of any width, one's own from outside; format 1 checkpoints load."""

import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dubcli.core.backbones import BUILT_IN, BackboneSpec, build_backbone
from dubcli.core.checkpoint import load_trained, model_entries, save_checkpoint
from dubcli.core.models import PRESETS, DubModel, ModelSizes, Projection, build_projection
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.export import export

LANGUAGES = ["en", "es", "fr", "ja"]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "extending"
OWN = BackboneSpec(name="own_backbone:MelNet", options={"width": 512, "blocks": [8, 16]})


@pytest.fixture(autouse=True)
def _beside_the_example(monkeypatch):
    monkeypatch.chdir(EXAMPLES)
    yield
    sys.modules.pop("own_backbone", None)


@pytest.fixture(autouse=True, scope="module")
def _small():
    PRESETS["crop32"] = ModelSizes(crop=32, video_depth=0.5, video_head=64, video_width=1.0, audio_stem=2)
    yield
    del PRESETS["crop32"]


def efj():
    return parse_variant("efj", "en", LANGUAGES)


def build(**backbones):
    torch.manual_seed(0)
    return DubModel(efj(), "crop32", backbones=backbones)


PLAIN, SOUNDS = "dubcli.core.plain:PlainPictures", "dubcli.core.plain:PlainSounds"  # but not among the paper's
SIZES = {"acoustic_resnet50": 1024, "resnet18": 512, "efficientnet_b0": 1280, "x3d_m": 1024, "r2plus1d_18": 512,
         "mvit_v2_s": 768, PLAIN: 1024, SOUNDS: 1024}  # fmt: skip


@pytest.mark.parametrize(
    ("modality", "name"),
    [*((m, name) for m, names in BUILT_IN.items() for name in names), ("video", PLAIN), ("audio", SOUNDS)],
)
def test_what_is_built_in_gives_features_of_its_size_and_can_be_trained(modality, name):
    model = build(**{modality: BackboneSpec(name=name)})
    assert model.feature_sizes[modality] == SIZES[name]
    inputs = model.example_input(modality).repeat(2, 1, 1, 1, *[1] * (modality == "video"))
    features = (model.embed_video if modality == "video" else model.embed_audio)(inputs)
    assert features.shape == (2, SIZES[name])
    model.heads["video" if modality == "video" else "primary"](features).square().sum().backward()
    backbone = getattr(model, modality)
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    if modality == "audio":
        for frames in (257, 40, 1000):
            assert model.eval().embed_audio(torch.randn(1, 2, 96, frames)).shape == (1, SIZES[name])


def test_a_backbone_from_outside_takes_part_at_its_own_width():
    model = build(audio=OWN, video=BackboneSpec(name="own_backbone:frame_net"))
    assert model.feature_sizes == {"audio": 512, "video": 96}
    projections = model(torch.randn(2, 3, 16, 32, 32), torch.randn(2, 2, 96, 280), torch.randn(2, 2, 96, 280))
    assert [tuple(rows.shape) for rows in projections.values()] == [(2, 128)] * 3


def format_1(path):
    """A checkpoint as the versions before named backbones wrote it, and the networks as pytorchvideo builds them."""
    from pytorchvideo.models.resnet import create_acoustic_resnet
    from pytorchvideo.models.x3d import create_x3d

    torch.manual_seed(1)
    sizes = PRESETS["tiny"]
    audio = create_acoustic_resnet(
        input_channel=2, model_depth=50, model_num_class=1024, dropout_rate=0.0, stem_dim_out=8,
        head_pool=nn.AdaptiveAvgPool3d,
    )  # fmt: skip
    video = create_x3d(
        input_clip_length=16, input_crop_size=sizes.crop, model_num_class=1024, dropout_rate=0.0, width_factor=1.0,
        depth_factor=1.0, stem_conv_stride=(2, 2, 2), head_dim_out=512, head_activation=None,
    )  # fmt: skip
    parts = {"video": video, "audio": audio}
    parts |= {f"heads.{name}": build_projection(1024) for name in ("video", "primary", "secondary")}
    weights = {
        f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()
    }
    variant = {"name": "efj", "uses_video": True, "primary": "en", "primary_kind": "speech",
               "secondaries": ["es", "fr", "ja"]}  # fmt: skip
    torch.save({"format": 1, "config": {"variant": "efj"}, "variant": variant, "preset": "tiny", "sample_rate": 48000,
                "mel_mean": -5.0, "mel_std": 3.0, "model": weights}, path)  # fmt: skip
    return audio.eval(), video.eval()


def test_a_checkpoint_of_format_1_gives_the_same_features(tmp_path):
    audio, video = format_1(tmp_path / "old.pt")
    trained = load_trained(tmp_path / "old.pt")
    assert trained.variant == efj()
    mels, clips = torch.randn(2, 2, 96, 280), torch.randn(1, 3, 16, 112, 112)
    with torch.no_grad():
        assert torch.equal(trained.model.embed_audio(mels), audio(mels.transpose(2, 3).unsqueeze(3)))
        assert torch.allclose(trained.model.embed_video(clips), video(clips), atol=1e-5)


@pytest.fixture
def own(tmp_path):
    model = build(audio=OWN)
    path = tmp_path / "own.pt"
    save_checkpoint(path, model_entries(model, mel_mean=-5.0, mel_std=3.0, config={}))
    return path, model.eval()


def test_a_checkpoint_makes_its_backbone_again(own, tmp_path):
    path, model = own
    mels = torch.randn(2, 2, 96, 280)
    assert torch.load(path, weights_only=True)["format"] == 2
    export(path, tmp_path / "exported")
    for source in (path, tmp_path / "exported"):
        trained = load_trained(source)
        assert trained.model.backbones["audio"] == OWN
        assert torch.equal(trained.model.embed_audio(mels), model.embed_audio(mels))
    card = (tmp_path / "exported" / "README.md").read_text()
    count = sum(parameter.numel() for parameter in model.audio.parameters())
    assert f"| audio backbone `own_backbone:MelNet` (width=512, blocks=[8, 16]) | {count:,} |" in card
    assert "| (batch, 2, 96, frames) | 512 |" in card
    assert "(batch, 512) | 128 |" in card
    assert "Acoustic ResNet" not in card
    assert "float32 (n, 512)" in card


def test_code_that_is_not_there_is_named_in_one_line(own, tmp_path, monkeypatch):
    path, _ = own
    sys.modules.pop("own_backbone", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).resolve() != EXAMPLES])
    with pytest.raises(UserError, match=re.escape(f"{path}: its audio backbone own_backbone:MelNet")) as caught:
        load_trained(path)
    assert "no module own_backbone" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_backbone_are_refused(own, tmp_path):
    path, _ = own
    state = torch.load(path, weights_only=True)
    state["backbones"]["audio"] = {"name": "resnet18", "options": {}, "given": False}
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(UserError, match="does not hold a whole model .*audio") as caught:
        load_trained(tmp_path / "other.pt")
    assert "\n" not in str(caught.value)


def test_modules_made_in_python_load_where_they_are_given(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    from own_backbone import MelNet

    model = DubModel(efj(), "crop32", backbones={"audio": MelNet(24, (4, 8))})
    save_checkpoint(tmp_path / "c.pt", model_entries(model, mel_mean=-5.0, mel_std=3.0, config={}))
    with pytest.raises(UserError, match=r"c\.pt: its audio backbone was made in Python \(own_backbone\.MelNet\)"):
        load_trained(tmp_path / "c.pt")
    with pytest.raises(UserError, match="its audio backbone is own_backbone.MelNet; .*Liar was given"):
        load_trained(tmp_path / "c.pt", backbones={"audio": Liar()})
    mels = torch.randn(2, 2, 96, 280)
    trained = load_trained(tmp_path / "c.pt", backbones={"audio": MelNet(24, (4, 8))})
    assert torch.equal(trained.model.embed_audio(mels), model.eval().embed_audio(mels))


class Silent(nn.Module):
    """Says no feature_size."""


class Liar(nn.Module):
    feature_size = 7

    def forward(self, mels):
        return mels.mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (BackboneSpec(name="resnet81"), "--audio-backbone is 'resnet81' (did you mean resnet18"),
        (BackboneSpec(name="own_backbone:MellNet"), "has no MellNet (did you mean MelNet"),
        (BackboneSpec(name="own_backbone:MelNet", options={"widht": 3}), "unexpected keyword argument 'widht'"),
        (BackboneSpec(name="fractions:Fraction"), "is a Fraction, no torch.nn.Module"),
        (BackboneSpec(name="torch.nn:ReLU"), "says no feature_size"),
        (BackboneSpec(name="math:pi"), "is a float; give a class or a function"),
    ],
)
def test_a_users_mistake_is_one_line(spec, text):
    with pytest.raises(UserError, match=re.escape(text)) as caught:
        build_backbone("audio", spec)
    assert "\n" not in str(caught.value)


def test_dropout_that_a_backbone_does_not_have_is_refused():
    with pytest.raises(UserError, match="frame_net has no dropout"):
        build_backbone("video", BackboneSpec(name="own_backbone:frame_net"), dropout=0.5)
    assert build_backbone("audio", OWN, dropout=0.5).out[0].p == 0.5


def test_a_width_that_is_not_what_the_backbone_says_is_refused():
    with pytest.raises(UserError, match=r"gave \(3, 2\) for a batch of 3; it says feature_size 7"):
        build(audio=Liar()).embed_audio(torch.zeros(3, 2, 96, 280))
    with pytest.raises(UserError, match="says no feature_size"):
        build(audio=Silent())


def test_pool_in_windows_is_pytorchvideos_default():
    from pytorchvideo.models.resnet import create_acoustic_resnet

    torch.manual_seed(0)
    theirs = create_acoustic_resnet(input_channel=2, model_num_class=1024, dropout_rate=0.0, stem_dim_out=2).eval()
    spec = BackboneSpec(name="acoustic_resnet50", options={"pool": "windows"})
    ours = build_backbone("audio", spec, "crop32").eval()
    ours.load_state_dict(theirs.state_dict())
    mels = torch.randn(2, 2, 96, 280)
    expected = theirs(mels.transpose(2, 3).unsqueeze(3))
    assert torch.allclose(ours(mels), expected, atol=1e-5)
    plain = build_backbone("audio", BackboneSpec(name="acoustic_resnet50"), "crop32").eval()
    plain.load_state_dict(theirs.state_dict())
    assert not torch.allclose(plain(mels), expected, atol=1e-3)
    assert ours(mels[..., :92]).shape == (2, 1024)  # a second: fewer frames than a window has
    with pytest.raises(UserError, match="pool is 'window'; give global or windows"):
        build_backbone("audio", BackboneSpec(name="acoustic_resnet50", options={"pool": "window"}), "crop32")


def test_heads_of_another_form_come_back(tmp_path):
    form = Projection(hidden=32, size=16, norm="none")
    model = DubModel(efj(), "crop32", projection=form)
    assert [type(part).__name__ for part in model.heads["video"]] == ["Linear", "ReLU", "Linear"]
    assert model.heads["video"][0].bias is not None
    save_checkpoint(tmp_path / "run" / "ckpt.pt", model_entries(model, mel_mean=0.0, mel_std=1.0, config={}))
    loaded = load_trained(tmp_path / "run")
    export(tmp_path / "run", tmp_path / "out")
    for found in (loaded, load_trained(tmp_path / "out")):
        assert found.model.projection == form
        assert found.model.heads["primary"](torch.zeros(2, 1024)).shape == (2, 16)
    with pytest.raises(ValueError, match="batch or none"):
        Projection(norm="layer")
