import json
import os
import re
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from dubcli.core.atomic import write_json
from dubcli.core.backbones import BUILT_IN, BackboneSpec
from dubcli.core.checkpoint import load_trained, model_entries, save_checkpoint
from dubcli.core.models import PRESETS, DubModel, ModelSizes, count_parameters
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.export import ExportConfig, export


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "efj/ckpt.pt"
    model = DubModel(parse_variant("efj", "en", ["en", "es", "fr", "ja"]), "tiny")
    entries = model_entries(model, mel_mean=-5.5, mel_std=3.25, config={"epochs": 10, "lr": 1e-3})
    save_checkpoint(path, {**entries, "optimizer": {"step": torch.ones(1000)}, "epoch": 10})
    return path


def umask():
    os.umask(mask := os.umask(0o022))
    return mask


def test_exported_folder_is_the_same_model(checkpoint, tmp_path):
    export(checkpoint, tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert modes == {0o666 & ~umask()}  # who may read the folder may read the weights
    before, after = load_trained(checkpoint), load_trained(tmp_path / "model")
    for field in ("variant", "preset", "sample_rate", "mel_mean", "mel_std", "config", "content_hash", "name"):
        assert getattr(before, field) == getattr(after, field)
    mels = torch.randn(2, 2, 96, 280)
    assert torch.equal(before.model.embed_audio(mels), after.model.embed_audio(mels))
    assert load_file(tmp_path / "model/model.safetensors").keys() == before.model.state_dict().keys()
    config = json.loads((tmp_path / "model/config.json").read_text())
    assert config["training"] == {"epochs": 10, "lr": 1e-3}


def test_card_says_what_it_is(checkpoint, tmp_path):
    trained = export(checkpoint, tmp_path / "model")
    card = (tmp_path / "model/README.md").read_text()
    for part in ("variant `efj`", "48000 Hz", trained.content_hash, '"epochs": 10', "minus -5.5, over 3.25", "X3D"):
        assert part in card
    assert card.startswith("---\nlibrary_name: dubcli\n")
    assert f"{count_parameters(trained.model.audio):,}" in card


def test_replaces_an_export_but_nothing_else(checkpoint, tmp_path):
    export(checkpoint, tmp_path / "model")
    export(checkpoint, tmp_path / "model")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        export(checkpoint, tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        export(checkpoint, tmp_path / "file")
    with pytest.raises(UserError, match="not there"):
        export(tmp_path / "gone.pt", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_damage_is_found(checkpoint, tmp_path):
    export(checkpoint, tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 64
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"is not what config\.json describes"):
        load_trained(tmp_path / "model")
    weights.write_bytes(content[:1000])
    with pytest.raises(UserError, match="does not hold a whole model"):
        load_trained(tmp_path / "model")


PLAIN = """
import json, sys
class NoDubcli:
    def find_spec(self, name, *_):
        assert name.split(".")[0] != "dubcli", "it needs dubcli"
sys.meta_path.insert(0, NoDubcli())
import torch
given = torch.load("given.pt")
exec("\\n".join(json.load(open("config.json"))["loader"]))
with torch.no_grad():
    torch.save({"audio": audio(given["mels"].transpose(2, 3).unsqueeze(3)), "video": video(given["pixels"])}, "made.pt")
"""


def test_loads_in_plain_pytorchvideo_with_equal_features(checkpoint, tmp_path):
    trained = export(checkpoint, tmp_path / "model")
    torch.manual_seed(0)
    given = {"mels": torch.randn(2, 2, 96, 280), "pixels": torch.randn(1, 3, 16, 112, 112)}
    torch.save(given, tmp_path / "model/given.pt")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PLAIN], cwd=tmp_path / "model", env={"PATH": ""},
                          capture_output=True, text=True, timeout=300)  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = torch.load(tmp_path / "model/made.pt")
    with torch.no_grad():
        expected = {
            "audio": trained.model.embed_audio(given["mels"]),
            "video": trained.model.embed_video(given["pixels"]),
        }
    for modality, features in expected.items():
        scale = float(features.abs().max())
        assert float((made[modality] - features).abs().max()) < 1e-5 * scale


LARGE = ("r2plus1d_18", "mvit_v2_s", "efficientnet_b0")
BUILDS = [
    pytest.param(modality, name, {}, marks=[pytest.mark.slow] if name in LARGE else [])
    for modality, names in BUILT_IN.items()
    for name in names
]


@pytest.mark.parametrize(
    ("modality", "name", "options"), [*BUILDS, ("audio", "acoustic_resnet50", {"pool": "windows"})]
)
def test_every_built_in_backbone_has_a_loader_that_needs_only_its_library(
    modality, name, options, tmp_path, monkeypatch
):
    monkeypatch.setitem(
        PRESETS, "crop32", ModelSizes(crop=32, video_depth=0.5, video_head=64, video_width=1.0, audio_stem=2)
    )
    torch.manual_seed(0)
    model = DubModel(parse_variant("efj", "en", ["en", "es", "fr", "ja"]), "crop32", dropout=0.5,
                     backbones={modality: BackboneSpec(name=name, options=options)})  # fmt: skip
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.1)
    save_checkpoint(tmp_path / "ckpt.pt", model_entries(model, mel_mean=0.0, mel_std=1.0, config={}))
    trained = export(tmp_path / "ckpt.pt", tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    monkeypatch.chdir(tmp_path / "model")
    found = {}
    exec("\n".join(config["loader"]), found)
    assert "dubcli" not in "\n".join(config["loader"])
    example = model.example_input(modality)
    plain = example.transpose(2, 3).unsqueeze(3) if name == "acoustic_resnet50" else example
    with torch.no_grad():
        expected, made = getattr(trained.model, modality)(example), found[modality](plain)
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-6)
    assert config["builders"][modality]["builder"].startswith(("pytorchvideo.", "torchvision."))


