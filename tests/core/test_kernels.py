"""The choice of kernels: the fastest of those that run, on copies, and none by time where that must not be."""

import pytest
import torch
from torch import nn

from dubcli.core import kernels
from dubcli.core.kernels import CANDIDATES, kernels_of, settle_kernels
from dubcli.core.layout import Layout, TimedConv3d
from helpers.waits import CUDA

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def choice_by_time():
    """Not deterministic, whatever a training in this process before asked torch for."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    yield
    torch.use_deterministic_algorithms(before)


def backbone():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(3, 4, 1), nn.Conv3d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm3d(4),
        nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 8),
    )  # fmt: skip


def settled(monkeypatch, seconds):
    """A backbone settled as on a GPU where the candidates take so long (None: they raise), and what was told."""
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    given = iter(seconds)

    def timed(tried, shape, device, precision):
        assert shape[0] == kernels.MOST_CLIPS
        taken = next(given)
        if taken is None:
            raise RuntimeError("no such kernel\nand a long text")
        tried[0].weight.data.zero_()  # of a copy
        return taken

    monkeypatch.setattr(kernels, "seconds_of_a_pass", timed)
    module, told = backbone(), []
    settle_kernels(module, (26, 3, 16, 32, 32), CUDA, "bf16", told.append)
    assert torch.equal(module[0].weight, backbone()[0].weight)
    assert list(module.state_dict()) == list(backbone().state_dict())
    return module, told


@pytest.mark.parametrize(("place", "name"), list(enumerate(CANDIDATES)))
def test_the_fastest_is_taken_and_says_its_order(monkeypatch, place, name):
    pytest.importorskip("triton")
    module, told = settled(monkeypatch, [1.0 if number == place else 2.0 for number in range(3)])
    assert kernels_of(module, CUDA) == name
    assert told == []
    assert module[1].weight.is_contiguous(memory_format=torch.channels_last_3d) or name == "channels first"


def test_what_does_not_run_is_told_and_left_out(monkeypatch):
    module, told = settled(monkeypatch, [2.0, 1.0, None])
    assert type(module[1]) is TimedConv3d
    assert told == ["channels last, own depthwise kernels: cannot be used here (no such kernel)"]
    module, told = settled(monkeypatch, [None, None, None])
    assert kernels_of(module, CUDA) == "channels first"
    assert len(told) == 3


@pytest.mark.parametrize("why", ["cpu", "deterministic", "frozen"])
def test_nothing_is_timed_where_a_choice_by_time_must_not_be(monkeypatch, why):
    monkeypatch.setattr(kernels, "seconds_of_a_pass", lambda *arguments: pytest.fail("timed"))
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: why == "deterministic")
    module = backbone().requires_grad_(why != "frozen")
    settle_kernels(module, (2, 3, 4, 8, 8), CPU if why == "cpu" else CUDA, "fp32", pytest.fail)
    assert kernels_of(module, CUDA) == "channels first"


def test_a_pass_is_timed_in_the_order_of_the_candidate():
    module = backbone()
    seen = []
    module[1].register_forward_pre_hook(lambda part, given: seen.append(given[0].shape))
    assert kernels.seconds_of_a_pass(module, (2, 3, 4, 8, 8), CPU, "fp32") > 0
    assert seen == [(2, 4, 4, 8, 8)] * (kernels.WARM_STEPS + kernels.TIMED_STEPS)
    assert module[1].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert Layout.of(module, CPU).channels_last
