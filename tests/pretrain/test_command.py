"""pretrain through its command: every variant, what it writes, and what it says of mistakes."""

import json

import pytest
import torch

from dubcli.core.checkpoint import load_trained
from dubcli.jobs.progress import SilentProgress
from dubcli.pretrain import train
from helpers.caches import make_cache
from helpers.runs import losses, pretrain, small_config

VARIANTS = ["mono", "es", "fr", "ja", "efj", "sep", "ns", "a", "a-efj", "multi:de,it", "multi:all"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_trains_and_its_checkpoint_loads(cache, tmp_path, variant):
    done = pretrain(cache, tmp_path / "run", "--variant", variant, "--max-steps", 2)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["variant"] == variant
    assert (config["train_films"], config["steps"]) == (3, 2)
    trained = load_trained(tmp_path / "run")
    assert trained.sample_rate == (44100 if variant == "sep" else 48000)
    assert trained.name == "run-ckpt"
    assert (trained.model.video is None) == variant.startswith("a")
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2]
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_efj_takes_its_languages_in_turn(cache, tmp_path):
    assert pretrain(cache, tmp_path / "run", "--variant", "efj", "--epochs", 2, "--batch-size", 7).returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["secondary"] for line in lines] == ["es", "fr", "ja", "fr", "ja", "es"]
    assert (tmp_path / "run" / "epoch-01.pt").exists()
    assert "optimizer" not in torch.load(tmp_path / "run" / "epoch-02.pt", weights_only=True)


def test_toml_options_and_the_command_line_over_them(cache, tmp_path):
    (tmp_path / "run.toml").write_text('variant = "mono"\nmax-steps = 5\nseed = 4\ncompile = true\n')
    done = pretrain(cache, tmp_path / "run", "--config", tmp_path / "run.toml", "--max-steps", 1, "--no-compile")
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["variant"], config["max_steps"], config["seed"], config["compile"]) == ("mono", 1, 4, False)
    (tmp_path / "run.toml").write_text('compile = "always"\n')
    done = pretrain(cache, tmp_path / "other", "--config", tmp_path / "run.toml")
    assert (done.returncode, "compile is 'always'; give true or false" in done.stderr) == (2, True)


def test_a_dry_run_writes_nothing_and_its_numbers_are_those_of_the_run(cache, tmp_path):
    options = ("--variant", "efj", "--epochs", 1, "--val-fraction", "0.34", "--json")
    report = json.loads(pretrain(cache, tmp_path / "run", *options, "--dry-run").stdout)
    assert not (tmp_path / "run").exists()
    assert pretrain(cache, tmp_path / "run", *options).returncode == 0
    summary, written = report["summary"], json.loads((tmp_path / "run" / "config.json").read_text())
    assert summary["films to train on"] == written["train_films"] == 2
    assert summary["films held out"] == len(written["held_out_films"]) == 1
    assert summary["steps"] == written["steps"] == losses(tmp_path / "run")[-1][0] == 3
    assert summary["parameters"] == written["parameters"]
    assert summary["precision"] == written["precision_used"]
    assert summary["peak memory (GB)"] > 0
    assert report["config"] == {name: written[name] for name in report["config"]}
    assert report["config"]["temperature"] == 0.1


def test_a_dry_run_for_more_processes_has_fewer_steps(cache, tmp_path):
    report = json.loads(pretrain(cache, tmp_path / "run", "--variant", "a", "--procs", 2, "--dry-run", "--json").stdout)
    assert (report["summary"]["processes"], report["summary"]["steps"]) == (2, 10 * (21 // 8))


class Listener(SilentProgress):
    def __init__(self):
        self.updates = []

    def update(self, task, completed, **fields):
        self.updates.append((completed, fields))


def test_progress_tells_loss_rate_speed_and_waiting(cache, tmp_path):
    listener = Listener()
    train(small_config(cache, tmp_path, variant="a", max_steps=2), listener, device="cpu")
    assert [completed for completed, _ in listener.updates] == [1, 2]
    for _, fields in listener.updates:
        assert fields.keys() == {"loss", "lr", "clips_per_second", "data_wait"}
        assert fields["clips_per_second"] > 0
        assert 0 <= fields["data_wait"] <= 1


def test_a_loss_that_is_no_number_names_step_clips_and_checkpoint(cache, tmp_path):
    done = pretrain(cache, tmp_path / "run", "--variant", "mono", "--learning-rate", "1e30", "--max-steps", 12,
                    "--save-every", "1")  # fmt: skip
    assert done.returncode == 2
    assert "the loss of step" in done.stderr
    assert "film00" in done.stderr
    assert "last good checkpoint: " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--variant", "efj", "--gpus", "64"), "--gpus 64, but this machine has"),
        (("--variant", "pt"), "needs pt, the cache has"),
        (("--variant", "nonsense"), "unknown variant"),
        (("--variant", "efj", "--batch-size", "900"), "prepare more films or give --batch-size"),
        (("--variant", "efj", "--preset", "huge"), "unknown preset 'huge'"),
        (("--variant", "efj", "--temperature", "0"), "--temperature is 0.0"),
        (("--variant", "efj", "--cache", "nowhere"), "nowhere is no clip cache"),
        (("--config", "missing.toml"), "missing.toml is not there"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_status_2(cache, tmp_path, options, text):
    done = pretrain(cache, tmp_path / "run", *options)
    assert done.returncode == 2, done.stderr
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_sep_without_its_mels_says_what_to_run(tmp_path):
    cache = make_cache(tmp_path / "cache", films=1, clips=4)
    done = pretrain(cache, tmp_path / "run", "--variant", "sep")
    assert done.returncode == 2
    assert "run dubav separate first" in done.stderr
