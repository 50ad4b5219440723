"""Fixtures of the probe's tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread():
    """Arrays are small here, and threads would wait for each other where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
