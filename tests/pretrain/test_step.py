"""The step: gradient caching against plain autograd, precision, and statistics that move once."""

import pytest
import torch
from torch import nn

from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from dubcli.pretrain import train
from dubcli.pretrain.step import Stepper, frozen_running_statistics
from helpers.runs import losses, small_config

PARTS = 3


def stepper_and_inputs(tmp_path, dropout, video=True):
    variant = parse_variant("es" if video else "a-efj", "en", ["en", "es", "fr", "ja"])
    config = small_config(tmp_path, tmp_path, variant=variant.name, batch_size=2, accumulate=PARTS, dropout=dropout)
    torch.manual_seed(3)
    model = DubModel(variant, "minute", dropout).double()
    clips = torch.randn(2 * PARTS, 3, 16, 32, 32, dtype=torch.float64) if video else None
    mels = [torch.randn(2 * PARTS, 2, 96, 280, dtype=torch.float64) for _ in range(2)]
    stepper = Stepper(model, variant, config, torch.device("cpu"), (0.0, 1.0), 32)
    return stepper, (clips, *mels)


@pytest.mark.parametrize(("dropout", "video"), [(0.0, True), (0.4, True), (0.4, False)])
def test_accumulated_passes_have_the_gradient_of_the_one_large_batch(tmp_path, dropout, video):
    stepper, inputs = stepper_and_inputs(tmp_path, dropout, video)
    model = stepper.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    # the oracle: all parts pass with their graphs kept, BatchNorm over each part, one loss over all rows
    torch.manual_seed(11)
    outputs = []
    for part in range(PARTS):
        rows = slice(2 * part, 2 * part + 2)
        outputs.append(model(*(None if x is None else x[rows] for x in inputs)))
    joined = {name: torch.cat([out[name] for out in outputs]) for name in outputs[0]}
    terms = stepper.losses(joined)
    sum(terms.values()).backward()
    wanted = {name: p.grad.clone() for name, p in model.named_parameters()}
    buffers = {name: value.clone() for name, value in model.named_buffers()}

    model.load_state_dict(before)
    model.zero_grad()
    torch.manual_seed(11)
    found = stepper.backward(inputs)
    for name, value in terms.items():
        torch.testing.assert_close(found[name], value.detach())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-7, atol=1e-10, msg=lambda m, n=name: n + m)
    # the running statistics moved once for each part, and as many draws were made as in one pass
    for name, value in model.named_buffers():
        torch.testing.assert_close(value, buffers[name], msg=lambda m, n=name: n + m)
    assert any("running_mean" in name and not torch.equal(value, before[name]) for name, value in buffers.items())


def test_small_steps_without_the_cache_would_be_another_gradient(tmp_path):
    stepper, inputs = stepper_and_inputs(tmp_path, 0.0)
    exact = stepper.backward(inputs)
    rows = [None if x is None else x[:2] for x in inputs]
    alone = stepper.losses(stepper.model(*rows))
    assert float(sum(exact.values())) > float(sum(alone.values()))  # five times the negatives


def test_statistics_stay_while_they_are_frozen():
    norm = nn.BatchNorm1d(4)
    with frozen_running_statistics(norm):
        norm(torch.randn(8, 4) + 3)
    assert float(norm.running_mean.abs().max()) == 0
    assert (norm.momentum, int(norm.num_batches_tracked)) == (0.1, 0)


def test_training_in_parts_goes_through(cache, tmp_path):
    train(small_config(cache, tmp_path, variant="mono", batch_size=2, accumulate=2, max_steps=2), device="cpu")
    assert [step for step, _ in losses(tmp_path)] == [1, 2]
