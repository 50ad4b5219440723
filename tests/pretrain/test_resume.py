"""A run that is killed, stopped or pre-empted goes on to the very same result."""

import json
import os
import random
import signal
import subprocess

import pytest
import torch

from dubcli.errors import UserError
from dubcli.pretrain import train
from dubcli.pretrain.loader import ClipDataset
from helpers.runs import SignalAfter, assert_same_state, losses, metrics, pretrain, small_config, start, wait_for_steps
from helpers.waiting import HOPELESS_SECONDS

# dropout and two epochs with validation: everything that draws random numbers or counts takes part
RUN = {"variant": "efj", "max_steps": 8, "save_every": 3, "dropout": 0.2, "val_fraction": 0.34}
OPTIONS = tuple(f"--{name.replace('_', '-')}={value}" for name, value in RUN.items())


@pytest.fixture(scope="module")
def straight(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "run"
    assert train(small_config(cache, out, **RUN), device="cpu").step == 8
    return out


@pytest.mark.slow
def test_killed_with_9_and_resumed_equals_a_run_without_break(cache, straight, tmp_path):
    out = tmp_path / "run"
    process = start(cache, out, *OPTIONS)
    wait_for_steps(out, 5, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(losses(out)) < 8
    assert pretrain(cache, out, *OPTIONS).returncode == 0
    assert losses(out) == losses(straight)
    assert_same_state(out, straight)


@pytest.mark.slow
def test_thirty_steps_killed_three_times_at_random_with_loader_processes(cache, tmp_path):
    options = ("--variant", "efj", "--max-steps", "30", "--save-every", "4", "--loader-workers", "2")
    assert start(cache, tmp_path / "straight", *options).wait() == 0
    for after in sorted(random.Random(9).sample(range(2, 28), 3)):
        process = start(cache, tmp_path / "run", *options)
        wait_for_steps(tmp_path / "run", after, process)
        process.kill()
        process.communicate(
            timeout=HOPELESS_SECONDS
        )  # until the last process that has its stderr is gone: no loader stays behind
    assert start(cache, tmp_path / "run", *options).wait() == 0
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")
    assert_same_state(tmp_path / "run", tmp_path / "straight")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_finishes_the_step_and_saves(cache, straight, tmp_path, number):
    # the second is where validation is due too: it is made up for when the run goes on
    config = small_config(cache, tmp_path / "run", **RUN)
    after = 3 if number == signal.SIGUSR1 else 2
    summary = train(config, SignalAfter(after, number), device="cpu")
    assert (summary.step, summary.stopped_by) == (after, number)
    assert losses(config.folder)[-1][0] == after
    assert train(config, device="cpu").stopped_by is None
    assert losses(config.folder) == losses(straight)
    assert validations(config.folder) == validations(straight)
    assert_same_state(config.folder, straight)


@pytest.mark.slow
def test_a_signal_while_it_validates_finds_the_step_saved_and_validation_is_made_up_for(
    cache, straight, tmp_path, monkeypatch
):
    config = small_config(cache, tmp_path / "run", **RUN)
    embed, saved = ClipDataset.eval_batch, []

    def signalled(self, *arguments):
        state = torch.load(config.folder / "ckpt.pt", weights_only=True)
        saved.append((state["step"], state["validated"]))
        os.kill(os.getpid(), signal.SIGTERM)
        return embed(self, *arguments)

    monkeypatch.setattr(ClipDataset, "eval_batch", signalled)
    for asked, step in ((1, 1), (1, 1)):  # the second while it makes up for it
        summary = train(config, device="cpu")
        assert (summary.step, summary.stopped_by) == (step, signal.SIGTERM)
        assert saved == [(step, 0)] * len(saved)
        assert len(saved) == asked
        assert validations(config.folder) == []
        saved.clear()
    monkeypatch.undo()
    train(config, device="cpu")
    assert validations(config.folder) == validations(straight)
    assert_same_state(config.folder, straight)


def test_a_signal_in_the_last_validation_does_not_count_as_the_end(cache, tmp_path, monkeypatch):
    config = small_config(cache, tmp_path / "run", variant="mono", max_steps=1, val_fraction=0.34)
    embed = ClipDataset.eval_batch
    signalled = lambda *arguments: os.kill(os.getpid(), signal.SIGTERM) or embed(*arguments)  # noqa: E731
    monkeypatch.setattr(ClipDataset, "eval_batch", signalled)
    assert train(config, device="cpu").stopped_by == signal.SIGTERM
    monkeypatch.undo()
    assert train(config, device="cpu").stopped_by is None
    assert len(validations(config.folder)) == 1


def validations(out):
    return [line for line in metrics(out) if "loss" not in line]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGUSR1, 0), (signal.SIGINT, 130)])
def test_the_commands_exit_status_after_a_signal(cache, tmp_path, number, status):
    process = start(cache, tmp_path / "run", "--variant", "mono")
    wait_for_steps(tmp_path / "run", 2, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=HOPELESS_SECONDS)
    assert process.returncode == status, errors
    assert "saved in" in output


def test_the_commands_exit_status_says_what_stopped_it(cache, tmp_path, monkeypatch):
    import dubcli.pretrain
    from dubcli.pretrain import RunSummary

    for number, status in ((signal.SIGTERM, 0), (signal.SIGUSR1, 0), (signal.SIGINT, 130)):
        summary = RunSummary(folder=tmp_path, step=3, total_steps=8, stopped_by=int(number))
        monkeypatch.setattr(dubcli.pretrain, "launch", lambda *_, summary=summary, **__: summary, raising=False)
        done = pretrain(cache, tmp_path / "run")
        assert done.returncode == status
        assert "stopped at step 3" in done.stdout


def test_another_config_is_refused_with_both_values_and_fresh_starts_over(cache, straight, tmp_path):
    done = pretrain(cache, straight, *OPTIONS, "--seed", "3")
    assert done.returncode == 2
    assert "seed 0, this one 3" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    out = tmp_path / "run"
    assert pretrain(cache, out, "--variant", "mono", "--max-steps", "1").returncode == 0
    (out / "notes.txt").write_text("mine")
    assert pretrain(cache, out, "--variant", "es", "--max-steps", "1", "--fresh").returncode == 0
    assert json.loads((out / "config.json").read_text())["variant"] == "es"
    assert (out / "notes.txt").exists()


def test_a_damaged_checkpoint_is_told_of_and_not_started_over(cache, tmp_path):
    config = small_config(cache, tmp_path / "run", variant="mono", max_steps=1)
    train(config, device="cpu")
    whole = (config.folder / "ckpt.pt").read_bytes()
    (config.folder / "ckpt.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is damaged or not a checkpoint"):
        train(config, device="cpu")


def test_only_the_last_epochs_are_kept(cache, tmp_path):
    train(small_config(cache, tmp_path / "run", variant="mono", epochs=3, batch_size=10, keep=2), device="cpu")
    assert sorted(path.name for path in (tmp_path / "run").glob("epoch-*.pt")) == ["epoch-02.pt", "epoch-03.pt"]


def test_a_full_disk_leaves_the_former_checkpoint(cache, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        (small / "ballast").write_bytes(bytes(24 << 20))
        done = pretrain(cache, small / "run", "--variant", "efj", "--max-steps", "2", "--save-every", "1")
        assert done.returncode == 2
        assert "make room" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not list((small / "run").glob("*.pt"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
