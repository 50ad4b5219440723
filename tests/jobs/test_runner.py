"""The one way work is spread: outcomes, limits, dying workers, shards."""

import errno
import json
import os
import signal

import pytest

from dubcli.errors import InputError, UserError
from dubcli.jobs.options import JobOptions, parse_shard
from dubcli.jobs.progress import SilentProgress
from dubcli.jobs.runner import run_jobs, take_shard


class Listener(SilentProgress):
    def __init__(self):
        self.updates, self.messages = [], []

    def update(self, task, completed, **fields):
        self.updates.append((task, completed, fields))

    def message(self, text):
        self.messages.append(text)


def work(item, report):
    report(0.5, speed=2.0)
    if item == "bad":
        raise InputError("no video stream")
    if item == "bug":
        raise ValueError("surprise")
    if item == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "cache/x")
    if item == "done":
        return {"status": "skipped"}
    if item == "odd":
        return {"warning": "lacks ja"}
    return {"clips": 3}


def test_every_input_gets_its_outcome_and_a_line_in_the_log(tmp_path):
    log, listener = tmp_path / "prep.jsonl", Listener()
    items = ["fine", "bad", "bug", "killed", "done", "odd"]
    summary = run_jobs(work, items, log=log, options=JobOptions(workers=2), progress=listener)
    assert {outcome.key: outcome.status for outcome in summary.outcomes} == {
        "fine": "ok", "bad": "failed", "bug": "failed", "killed": "failed", "done": "skipped", "odd": "ok",
    }  # fmt: skip
    reasons = {outcome.key: outcome.reason for outcome in summary.failures}
    assert reasons["bad"] == "no video stream"
    assert reasons["bug"] == "unexpected ValueError: surprise"
    assert "SIGKILL" in reasons["killed"]
    assert summary.exit_status == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(line["source"] for line in lines) == sorted(items)
    assert next(line for line in lines if line["source"] == "fine")["clips"] == 3
    assert "work" in next(line for line in lines if line["source"] == "bug")["traceback"]
    assert ("fine", 0.5, {"speed": 2.0}) in listener.updates
    assert "warning: odd: lacks ja" in listener.messages


def test_a_worker_that_dies_before_the_pool_knows_its_job_costs_its_item_and_no_more(tmp_path, monkeypatch):
    """The pool looks after its workers in one thread and reads their messages in another: it may not hear of it."""
    monkeypatch.setattr("pebble.pool.process.PoolManager.handle_worker_expiration", lambda self, expiration: None)
    summary = run_jobs(work, ["fine", "killed", "odd"], log=tmp_path / "log.jsonl", options=JobOptions(workers=1))
    assert {outcome.key: outcome.status for outcome in summary.outcomes} == {
        "fine": "ok", "killed": "failed", "odd": "ok",
    }  # fmt: skip
    assert "worker process died" in summary.failures[0].reason


def test_full_disk_ends_the_job_with_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot write cache/x: the disk is full") as caught:
        run_jobs(work, ["full"], log=tmp_path / "log.jsonl", options=JobOptions(workers=1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (JobOptions(workers=1, strict=True), "bad: no video stream .*--strict"),
        (JobOptions(workers=1, max_failures=1), "2 inputs failed, more than --max-failures 1"),
    ],
)
def test_too_many_failures_stop_the_job(tmp_path, options, text):
    with pytest.raises(UserError, match=text):
        run_jobs(work, ["bad", "bug", *["fine"] * 3], log=tmp_path / "log.jsonl", options=options)


def test_nothing_done_is_exit_status_2(tmp_path):
    assert run_jobs(work, ["bad"], log=tmp_path / "log.jsonl", options=JobOptions(workers=1)).exit_status == 2
    assert run_jobs(work, [], log=tmp_path / "log.jsonl").exit_status == 0


def test_shards_are_disjoint_and_cover_everything():
    items = list(range(23))
    shards = [take_shard(items, (i, 4)) for i in range(1, 5)]
    assert sorted(item for shard in shards for item in shard) == items
    assert parse_shard(" 2/4 ") == (2, 4)
    assert parse_shard(None) is None
    for wrong in ("0/4", "5/4", "x", "1/0"):
        with pytest.raises(UserError, match="I/N"):
            parse_shard(wrong)
