"""A run that is killed, stopped or pre-empted goes on to the very same result."""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from helpers.caches import make_cache
from helpers.runs import assert_same_state, command, environment, losses, pretrain


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("data") / "cache", films=3, clips=7)


def start(cache, out, *options):
    return subprocess.Popen(
        command(cache, out, *options), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_steps(out, steps, process):
    while process.poll() is None:
        done = losses(out) if (out / "metrics.jsonl").exists() else []
        if done and done[-1][0] >= steps:
            return
        time.sleep(0.02)


OPTIONS = ("--variant", "efj", "--max-steps", "14", "--save-every", "3", "--dropout", "0.2")


@pytest.fixture(scope="module")
def straight(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "run"
    done = pretrain(cache, out, *OPTIONS)
    assert done.returncode == 0, done.stderr
    return out


def test_killed_three_times_and_resumed_equals_a_run_without_break(cache, straight, tmp_path):
    out = tmp_path / "run"
    for after in sorted(random.Random(5).sample(range(2, 13), 3)):
        process = start(cache, out, *OPTIONS)
        wait_for_steps(out, after, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = pretrain(cache, out, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert losses(out) == losses(straight)
    assert_same_state(out, straight)


@pytest.mark.slow
def test_thirty_steps_killed_at_random_with_loader_processes(cache, tmp_path):
    options = ("--variant", "efj", "--max-steps", "30", "--save-every", "4", "--loader-workers", "2")
    assert pretrain(cache, tmp_path / "straight", *options).returncode == 0
    for after in sorted(random.Random(9).sample(range(2, 28), 3)):
        process = start(cache, tmp_path / "run", *options)
        wait_for_steps(tmp_path / "run", after, process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert pretrain(cache, tmp_path / "run", *options).returncode == 0
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")
    assert_same_state(tmp_path / "run", tmp_path / "straight")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGUSR1, 0), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_step_saves_and_exits(cache, straight, tmp_path, number, status):
    out = tmp_path / "run"
    process = start(cache, out, *OPTIONS)
    wait_for_steps(out, 2, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == status, errors
    assert "saved in" in output
    assert 2 <= losses(out)[-1][0] < 14
    assert pretrain(cache, out, *OPTIONS).returncode == 0
    assert losses(out) == losses(straight)
    assert_same_state(out, straight)


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


def test_a_full_disk_leaves_the_former_checkpoint(cache, straight, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        options = ("--variant", "efj", "--max-steps", "6", "--save-every", "2")
        (small / "ballast").write_bytes(bytes(24 << 20))
        done = pretrain(cache, small / "run", *options)
        assert done.returncode == 2
        assert "make room" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert not list((small / "run").glob("*.pt"))
    finally:
        subprocess.run(["umount", str(small)], check=True)
