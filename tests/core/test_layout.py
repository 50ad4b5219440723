"""The order in memory by device, shown without one: torch itself says which kernels it would take on fake tensors."""

import pytest
import torch
from torch import nn

from dubcli.core import layout
from dubcli.core.layout import Layout, lay_out
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from dubcli.embed.engine import Engine
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.step import Stepper
from helpers.waits import CUDA, Waits, fake_cuda

CPU = torch.device("cpu")
VARIANT = parse_variant("es", "en", ["en", "es"])


@pytest.mark.parametrize(("last", "kernels"), [(False, "CudaDepthwise3d"), (True, "Cudnn")])
def test_on_cuda_the_paper_models_depthwise_layers_get_torchs_own_kernels(monkeypatch, last, kernels):
    monkeypatch.setattr(layout, "CUDA_DEPTHWISE_CHANNELS_LAST", last)
    with fake_cuda(), torch.no_grad():
        with CUDA:
            model = lay_out(DubModel(VARIANT, "paper"), CUDA)
        stepper = Stepper(model, VARIANT, PretrainConfig(precision="fp32"), CUDA, (0.0, 1.0), 224)
        pixels = stepper.pixels(torch.zeros(2, 16, 3, 224, 224, dtype=torch.uint8))
        with Waits() as seen:
            model.embed_video(pixels)
    assert seen.convolutions == {kernels: 27}
    assert Layout.of(model.audio, CUDA).channels_last  # dense convolutions: for the matrix units
    dense = next(p for p in model.audio.parameters() if p.dim() == 5 and p.shape[1] > 1 < p[0, 0].numel())
    assert dense.is_contiguous(memory_format=torch.channels_last_3d)


def test_on_the_cpu_all_is_channels_last_and_the_outputs_are_the_same():
    torch.manual_seed(0)
    model = DubModel(VARIANT, "tiny").eval()
    video, mels = torch.randn(2, 3, 16, 112, 112), torch.randn(2, 2, 96, 280)
    with torch.no_grad():
        expected = model(video, mels, mels)
        lay_out(model, CPU)
        found = model(Layout.of(model, CPU).tensor(video), mels, mels)
    assert all(p.is_contiguous(memory_format=torch.channels_last_3d) for p in model.parameters() if p.dim() == 5)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_backbones_of_other_ranks_than_5_run(rank):
    """Once "required rank 5 tensor to use channels_last_3d format"."""
    kind = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}[rank]
    backbone = nn.Sequential(kind(2, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(1024)).eval()
    batch = torch.randn(2, 2, *[6] * (rank - 2))
    expected = backbone(batch)
    torch.testing.assert_close(Engine(backbone, CPU, "fp32")(batch), expected)
    assert Layout.of(backbone, CUDA).channels_last
