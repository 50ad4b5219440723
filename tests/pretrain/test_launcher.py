"""Processes that srun and mpirun start are the ranks of one run; one folder holds one run at a time."""

import signal
import socket

import pytest

from dubcli.core import machine
from dubcli.errors import UserError
from dubcli.pretrain.config import LaunchConfig, PretrainConfig
from dubcli.pretrain.launcher import launch, own_gpu
from dubcli.pretrain.run_folder import RunFolder
from helpers.caches import make_cache
from helpers.pretrain_ranks import straight
from helpers.ranks import on_ranks
from helpers.runs import assert_same_state, losses, metrics, pretrain, slurm, small_config, start, wait_for_steps
from helpers.waiting import HOPELESS_SECONDS


def open_mpi(rank, size):
    names = {"RANK": rank, "SIZE": size, "LOCAL_RANK": rank, "LOCAL_SIZE": size}
    return {f"OMPI_COMM_WORLD_{name}": str(value) for name, value in names.items()}


def all_of(processes):
    return [(*process.communicate(timeout=HOPELESS_SECONDS), process.returncode) for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [slurm, open_mpi])
def test_two_tasks_are_one_run_of_two_ranks(cache, tmp_path, launcher):
    on_ranks(straight, 2, str(cache), str(tmp_path / "straight"))
    options = ("--variant", "efj", "--batch-size", 2, "--max-steps", 3, "--val-fraction", 0)
    done = all_of([start(cache, tmp_path / "run", *options, **launcher(rank, 2)) for rank in (0, 1)])
    assert [status for _, _, status in done] == [0, 0], done
    assert ["3 of 3 steps done" in output for output, _, _ in done] == [True, False]  # told once
    assert metrics(tmp_path / "run")[-1]["step"] == 3
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")
    assert_same_state(tmp_path / "run", tmp_path / "straight")


@pytest.mark.slow
def test_four_tasks_of_srun_equal_a_run_of_four_processes(tmp_path):
    cache = make_cache(tmp_path / "cache", films=4, clips=8)
    options = ("--preset", "tiny", "--variant", "mono", "--batch-size", 2, "--max-steps", 3)
    assert start(cache, tmp_path / "procs", *options, "--procs", 4).wait() == 0
    done = all_of([start(cache, tmp_path / "run", *options, **slurm(rank, 4)) for rank in range(4)])
    assert [status for _, _, status in done] == [0] * 4, done
    assert_same_state(tmp_path / "run", tmp_path / "procs")


@pytest.mark.slow
def test_a_task_whose_fellow_is_killed_ends_with_a_line(cache, tmp_path):
    options = ("--variant", "mono", "--batch-size", 2)
    tasks = [start(cache, tmp_path / "run", *options, **slurm(rank, 2)) for rank in (0, 1)]
    wait_for_steps(tmp_path / "run", 2, tasks[0])
    tasks[1].kill()
    (_, errors, status), _ = all_of(tasks)
    assert (status, len(errors.strip().splitlines())) == (2, 1), errors
    assert "process 0 of 2 lost the others" in errors


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (LaunchConfig(gpus=0, procs=2), "leave --procs 2 away"),
        (LaunchConfig(nnodes=2, rdzv_endpoint="node01:29500"), "leave one of the two away"),
    ],
)
def test_processes_asked_for_beside_those_of_srun_are_refused(cache, tmp_path, monkeypatch, where, text):
    for name, value in slurm(1, 4).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=text):
        launch(small_config(cache, tmp_path / "run"), where)


def test_mpi_over_machines_without_an_address_is_one_line(cache, tmp_path, monkeypatch):
    for name, value in {**open_mpi(1, 4), "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    done = pretrain(cache, tmp_path / "run")
    assert (done.returncode, "set MASTER_ADDR" in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_gpu_of_a_rank(monkeypatch):
    monkeypatch.setattr(machine, "gpu_count", lambda: 1)
    assert own_gpu(3) == 0  # each task sees its own
    monkeypatch.setattr(machine, "gpu_count", lambda: 4)
    assert own_gpu(3) == 3
    with pytest.raises(UserError, match="which has 4 GPUs"):
        own_gpu(4)


@pytest.mark.slow
def test_a_second_process_on_a_folder_is_told_so_and_the_first_goes_on(cache, tmp_path):
    out = tmp_path / "run"
    first = start(cache, out, "--variant", "mono", "--max-steps", 30)
    wait_for_steps(out, 1, first)
    for extra in ((), ("--fresh",)):
        second = pretrain(cache, out, "--variant", "mono", "--max-steps", 30, *extra)
        assert second.returncode == 2
        assert f"process {first.pid} on {socket.gethostname()}" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert losses(out)
    # the kernel let go of it, and nothing is left of the lock when a run has ended
    assert pretrain(cache, out, "--variant", "mono", "--max-steps", 30, "--log-every", 5).returncode == 0
    assert not (out / ".lock").exists()


def test_a_folder_made_for_nothing_goes_again_and_another_stays(tmp_path):
    for made_before in (False, True):
        path = tmp_path / str(made_before)
        if made_before:
            path.mkdir()
        with pytest.raises(UserError), RunFolder(path).held():
            assert (path / ".lock").exists()
            raise UserError("a mistake")
        assert path.exists() == made_before


def test_a_file_system_without_locks_is_no_hindrance(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with RunFolder(tmp_path / "run").held():
        assert (tmp_path / "run").exists()


def test_old_names_of_precisions_are_taken_and_typos_refused():
    assert PretrainConfig(precision="bfloat16").run.precision == "bf16"
    with pytest.raises(UserError, match="did you mean fp32"):
        PretrainConfig(precision="fp23")
