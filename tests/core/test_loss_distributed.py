"""Two gloo processes against one process with the joined batch: loss, gradients, and what DDP makes of them."""

import pytest
import torch

from dubcli.core import distributed
from dubcli.core.loss import nt_xent
from helpers.loss_ranks import Heads, ddp_steps, feature_gradients, joined_inputs, train_step
from helpers.ranks import on_ranks

BATCH = 12


@pytest.fixture(scope="module", params=[True, False], ids=["plain", "blocks"])
def two_ranks(request):
    return on_ranks(ddp_steps, 2, BATCH, request.param)


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_ddp_gives_the_joined_batchs_loss_and_gradients(two_ranks, negatives):
    alone = train_step(Heads(), joined_inputs(BATCH), negatives, local=False)
    for result in two_ranks:
        step = result[negatives, False]
        assert step["loss"].item() == pytest.approx(alone["loss"].item(), rel=1e-12)
        for name, gradient in alone["gradients"].items():
            assert torch.allclose(step["gradients"][name], gradient, rtol=1e-10, atol=1e-12), name


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_local_negatives_are_the_mean_of_two_small_batches(two_ranks, negatives):
    parts = [{name: rows.chunk(2)[rank] for name, rows in joined_inputs(BATCH).items()} for rank in range(2)]
    alone = [train_step(Heads(), part, negatives, local=True) for part in parts]
    step = two_ranks[0][negatives, True]
    assert step["loss"].item() == pytest.approx(sum(result["loss"].item() for result in alone) / 2, rel=1e-12)
    for name, gradient in step["gradients"].items():
        mean = (alone[0]["gradients"][name] + alone[1]["gradients"][name]) / 2
        assert torch.allclose(gradient, mean, rtol=1e-10, atol=1e-12), name
    assert step["loss"].item() != pytest.approx(two_ranks[0][negatives, False]["loss"].item(), rel=1e-3)


def test_gradient_equals_that_of_a_gather_with_gradient():
    """On three ranks: against the plain way (gather with gradient, whole matrix), and against the joined batch."""
    results = on_ranks(feature_gradients, 3, BATCH, "both")
    inputs = joined_inputs(BATCH)
    a, b = (inputs[name].clone().requires_grad_() for name in ("video", "primary"))
    joined = nt_xent(a, b, 0.3)
    joined.backward()
    mean = sum(result["blockwise"][0].item() for result in results) / 3
    assert mean == pytest.approx(joined.item(), rel=1e-12)
    for rank, result in enumerate(results):
        for form in ("blockwise", "plain"):
            for ours, naive in zip(result[form], result["gathered"], strict=True):
                assert torch.allclose(ours, naive, rtol=1e-10, atol=1e-12), form
        # The sum over ranks of their losses is three times the joined batch's mean.
        assert torch.allclose(result["blockwise"][1], 3 * a.grad.chunk(3)[rank], rtol=1e-10, atol=1e-12)
        assert torch.allclose(result["blockwise"][2], 3 * b.grad.chunk(3)[rank], rtol=1e-10, atol=1e-12)
        assert result["plain_gather"].tolist() == [[float(source)] * 3 for source in (0, 0, 1, 1, 2, 2)]
        assert result["broadcast"] == {"rank": 0}


def test_without_a_group_all_is_identity():
    tensor = torch.ones(2, 3, requires_grad=True)
    assert (distributed.rank(), distributed.world_size(), distributed.is_main()) == (0, 1, True)
    assert distributed.gather_with_grad(tensor) is tensor
    assert torch.equal(distributed.gather(tensor), tensor)
    assert torch.equal(distributed.mean_over_ranks(tensor), tensor)
    assert distributed.broadcast_object("x") == "x"
    distributed.barrier()
