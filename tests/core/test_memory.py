"""The process's memory: what workers are told."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import torch

from dubcli.core.memory import huge_pages_for_workers, out_of_memory, room_for_model
from dubcli.errors import UserError

HUGE_PAGES = """
import torch
block = torch.ones(64 << 20)
address = block.data_ptr()
for line in open("/proc/self/smaps"):
    head = line.split()[0]
    if "-" in head and not head.endswith(":"):
        first, last = (int(end, 16) for end in head.split("-"))
        inside = first <= address < last
    elif inside and head == "VmFlags:":
        print("advised" if " hg" in line else "plain")
"""


@pytest.mark.slow
def test_workers_ask_for_huge_pages_unless_the_user_chose(monkeypatch):
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    huge_pages_for_workers()
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    if sys.platform == "linux":
        assert _pages_of_a_child() == "advised"
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    huge_pages_for_workers()
    if sys.platform == "linux":
        assert _pages_of_a_child() == "plain"


def _pages_of_a_child() -> str:
    done = subprocess.run([sys.executable, "-c", HUGE_PAGES], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("fits", "text"),
    [(100, "--batch-size 64 fits"), (5, "--batch-size 4 fits"), (0, "not even one item .* --device cpu")],
)
def test_out_of_memory_names_a_batch_size_that_was_tried(fits, text):
    tried = []

    def attempt(size):
        tried.append(size)
        if size > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert re.search(text, str(out_of_memory(torch.device("cpu"), 128, attempt)))
    assert tried[0] == 64


def test_no_room_for_the_model_alone_is_a_line_and_other_errors_stay():
    told = pytest.raises(UserError, match=r"out of memory on cuda:1 for the model alone; .*nvidia-smi")
    with told, room_for_model("cuda:1"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(ValueError, match="another"), room_for_model("cpu"):
        raise ValueError("another")
