"""Nothing in a step makes a GPU's process wait: shown without a GPU, on fake tensors and by counting."""

import pytest
import torch
from torch import nn

from dubcli.core.models import DubModel, preset_sizes
from dubcli.core.randaugment import _pixel_sources
from dubcli.core.tracks import Track
from dubcli.core.transforms import VideoAugmentation, draw_masks, draw_video
from dubcli.core.variants import parse_variant
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.loader import Batch, Request
from dubcli.pretrain.step import Stepper
from helpers.pretrain_ranks import ask_before_the_other
from helpers.ranks import on_ranks
from helpers.waits import CUDA, Waits, fake_cuda

CLIPS = 52  # all fourteen operations are drawn
VARIANT = parse_variant("es", "en", ["en", "es"])


@pytest.fixture(autouse=True)
def _no_fake_tensors_left():
    yield
    _pixel_sources.cache_clear()


def drawn(clips, preset="tiny"):
    """The draws of a batch's clips and of their masks, which are made on the CPU."""
    draws = [draw_video(0, 0, clip, 90, 160, VideoAugmentation.of(preset_sizes(preset))) for clip in range(clips)]
    return draws, [draw_masks(0, 0, range(clips), view) for view in ("primary", "secondary")]


def batch_of(draws, masks):
    clips = len(draws)
    mels = [torch.zeros(clips, 2, 96, 280, dtype=torch.float16) for _ in range(2)]
    masks = [values.clone() for values in masks]
    frames = [torch.zeros(16, 3, 90, 160, dtype=torch.uint8) for _ in range(clips)]
    return Batch(request=Request(0, 0, tuple(range(clips)), Track("es")), primary=mels[0], primary_masks=masks[0],
                 secondary=mels[1], secondary_masks=masks[1], clips=frames, draws=draws)  # fmt: skip


def in_pinned_memory(batch, monkeypatch):
    """What ``Batch.pin_memory`` pins, found by having it do so."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    batch.pin_memory()
    return pinned


def test_a_batch_gets_to_the_device_and_is_augmented_there_without_a_wait(monkeypatch):
    draws, masks = drawn(CLIPS)
    with fake_cuda():
        batch = batch_of(draws, masks)
        assert len({draw.operations[0][0] for draw in batch.draws}) == 14
        pinned = in_pinned_memory(batch, monkeypatch)
        stepper = Stepper(nn.Identity(), VARIANT, PretrainConfig(preset="tiny"), CUDA, (-6.0, 5.5), 112)
        stepper.inputs(batch)  # where pixels go to is worked out once in a run
        with Waits(pinned) as waits:
            video, primary, secondary = stepper.inputs(batch)
    assert waits.found == {}
    assert waits.copies == CLIPS + 4
    assert waits.kernels < 8 * CLIPS
    assert {video.device, primary.device, secondary.device} == {CUDA}
    assert video.shape == (CLIPS, 3, 16, 112, 112)


def test_the_forward_pass_and_the_loss_wait_for_nothing():
    with fake_cuda():
        with CUDA:
            model = DubModel(VARIANT, "tiny", 0.1)
            inputs = torch.zeros(4, 3, 16, 112, 112), *(torch.zeros(4, 2, 96, 280) for _ in range(2))
        stepper = Stepper(model, VARIANT, PretrainConfig(preset="tiny"), CUDA, (-6.0, 5.5), 112)
        with Waits() as waits, stepper.autocast():
            stepper.losses(stepper.model(*inputs))
    assert waits.found == {}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_backward_pass_and_the_optimizer_read_no_value(accumulate):
    """On the CPU, since autograd has no threads for a device that is not there."""
    model = DubModel(VARIANT, "minute", 0.1)
    config = PretrainConfig(preset="tiny", batch_size=4 // accumulate, accumulate=accumulate)
    stepper = Stepper(model, VARIANT, config, torch.device("cpu"), (-6.0, 5.5), 32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    inputs = torch.randn(4, 3, 16, 32, 32), *(torch.randn(4, 2, 96, 280) for _ in range(2))
    with Waits() as waits:
        stepper.backward(inputs)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert waits.found == {}
    assert waits.kernels > 100


def test_the_counter_counts():
    with fake_cuda():
        x = torch.zeros(4, device=CUDA)
        with Waits() as waits:
            x[[0, 2]] = x[[1, 3]]
            torch.zeros(3, dtype=torch.float64).to(CUDA, non_blocking=True)  # of pageable memory
            torch.tensor([1.0], device=CUDA)
    assert sum(waits.found.values()) >= 4


def test_ranks_learn_of_a_signal_one_step_later_and_do_not_wait_for_each_other():
    """Rank 1 asks only after rank 0 has its answer; it is told to stop in its third step."""
    answers = on_ranks(ask_before_the_other, 2)
    assert answers == [[None, None, None, 15]] * 2