def metadata_of(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_card_has_what_hubs_read_with_measured_scores_and_what_the_run_folder_tells(checkpoint, tmp_path):
    run = tmp_path / "runs/efj"
    run.mkdir(parents=True)
    content = torch.load(checkpoint)
    home = str(tmp_path / "secret/cache")
    config = {"variant": "efj", "cache": home, "out": str(run), "epochs": 10}
    torch.save({**content, "step": 40, "config": config}, run / "ckpt.pt")
    write_json(run / "config.json", {**config, "train_films": 7, "train_hours": 12.5, "held_out_films": ["a"]})
    lines = [{"step": 20, "loss": 5.0}, {"step": 40, "loss": 4.25}, {"step": 40, "val/audio-to-video/en/r@1": 0.125},
             {"step": 60, "loss": 1.0}]  # fmt: skip
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 8')
    digest = load_trained(run).content_hash
    score = {"task": "esc50", "metric": "top1_acc", "mean": 0.5, "std": 0.01, "scores": [0.5, 0.5], "modality": "A",
             "interval": [0.45, 0.55], "protocol": {"name": "knn"}, "features": {"content_hash": digest}}  # fmt: skip
    (tmp_path / "results/esc50").mkdir(parents=True)
    write_json(tmp_path / "results/esc50/efj-ckpt.json", score)
    write_json(tmp_path / "results/esc50/efj-epoch-10.json", {**score, "model": "the same weights by another name"})
    other = {**score, "mean": 0.9, "features": {"content_hash": "of another"}}
    write_json(tmp_path / "results/esc50/mono-ckpt.json", other)

    chosen = ExportConfig(license="cc-by-nc-4.0", datasets=("me/films",), results=tmp_path / "results")
    export(run, tmp_path / "model", chosen)
    read = metadata_of(tmp_path / "model")
    assert {name: read[name] for name in ("license", "language", "datasets", "pipeline_tag", "library_name")} == {
        "license": "cc-by-nc-4.0", "language": ["en", "es", "fr", "ja"], "datasets": ["me/films"],
        "pipeline_tag": "feature-extraction", "library_name": "dubcli",
    }  # fmt: skip
    (result,) = read["model-index"][0]["results"]
    (metric,) = result["metrics"]
    assert (result["dataset"]["type"], metric["type"], metric["value"]) == ("esc50", "accuracy", 0.5)
    assert (metric["args"]["interval_95_low"], metric["args"]["interval_95_high"]) == (0.45, 0.55)
    card, described = (tmp_path / "model/README.md").read_text(), (tmp_path / "model/config.json").read_text()
    for told in ("7 films, 12.5 hours, 40 steps", "loss: 4.25", "r@1 0.125", "0.450 to 0.550"):
        assert told in card
    assert str(tmp_path) not in card + described
    export(tmp_path / "model", tmp_path / "again")  # what the run folder told is kept
    assert "7 films, 12.5 hours, 40 steps" in (tmp_path / "again/README.md").read_text()
    from huggingface_hub import ModelCard

    (evaluated,) = ModelCard.load(tmp_path / "model/README.md").data.eval_results
    assert (evaluated.metric_value, evaluated.metric_args["interval_95_low"]) == (0.5, 0.45)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"license": "My Licence"}, "--license is 'My Licence'"), ({"license": "mti"}, "did you mean mit"),
     ({"datasets": ("my films",)}, "--dataset is 'my films'; give an id"), ({"results": "gone"}, "gone is not there"),
     ({"results": "empty"}, "holds no results of efj-ckpt")],
)  # fmt: skip
def test_what_the_card_cannot_say_is_refused_in_a_line(checkpoint, tmp_path, options, said):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=re.escape(said)):
        export(checkpoint, tmp_path / "model", ExportConfig(**{
            name: tmp_path / value if name == "results" else value for name, value in options.items()
        }))  # fmt: skip
    assert not (tmp_path / "model").exists()
