"""Several processes: the same training as one, through torch's own launcher, whatever becomes of a worker."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.distributed import TCPStore

from helpers.caches import make_cache
from helpers.pretrain_ranks import die_in_a_group, five_steps, straight_and_resumed
from helpers.ranks import on_ranks
from helpers.runs import arguments, assert_same_state, losses, start, wait_for_steps
from helpers.waiting import HOPELESS_SECONDS

TWO = ("--procs", "2", "--preset", "tiny", "--variant", "mono", "--batch-size", "2", "--k", "2")


def test_two_processes_equal_one_with_both_batches(cache, tmp_path):
    one = five_steps(0, 1, str(cache), str(tmp_path), False, 1)
    first, second = on_ranks(five_steps, 2, str(cache), str(tmp_path), False, 1)
    assert first["loss"] == second["loss"]
    torch.testing.assert_close(first["loss"], one["loss"], rtol=1e-6, atol=0)
    moved = 0.0
    for name, value in one["parameters"].items():
        assert torch.equal(first["parameters"][name], second["parameters"][name]), name
        torch.testing.assert_close(first["parameters"][name], value, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: n + m)
        moved = max(moved, float(value.abs().max()))
    assert moved > 0


@pytest.mark.slow
def test_negatives_kept_on_the_rank_are_another_training(cache, tmp_path):
    one = five_steps(0, 1, str(cache), str(tmp_path), False, 1)
    local = on_ranks(five_steps, 2, str(cache), str(tmp_path), True, 1)[0]
    assert abs(local["loss"][0] - one["loss"][0]) > 0.1


@pytest.fixture(scope="module")
def two_straight(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("two") / "run"
    process = start(cache, out, *TWO, "--max-steps", 6, "--save-every", 2)
    _, errors = process.communicate(timeout=HOPELESS_SECONDS)
    assert process.returncode == 0, errors
    said = [line for line in errors.splitlines() if not line.startswith("steps: ")]  # a slow machine's progress
    assert said == []
    assert [step for step, _ in losses(out)] == [1, 2, 3, 4, 5, 6]  # rank 0 alone writes
    return out


def workers_of(process):
    """Ranks that the elastic agent in ``process`` started, by the environment that it gave them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process.pid:
                variables = (entry / "environ").read_bytes()
                if b"spawn_main" in (entry / "cmdline").read_bytes() or b"RANK=" in variables:
                    found.append(int(entry.name))
        except (OSError, ValueError, IndexError):
            continue
    return sorted(found)


@pytest.mark.slow
def test_ranks_started_again_do_not_meet_those_before_them(monkeypatch):
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # as the agent's, there for all restarts
    elastic = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(store.port), "WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"}
    for name, value in {**elastic, "TORCHELASTIC_USE_AGENT_STORE": "True"}.items():
        monkeypatch.setenv(name, value)
    context = multiprocessing.get_context("spawn")
    for restart in ("0", "1"):
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restart)
        ranks = []
        for rank in (0, 1):  # the second comes late: the first looks for it where it was before
            monkeypatch.setenv("RANK", str(rank))
            ranks.append(context.Process(target=die_in_a_group, args=(rank,)))
            ranks[-1].start()
        for process in ranks:
            process.join(HOPELESS_SECONDS)
            process.kill()
        assert [process.exitcode for process in ranks] == [7, 7]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
def test_a_worker_killed_with_9_is_started_again_to_the_same_result(cache, two_straight, tmp_path):
    out = tmp_path / "run"
    process = start(cache, out, *TWO, "--max-steps", 6, "--save-every", 2)
    wait_for_steps(out, 3, process)
    os.kill(workers_of(process)[-1], signal.SIGKILL)
    _, errors = process.communicate(timeout=HOPELESS_SECONDS)
    assert process.returncode == 0, errors
    assert losses(out) == losses(two_straight)
    assert_same_state(out, two_straight)


@pytest.mark.slow
def test_a_mistake_found_in_the_ranks_is_one_line(cache, tmp_path):
    process = start(cache, tmp_path / "run", *TWO, "--learning-rate", "1e30", "--warmup-epochs", "0")
    _, errors = process.communicate(timeout=HOPELESS_SECONDS)
    assert process.returncode == 2, errors
    assert "the loss of step" in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.slow
def test_pre_emption_of_all_processes_saves_and_exits_0(cache, two_straight, tmp_path):
    for number, status in ((signal.SIGUSR1, 0), (signal.SIGTERM, 0), (signal.SIGINT, 130)):
        out = tmp_path / str(int(number))
        process = start(cache, out, *TWO, "--max-steps", 6, "--save-every", 2)
        wait_for_steps(out, 2, process)
        process.send_signal(number)
        _, errors = process.communicate(timeout=HOPELESS_SECONDS)
        assert process.returncode == status, errors
        again = start(cache, out, *TWO, "--max-steps", 6, "--save-every", 2)
        assert again.wait() == 0
        assert_same_state(out, two_straight)


@pytest.mark.slow
def test_under_torchrun_itself(cache, two_straight, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    options = [option for option in TWO if option not in ("--procs",)][1:]
    command = [*torchrun, "-m", "dubcli.pretrain"]
    command += arguments(cache, tmp_path / "run", *options, "--max-steps", 6, "--save-every", 2)[1:]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HOPELESS_SECONDS)
    assert done.returncode == 0, done.stderr
    assert_same_state(tmp_path / "run", two_straight)


def resumed_equals_straight(cache, tmp_path, *options):
    options = ("--preset", "tiny", "--variant", "mono", "--k", 2, "--val-fraction", "0", "--max-steps", 6, *options)
    straight = start(cache, tmp_path / "straight", *options)
    assert straight.wait() == 0, straight.stderr.read()
    killed = start(cache, tmp_path / "run", *options, "--save-every", 2, "--max-restarts", 0)
    wait_for_steps(tmp_path / "run", 3, killed)
    for worker in workers_of(killed):
        os.kill(worker, signal.SIGKILL)
    killed.kill()
    killed.communicate()
    assert len(losses(tmp_path / "run")) < 6
    again = start(cache, tmp_path / "run", *options)
    assert again.wait() == 0, again.stderr.read()
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")
    assert_same_state(tmp_path / "run", tmp_path / "straight")


# with two summands no order shows: 3 ranks and more tell whether gradients are summed in one order
@pytest.mark.slow
def test_three_ranks_stopped_and_gone_on_with_equal_a_run_without_break(cache, tmp_path):
    on_ranks(straight_and_resumed, 3, str(cache), str(tmp_path))
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")
    assert_same_state(tmp_path / "run", tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.parametrize(("ranks", "extra"), [(3, ()), (4, ("--accumulate", 2, "--dropout", 0.2))])
def test_many_ranks_killed_with_9_and_gone_on_with_equal_a_run_without_break(tmp_path, ranks, extra):
    cache = make_cache(tmp_path / "cache", films=4, clips=26)
    resumed_equals_straight(cache, tmp_path, "--procs", ranks, "--batch-size", 2, *extra)
