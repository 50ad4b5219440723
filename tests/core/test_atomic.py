"""Whole or not at all, and nothing left behind."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dubcli.core.atomic import (
    atomic_folder,
    atomic_write,
    read_json,
    read_json_lines,
    remove_leftovers,
    strict,
    temporary_beside,
    write_json,
)
from dubcli.errors import UserError


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "deep" / "x.json"
    write_json(target, {"a": 1})
    with pytest.raises(ValueError):
        write_json(target, {"a": float("nan")})
    with pytest.raises(RuntimeError), atomic_write(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert read_json(target) == {"a": 1}
    assert os.listdir(target.parent) == ["x.json"]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "movie"
    for content in ("old", "new"):
        with atomic_folder(target) as folder:
            (folder / "file").write_text(content)
    assert (target / "file").read_text() == "new"
    assert os.listdir(tmp_path) == ["movie"]


def _die_while_writing(folder):
    with atomic_folder(folder / "movie") as temporary, atomic_write(folder / "file") as file:
        (temporary / "part").write_text("half")
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_leftovers_of_dead_processes_go_and_of_living_ones_stay(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_die_while_writing, args=(tmp_path,))
    process.start()
    process.join()
    assert len(os.listdir(tmp_path)) == 2
    with atomic_write(tmp_path / "mine") as file:
        file.write(b"x")
        assert remove_leftovers(tmp_path) == 2
        assert len(os.listdir(tmp_path)) == 1
    assert os.listdir(tmp_path) == ["mine"]


_WRITE = """
import sys, time
from pathlib import Path
from dubcli.core.atomic import atomic_folder, atomic_write
folder = Path(sys.argv[1])
with atomic_folder(folder / "movie"), atomic_write(folder / "mel"):
    print("writing", flush=True)
    time.sleep(100)
"""


def _age(folder, seconds):
    for name in os.listdir(folder):
        os.utime(folder / name, (time.time() - seconds,) * 2)


def test_what_another_container_writes_stays_until_that_is_gone(tmp_path):
    """Of one host name, whose processes have numbers of their own: the number says nothing."""
    command = [
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        sys.executable,
        "-c",
        _WRITE,
        str(tmp_path),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        if writer.stdout.readline() != "writing\n":
            pytest.skip("no namespaces may be made here")
        assert len(os.listdir(tmp_path)) == 2
        _age(tmp_path, 1000)
        assert remove_leftovers(tmp_path) == 0
        writer.kill()
    for _ in range(100):
        if remove_leftovers(tmp_path):
            break
        time.sleep(0.1)
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == []


def test_leftovers_from_before_the_machine_was_started_go_after_a_day(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("dubcli.core.atomic._boot", lambda: "0badf00d")
        temporary_beside(tmp_path / "mel").touch()
    assert remove_leftovers(tmp_path) == 0
    _age(tmp_path, 25 * 3600)
    assert remove_leftovers(tmp_path) == 1


def test_json_errors_name_the_file(tmp_path):
    (tmp_path / "bad.json").write_text("{")
    for name in ("bad.json", "missing.json"):
        with pytest.raises(UserError, match=name):
            read_json(tmp_path / name)


def test_strict_json_of_what_stages_report():
    import numpy as np

    given = {1: (np.float32(0.5), np.int64(3), float("nan"), np.float64("inf")), "p": Path("a"), "t": [True, None, "x"]}
    assert strict(given) == {"1": [0.5, 3, None, None], "p": "a", "t": [True, None, "x"]}
    assert json.loads(json.dumps(strict(given), allow_nan=False)) == strict(given)


def test_lines_of_a_killed_process_are_passed_over(tmp_path):
    log = tmp_path / "metrics.jsonl"
    assert read_json_lines(log) == []
    log.write_bytes(b'{"step": 1}\n5\n\n{"step": 2, "loss": 0.5}\n\xff\n{"step": 3, "lo')
    assert read_json_lines(log) == [{"step": 1}, {"step": 2, "loss": 0.5}]
    with pytest.raises(UserError, match="cannot be read"):
        read_json_lines(tmp_path)
