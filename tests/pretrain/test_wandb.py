"""Weights & Biases beside TensorBoard: a stand-in module notes what it is given."""

import json
import sys
import types

import pytest

from dubcli.errors import UserError
from dubcli.pretrain import train
from helpers.runs import losses, small_config


class Run:
    def __init__(self, options):
        self.options, self.lines, self.finished = options, [], False

    def log(self, metrics, step):
        self.lines.append((step, dict(metrics)))

    def finish(self):
        self.finished = True


@pytest.fixture
def runs(monkeypatch):
    found = []
    module = types.ModuleType("wandb")
    module.init = lambda **options: found.append(Run(options)) or found[-1]
    monkeypatch.setitem(sys.modules, "wandb", module)
    return found


def test_all_lines_reach_the_project_and_a_resumed_run_is_the_same_one(cache, tmp_path, runs):
    config = small_config(cache, tmp_path / "run", variant="mono", max_steps=2, wandb="dubs")
    train(config, device="cpu")
    assert [(step, line["loss"]) for step, line in runs[0].lines] == losses(config.folder)
    assert runs[0].finished
    assert (runs[0].options["project"], runs[0].options["name"]) == ("dubs", "run")
    assert runs[0].options["config"]["learning_rate"] == 1e-3
    train(config, device="cpu")
    assert runs[1].options["id"] == runs[0].options["id"]
    assert json.loads((config.folder / "config.json").read_text())["wandb_run"] == runs[0].options["id"]
    train(config, device="cpu", fresh=True)
    assert runs[2].options["id"] != runs[0].options["id"]


def test_without_the_package_the_line_says_what_to_install(cache, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"pip install 'dubcli\[wandb\]'"):
        train(small_config(cache, tmp_path / "run", variant="mono", wandb="dubs"), device="cpu")
    assert not (tmp_path / "run").exists()
