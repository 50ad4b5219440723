"""Workers end when the process that started them is killed."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dubcli.jobs.orphans import end_with_parent
from helpers.waiting import HOPELESS_SECONDS, wait_until


def wait_long(file):
    end_with_parent()
    Path(file).write_text(str(os.getpid()))
    time.sleep(300)


def start_workers(method, folder):
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=wait_long, args=(f"{folder}/{number}",), daemon=True) for number in range(2)]
    for worker in workers:
        worker.start()
    time.sleep(300)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_a_killed_process_end(method, tmp_path):
    call = f"from jobs.test_orphans import start_workers; start_workers({method!r}, {str(tmp_path)!r})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", call], stderr=subprocess.PIPE, env=environment)
    files = [tmp_path / "0", tmp_path / "1"]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files), parent)
    parent.kill()
    parent.communicate(timeout=HOPELESS_SECONDS)  # the workers have its stderr too: this returns when they are gone


def test_a_process_that_nobody_started_has_no_parent_to_end_with():
    before = threading.active_count()
    end_with_parent()
    assert threading.active_count() == before
