"""Transposed convolutions as products and shifted sums against torch's own."""

import copy

import pytest
import torch
from demucs.apply import apply_model
from torch import nn

from dubcli.separate.bags import load_bag
from dubcli.separate.transposed import ShiftedSums, replace_transposed
from helpers.separation import fast_demucs, save_model, small_hdemucs


def make(kind, **settings):
    torch.manual_seed(0)
    return kind(6, 5, **settings).double()


@pytest.mark.parametrize("length", [1, 2, 3, 50])
@pytest.mark.parametrize("kernel", [4, 8, 12])
@pytest.mark.parametrize("bias", [True, False])
def test_it_equals_the_convolution(kernel, length, bias):
    one = make(nn.ConvTranspose1d, kernel_size=kernel, stride=4, bias=bias)
    inputs = torch.randn(2, 6, length, dtype=torch.float64)
    assert torch.allclose(ShiftedSums(one)(inputs), one(inputs), atol=1e-12)
    two = make(nn.ConvTranspose2d, kernel_size=(kernel, 1), stride=(4, 1), bias=bias)
    inputs = torch.randn(2, 6, length, 7, dtype=torch.float64)
    assert torch.allclose(ShiftedSums(two)(inputs), two(inputs), atol=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        {"kernel_size": 7, "stride": 4},
        {"kernel_size": 8, "stride": 4, "padding": 2},
        {"kernel_size": 8, "stride": 4, "dilation": 2},
        {"kernel_size": 8, "stride": 4, "output_padding": 1},
    ],
)
def test_what_it_cannot_stand_for_is_left_alone(other):
    model = nn.Sequential(nn.ConvTranspose1d(2, 2, **other), nn.ConvTranspose2d(2, 2, (8, 3), (4, 1)))
    replace_transposed(model)
    assert [type(part) for part in model] == [nn.ConvTranspose1d, nn.ConvTranspose2d]


def test_a_model_with_it_equals_demucs():
    model = small_hdemucs(0, segment=0.6).eval()
    faster = copy.deepcopy(model)
    replace_transposed(faster)
    assert any(isinstance(part, ShiftedSums) for part in faster.modules())
    assert not any(isinstance(part, (nn.ConvTranspose1d, nn.ConvTranspose2d)) for part in faster.modules())
    waveform = 0.1 * torch.randn(1, 2, 60000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = (apply_model(one, waveform, shifts=0) for one in (model, faster))
    assert (found - expected).square().mean().sqrt() < 1e-6 * expected.square().mean().sqrt()


def test_models_loaded_on_the_cpu_have_it(tmp_path):
    save_model(fast_demucs(), tmp_path, "955717e8")
    (single,) = load_bag("955717e8", tmp_path).models
    assert any(isinstance(part, ShiftedSums) for part in single.modules())
