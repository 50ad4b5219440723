import json

import pytest
import torch
from safetensors.torch import load_file

from dubcli.core.checkpoint import load_trained, model_entries, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.export import export


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "efj/ckpt.pt"
    model = DubModel(parse_variant("efj", "en", ["en", "es", "fr", "ja"]), "tiny")
    entries = model_entries(model, mel_mean=-5.5, mel_std=3.25, config={"epochs": 10, "lr": 1e-3})
    save_checkpoint(path, {**entries, "optimizer": {"step": torch.ones(1000)}, "epoch": 10})
    return path


def test_exported_folder_is_the_same_model(checkpoint, tmp_path):
    export(checkpoint, tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
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
    assert "{" not in card.replace(json.dumps(trained.config, indent=2), "")


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
