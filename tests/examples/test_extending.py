"""examples/extending: a backbone from outside the package through every command, and one that is trained further."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

import dubcli
from dubcli import hear
from dubcli.cli.app import app
from dubcli.core.checkpoint import load_trained
from dubcli.errors import UserError
from dubcli.pretrain import train
from helpers.caches import make_cache
from helpers.runs import metrics, pretrain, small_config

EXTENDING = Path(__file__).resolve().parents[2] / "examples" / "extending"


def command(*arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--quiet"])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("data") / "cache", films=3, clips=7, languages=("en", "es"))


@pytest.fixture(autouse=True)
def _in_the_folder(monkeypatch):
    monkeypatch.chdir(EXTENDING)
    yield
    sys.modules.pop("own_backbone", None)


@pytest.fixture(scope="module")
def run(cache, tmp_path_factory):
    """A run with MelNet, 512 wide, as the user starts it."""
    out = tmp_path_factory.mktemp("runs") / "own"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXTENDING)
        options = ("--variant", "es", "--epochs", 1, "--val-fraction", "0.34", "--audio-backbone")
        options += ("own_backbone:MelNet", "--audio-backbone-options", "width=512, blocks=[8, 16]")
        done = pretrain(cache, out, *options)
        assert done.returncode == 0, done.stderr
        done = pretrain(cache, out, *options)  # all is done: the same model is found there
        assert done.returncode == 0, done.stderr
        other = pretrain(cache, out, *options[:-1], "width=256")
        assert (other.returncode, "audio_backbone_options" in other.stderr) == (2, True)
    return out


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Two labels that differ in pitch, eight sounds each, in two parts."""
    folder = tmp_path_factory.mktemp("sounds")
    for part in ("train", "test"):
        for label, pitch in (("low", 200), ("high", 3000)):
            (folder / part / label).mkdir(parents=True)
            for number in range(8):
                generator = np.random.default_rng(number + 100 * (part == "test"))
                time = np.arange(16000) / 16000
                sound = 0.3 * np.sin(2 * np.pi * pitch * (1 + 0.1 * generator.random()) * time)
                soundfile.write(
                    folder / part / label / f"{number}.wav", sound + generator.normal(0, 0.01, 16000), 16000
                )
    return folder


def test_pretrain_records_the_backbone(run):
    config = json.loads((run / "config.json").read_text())
    assert config["audio_backbone"] == "own_backbone:MelNet"
    assert json.loads(config["audio_backbone_options"]) == {"width": 512, "blocks": [8, 16]}
    assert config["parameters"] == sum(p.numel() for p in load_trained(run).model.parameters())
    assert any("val/loss/es" in line for line in metrics(run))


def test_embed(run, cache, sounds, tmp_path):
    command("embed", sounds, run, "--out", tmp_path / "sounds")
    assert np.load(tmp_path / "sounds" / "audio.npy").shape == (32, 512)
    command("embed", cache, run, "--out", tmp_path / "cache", "--per-chunk")
    assert np.load(tmp_path / "cache" / "audio.npy").shape == (21, 512)
    assert np.load(tmp_path / "cache" / "video.npy").shape == (21, 1024)


def test_hear(run):
    model = hear.load_model(str(run))
    audio = torch.rand(2, 50000, generator=torch.Generator().manual_seed(0)) - 0.5
    scenes = hear.get_scene_embeddings(audio, model)
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert model.scene_embedding_size == model.timestamp_embedding_size == 512
    assert scenes.shape == (2, 512)
    assert embeddings.shape == (2, timestamps.shape[1], 512)
    expected = dubcli.load_backbone(run, frozen=True)
    torch.testing.assert_close(hear.get_scene_embeddings(audio, model), scenes)
    padded = torch.nn.functional.pad(audio, (0, 144000 - 50000))
    centred = torch.nn.functional.pad(audio, (72000, 144000 - 50000 - 72000 + 72000))[:, :144000]
    torch.testing.assert_close(embeddings[:, 0], expected(centred), atol=1e-5, rtol=1e-4)
    assert expected(padded).shape == (2, 512)


