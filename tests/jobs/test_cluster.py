"""The same function on a Dask cluster of two workers, one of which is killed midway."""

import os
import signal
import threading
import time

import pytest

from dubcli.errors import InputError, UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.runner import run_jobs

distributed = pytest.importorskip("distributed")


def work(item, report, folder):
    """Note which process works on what; long enough that one can be killed in the middle."""
    report(0.1)
    (folder / f"{item}.{os.getpid()}").touch()
    if item == "bad":
        raise InputError("no video stream")
    time.sleep(0.5)
    return {"process": os.getpid()}


class Work:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, item, report):
        return work(item, report, self.folder)


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(cluster, tmp_path):
    items = [f"film{i}" for i in range(8)] + ["bad"]
    marks = tmp_path / "marks"
    marks.mkdir()
    victim = []

    def kill_one():
        while not victim:
            started = list(marks.iterdir())
            if started:
                victim.append(int(started[0].suffix[1:]))
                os.kill(victim[0], signal.SIGKILL)
            time.sleep(0.02)

    killer = threading.Thread(target=kill_one)
    killer.start()
    options = JobOptions(scheduler=cluster.scheduler_address)
    summary = run_jobs(Work(marks), items, options=options, log=tmp_path / "log.jsonl")
    killer.join()
    assert summary.ok == 8
    assert [failure.key for failure in summary.failures] == ["bad"]
    assert victim[0] not in {outcome.details.get("process") for outcome in summary.outcomes}


def test_no_scheduler_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("dubcli.jobs.cluster.CONNECT_TIMEOUT_SECONDS", 1)
    with pytest.raises(UserError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        run_jobs(Work(tmp_path), ["a"], options=JobOptions(scheduler="tcp://127.0.0.1:1"), log=tmp_path / "log.jsonl")
