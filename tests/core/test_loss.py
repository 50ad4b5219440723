"""NT-Xent, plain and in blocks, against a loop in plain Python, lightly, finite differences, and each other."""

import math
import warnings

import numpy as np
import pytest
import torch

from dubcli.core import loss as loss_module
from dubcli.core.loss import contrastive_losses, nt_xent, nt_xent_distributed


def pair(batch, dim=16, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, batch, dim, generator=generator, dtype=torch.float64).to(dtype).unbind()
    return a.clone().requires_grad_(), b.clone().requires_grad_()


@pytest.fixture(params=["plain", "blocks"])
def form(request, monkeypatch):
    """Each of the two ways that it is computed."""
    monkeypatch.setattr(loss_module, "_PLAIN_ELEMENTS", {"plain": 2**40, "blocks": 0}[request.param])
    return request.param


def brute_force(a, b, temperature, negatives):
    """Eq. 1 and 2 of the paper, one pair after another, in float64."""
    a, b = a.detach().double().numpy(), b.detach().double().numpy()

    def similarity(u, v):
        return float(np.dot(u, v) / (np.linalg.norm(u) * np.linalg.norm(v)))

    def direction(anchors, others, i):
        candidates = [others[k] for k in range(len(others))]
        if negatives == "both":
            candidates += [anchors[k] for k in range(len(anchors)) if k != i]
        denominator = sum(math.exp(similarity(anchors[i], z) / temperature) for z in candidates)
        return -math.log(math.exp(similarity(anchors[i], others[i]) / temperature) / denominator)

    return sum((direction(a, b, i) + direction(b, a, i)) / 2 for i in range(len(a))) / len(a)


@pytest.mark.parametrize("negatives", ["both", "cross"])
@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("batch", [1, 2, 7, 26])
def test_value_is_that_of_a_plain_loop(batch, temperature, negatives, form):
    a, b = pair(batch, seed=batch)
    assert nt_xent(a, b, temperature, negatives).item() == pytest.approx(
        brute_force(a, b, temperature, negatives), abs=1e-6, rel=1e-6
    )


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_gradient_is_that_of_finite_differences(negatives, form):
    a, b = pair(5, dim=4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, y: nt_xent(x, y, 0.3, negatives), (a, b))
    assert torch.autograd.gradcheck(lambda x: nt_xent(x, b.detach(), 0.3, negatives), (a,))


@pytest.mark.parametrize("batch", [2, 104])
def test_both_equals_lightly(batch, form):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lightly.loss import NTXentLoss
    gradients = []
    values = []
    for loss in (lambda a, b: nt_xent(a, b, 0.1), NTXentLoss(0.1)):
        a, b = pair(batch, dim=128)
        value = loss(a, b)
        value.backward()
        values.append(value.item())
        gradients.append(torch.stack([a.grad, b.grad]))
    assert values[0] == pytest.approx(values[1], abs=2e-6)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6 * gradients[1].abs().max().item(), rtol=1e-4)


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_blocks_do_not_change_the_result(monkeypatch, negatives):
    monkeypatch.setattr(loss_module, "_PLAIN_ELEMENTS", 0)
    results = []
    for elements in (2**21, 100, 1):  # everything at once; a few rows; a row at a time
        monkeypatch.setattr(loss_module, "_BLOCK_CPU", elements)
        a, b = pair(33, dtype=torch.float64)
        value = nt_xent(a, b, 0.1, negatives)
        value.backward()
        results.append(torch.cat([value.detach().reshape(1), a.grad.flatten(), b.grad.flatten()]))
    assert torch.allclose(results[0], results[1], rtol=1e-12, atol=1e-13)
    assert torch.allclose(results[0], results[2], rtol=1e-12, atol=1e-13)


