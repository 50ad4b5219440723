"""Models on the hub, against a stand-in of its HTTP face on this machine."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load

from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from helpers.hub import TOKEN, running_hub

SCRIPT = """
import os, sys
import dubcli, json, torch
from dubcli.cli.app import main
from dubcli.errors import UserError

def said(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except UserError as error:
        return str(error)
    except SystemExit as stopped:
        return stopped.code

found = {}
for name, words in json.loads(sys.argv[1]).items():
    sys.argv = ["dubav", "export", *words]
    found[name] = said(main)
trained = dubcli.from_pretrained("me/efj")
backbone = dubcli.load_backbone("me/efj", frozen=True)
found["hash"] = trained.content_hash
found["features"] = list(backbone(torch.zeros(1, 48000)).shape)
found["unknown"] = said(dubcli.from_pretrained, "me/none")
found["revision"] = said(dubcli.from_pretrained, "me/efj", revision="9.9")
found["code"] = said(dubcli.from_pretrained, "me/foreign")
os.environ["HF_TOKEN"] = ""
sys.argv = ["dubav", "export", "efj/ckpt.pt", "--out", "model", "--push", "me/other", "--quiet"]
found["no token"] = said(main)
from huggingface_hub import constants
constants.ENDPOINT = "http://127.0.0.1:9"  # nothing listens there
found["offline"] = said(dubcli.from_pretrained, "you/model")
found["kept"] = dubcli.from_pretrained("me/efj").content_hash
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The hub after exports to it, and what a process saw."""
    folder = tmp_path_factory.mktemp("hub")
    torch_model = DubModel(parse_variant("a", "en", ["en", "es"]), "tiny")
    save_checkpoint(folder / "efj/ckpt.pt", model_entries(torch_model, mel_mean=-5.0, mel_std=3.0, config={}))
    exports = {
        "pushed": ["efj/ckpt.pt", "--out", "model", "--push", "me/efj", "--license", "mit", "--private", "--quiet"],
        "again": ["efj/ckpt.pt", "--out", "model", "--push", "me/efj", "--quiet"],
        "no name": ["efj/ckpt.pt", "--out", "model", "--push", "efj", "--quiet"],
    }
    with running_hub() as hub:
        foreign = {"format": 2, "backbones": {"audio": {"name": "os:system", "options": {}, "given": False}}}
        hub.models["me/foreign"] = {"model.safetensors": b"0", "config.json": json.dumps(foreign).encode()}
        variables = {**os.environ, "HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN, "HF_HOME": str(folder / "home"),
                     "HF_HUB_DISABLE_XET": "1"}  # fmt: skip
        process = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT, json.dumps(exports)], cwd=folder, env=variables,
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        yield folder, hub, json.loads(process.stdout.splitlines()[-1]), process.stderr


def test_a_pushed_model_is_fetched_by_its_name(done):
    folder, hub, found, _ = done
    assert found["pushed"] == found["again"] == 0
    assert set(hub.models["me/efj"]) == {"README.md", "config.json", "model.safetensors"}
    # tensor by tensor: the order of the metadata in the file is another in each process
    sent = load(hub.models["me/efj"]["model.safetensors"])
    ours = load((folder / "model/model.safetensors").read_bytes())
    assert sent.keys() == ours.keys()
    assert all(torch.equal(sent[name], ours[name]) for name in ours)
    assert hub.private == {"me/efj"}
    assert found["hash"] == found["kept"] == json.loads(hub.models["me/efj"]["config.json"])["content_hash"]
    assert found["features"] == [1, 1024]


def test_what_the_hub_cannot_do_is_said_in_a_line(done):
    _, _, found, errors = done
    assert found["no name"] == 2
    assert "--push is 'efj'; give OWNER/NAME" in errors
    assert found["unknown"].startswith("me/none cannot be fetched from the hub: there is none of that name")
    assert found["revision"].startswith("me/efj cannot be fetched from the hub: it has no such revision")
    assert found["offline"].startswith("you/model cannot be fetched from the hub: ")
    assert "connection" in found["offline"]
    assert found["code"].startswith("me/foreign on the hub runs the code os:system when it is loaded")
    assert all("\n" not in found[name] for name in ("unknown", "revision", "offline", "code"))


def test_without_a_token_nothing_is_sent(done):
    _, hub, found, errors = done
    assert found["no token"] == 2
    (line,) = [line for line in errors.splitlines() if "me/other" in line]
    assert "HF_TOKEN" in line
    assert "me/other" not in hub.models