def test_probe_export_and_report(run, cache, sounds, tmp_path):
    command("export", run, "--out", tmp_path / "model")
    assert "own_backbone:MelNet" in (tmp_path / "model" / "README.md").read_text()
    for model in (run, tmp_path / "model"):
        command("probe", "folder", model, "--data", sounds, "--out", tmp_path / "results", "--protocol", "logreg")
    results = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("*.json")]
    scores = [content["mean"] for content in results if "mean" in content]
    assert scores
    assert min(scores) == max(scores) > 0.9
    command("report", tmp_path / "results", run, cache, "--out", tmp_path / "report", "--gallery", 2)
    retrieval = (tmp_path / "report" / "retrieval-cache.csv").read_text().splitlines()
    assert [line.split(",")[:3] for line in retrieval[1:]] == [
        ["own", direction, language]
        for direction in ("pictures -> sounds", "sounds -> pictures")
        for language in ("en", "es")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("audio", "video", "widths"),
    [("resnet18", "r2plus1d_18", (512, 512)), ("efficientnet_b0", "mvit_v2_s", (1280, 768))],
)
def test_what_is_built_in_beside_the_papers_goes_through_every_command(cache, sounds, tmp_path, audio, video, widths):
    run = tmp_path / "run"
    options = ("--variant", "es", "--max-steps", 3, "--val-fraction", "0.34")
    done = pretrain(cache, run, *options, "--audio-backbone", audio, "--video-backbone", video)
    assert done.returncode == 0, done.stderr
    written = json.loads((run / "config.json").read_text())
    assert (written["audio_backbone"], written["video_backbone"]) == (audio, video)
    lines = metrics(run)
    assert all(np.isfinite(line["loss"]) for line in lines if "loss" in line)
    assert any("val/loss/es" in line for line in lines)
    command("embed", cache, run, "--out", tmp_path / "features", "--per-chunk")
    for name, width in zip(("audio", "video"), widths, strict=True):
        array = np.load(tmp_path / "features" / f"{name}.npy")
        assert array.shape == (21, width)
        assert array.std(axis=0).max() > 0
    scenes = hear.get_scene_embeddings(torch.rand(2, 50000) - 0.5, hear.load_model(str(run)))
    assert scenes.shape == (2, widths[0])
    command("export", run, "--out", tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert audio in card
    assert video in card
    for model in (run, tmp_path / "model"):
        command("probe", "folder", model, "--data", sounds, "--out", tmp_path / "results", "--protocol", "logreg")
    scores = [json.loads(path.read_text()).get("mean") for path in (tmp_path / "results").rglob("*.json")]
    assert len(set(filter(None, scores))) == 1
    command("report", tmp_path / "results", run, cache, "--out", tmp_path / "report", "--gallery", 2)
    assert "folder" in (tmp_path / "report" / "index.html").read_text()


def test_a_module_made_in_python_trains_resumes_and_loads(cache, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXTENDING)
    from own_backbone import FrameNet, MelNet

    def made():
        torch.manual_seed(7)
        return {"audio": MelNet(24, (4, 8)), "video": FrameNet(12)}

    config = small_config(cache, tmp_path / "run", variant="es", max_steps=2, save_every=1)
    train(config, device="cpu", model=made())
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["audio_backbone"] == "own_backbone.MelNet"
    first = load_trained(tmp_path / "run", backbones=made())
    assert first.model.feature_sizes == {"audio": 24, "video": 12}
    assert not torch.equal(first.model.audio.out[1].weight, made()["audio"].out[1].weight)
    train(config, device="cpu", model=made())  # goes on: nothing is left to do
    assert load_trained(tmp_path / "run", backbones=made()).content_hash == first.content_hash
    with pytest.raises(UserError, match="has audio_backbone own_backbone.MelNet, this one acoustic_resnet50"):
        train(config, device="cpu")
    with pytest.raises(UserError, match="backbones are given for sound"):
        train(small_config(cache, tmp_path / "other", variant="es"), device="cpu", model={"sound": made()["audio"]})


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_fine_tuning(run, sounds, tmp_path, monkeypatch, capsys, frozen):
    arguments = [str(run), str(sounds / "train"), "--epochs", "8", "--out", str(tmp_path / "tuned.pt")]
    monkeypatch.setattr(sys, "argv", ["fine_tune.py", *arguments, *["--frozen"] * frozen])
    runpy.run_path(str(EXTENDING / "fine_tune.py"))["main"]()
    told = [float(found) for found in re.findall(r"loss (\S+)", capsys.readouterr().out)]
    before = load_trained(run).model.audio.state_dict()
    after = torch.load(tmp_path / "tuned.pt", weights_only=True)
    moved = [name for name, value in before.items() if not torch.equal(after[f"0.backbone.{name}"], value)]
    assert bool(moved) != frozen
    if not frozen:
        assert any("running_mean" in name for name in moved)
        assert told[-1] < told[0] - 0.1


def test_load_backbone_says_what_is_wrong(run):
    backbone = dubcli.load_backbone(run)
    with pytest.raises(UserError, match="give float"):
        backbone(torch.zeros(2, 3, 48000))
    with pytest.raises(UserError, match="has no smell backbone; it has audio and video"):
        dubcli.load_backbone(run, "smell")
    frames = torch.zeros(1, 16, 3, 32, 32, dtype=torch.uint8)
    assert dubcli.load_backbone(run, "video", frozen=True)(frames).shape == (1, 1024)
    with pytest.raises(UserError, match="give uint8"):
        dubcli.load_backbone(run, "video")(frames.float())