def test_memory_does_not_hold_the_matrix_of_similarities():
    """The largest tensor that is allocated stays far below (2 * batch)^2."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.elements = max(self.elements, result.untyped_storage().nbytes() // result.element_size())
            return result

    a, b = pair(3000, dim=8)
    with Largest() as largest:
        nt_xent(a, b).backward()
    assert 0 < largest.elements <= loss_module._BLOCK_CPU < 6000**2 / 10


def test_low_temperature_stays_finite(form):
    a, b = pair(8)
    for temperature in (0.02, 0.003):
        value = nt_xent(a, b, temperature)
        assert value.item() == pytest.approx(brute_force(a, b, temperature, "both"), rel=1e-6)
        value.backward()
        assert a.grad.isfinite().all()


def test_scale_of_the_vectors_does_not_matter_and_zeros_give_no_nan(form):
    a, b = pair(6, dtype=torch.float64)
    assert nt_xent(a * 1000, b / 7).item() == pytest.approx(nt_xent(a, b).item(), rel=1e-12)
    zeros = torch.zeros(6, 16, requires_grad=True)
    nt_xent(zeros, b.float()).backward()
    assert zeros.grad.isfinite().all()


def test_half_precision_and_autocast_compute_in_float32(form):
    a, b = pair(26, dim=128)
    low = [tensor.detach().bfloat16().requires_grad_() for tensor in (a, b)]
    expected = brute_force(*low, 0.1, "both")
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = nt_xent(*low)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, abs=1e-6)
    value.backward()
    assert low[0].grad.dtype == torch.bfloat16


def test_upstream_gradient_and_no_grad(form):
    a, b = pair(9, dtype=torch.float64)
    (3 * nt_xent(a, b)).backward()
    tripled, a.grad = a.grad, None
    nt_xent(a, b).backward()
    assert torch.allclose(tripled, 3 * a.grad, rtol=1e-12)
    with torch.no_grad():
        assert not nt_xent(a, b).requires_grad


def test_terms_share_heads(form):
    """Losses and gradients of Eq. 2's two terms are those of two separate calls."""
    video, primary = pair(11, dtype=torch.float64)
    secondary = pair(11, seed=3, dtype=torch.float64)[0]
    heads = {"video": video, "primary": primary, "secondary": secondary}
    terms = (("video", "primary"), ("video", "secondary"))
    losses = contrastive_losses(heads, terms, 0.1, "cross")
    assert list(losses) == ["video-primary", "video-secondary"]
    (losses["video-primary"] + 5 * losses["video-secondary"]).backward()
    together = [head.grad.clone() for head in heads.values()]
    for head in heads.values():
        head.grad = None
    (nt_xent(video, primary, 0.1, "cross") + 5 * nt_xent(video, secondary, 0.1, "cross")).backward()
    assert all(
        torch.allclose(ours, head.grad, rtol=1e-12, atol=1e-15)
        for ours, head in zip(together, heads.values(), strict=True)
    )
    assert nt_xent_distributed(video, primary).item() == nt_xent(video, primary).item()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": torch.ones(3, 4)}, "shape"),
        ({"a": torch.ones(4), "b": torch.ones(4)}, "shape"),
        ({"a": torch.ones(0, 4), "b": torch.ones(0, 4)}, "shape"),
        ({"negatives": "all"}, "both or cross"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
    ],
)
def test_wrong_arguments(change, message):
    arguments = {"a": torch.ones(5, 4), "b": torch.ones(5, 4), **change}
    with pytest.raises(ValueError, match=message):
        nt_xent(**arguments)


def test_the_size_decides_the_form(monkeypatch):
    asked = []
    monkeypatch.setattr(loss_module, "_plain", lambda units, *_: asked.append(len(units[0])) or (torch.zeros(()),))
    for batch in (26, 128, 129, 416):
        nt_xent(*pair(batch))
    assert asked == [26, 128]


def test_products_are_whole_in_the_backward_pass_too(form):
    """Autocast and TF32 around the loss or its backward pass enter none of its matrix products."""
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if "mm" in str(function):
                seen.append((str(function), args[0].dtype, torch.get_float32_matmul_precision()))
            return function(*args, **(kwargs or {}))

    a, b = pair(26, dim=128)
    expected = torch.autograd.grad(nt_xent(a, b), (a, b))
    torch.set_float32_matmul_precision("medium")
    try:
        with Products(), torch.autocast("cpu", dtype=torch.bfloat16):
            value = nt_xent(a, b)
            forward = len(seen)
            value.backward()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert forward > 0
    assert len(seen) == forward + (2 if form == "plain" else 0)
    assert {(dtype, precision) for _, dtype, precision in seen} == {(torch.float32, "highest")}
    assert torch.equal(torch.stack([a.grad, b.grad]), torch.stack(expected))
