"""Run by the tests under ``TRITON_INTERPRET=1``: the kernels on the CPU, as Triton's interpreter computes them."""

import json
import sys

import torch
from torch import nn
from torch.nn.functional import conv3d

from dubcli.core import depthwise
from dubcli.core.depthwise import _input_gradient, _weight_gradient, depthwise_conv3d, use_kernels

# batch, channels, sides, kernel, stride, padding
CASES = [
    (2, 5, (2, 5, 3), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
    (1, 9, (2, 8, 6), (3, 3, 3), (1, 2, 2), (1, 1, 1)),
    (1, 3, (3, 5, 7), (3, 3, 3), (1, 2, 2), (1, 1, 1)),
    (2, 3, (1, 5, 6), (1, 3, 5), (1, 1, 2), (0, 1, 2)),
    (2, 4, (6, 3, 2), (5, 1, 1), (2, 1, 1), (2, 0, 0)),
    (1, 2, (4, 4, 4), (3, 3, 3), (2, 2, 2), (0, 0, 0)),
    (3, 2, (1, 1, 1), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
]
# small ones, so that small shapes take several programs of each kind
depthwise.TILE, depthwise.CHANNELS, depthwise.RUN, depthwise.WEIGHT_PROGRAMS = 4, 8, 2, 3


def against_float64(case, dtype, layout):
    """Largest differences from torch in float64, over the largest value, of the output and both gradients."""
    batch, channels, sides, kernel, stride, padding = case
    torch.manual_seed(1)
    x = torch.randn(batch, channels, *sides).to(dtype).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(channels, 1, *kernel).to(dtype).requires_grad_()
    exact = [t.detach().double().requires_grad_() for t in (x, weight)]
    y = depthwise_conv3d(x, weight, stride, padding)
    wanted = conv3d(*exact, None, stride, padding, 1, channels)
    up = torch.randn_like(wanted).to(dtype)
    y.backward(up)
    wanted.backward(up.double())
    assert y.dtype == x.grad.dtype == weight.grad.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    pairs = (y, wanted), (x.grad, exact[0].grad), (weight.grad, exact[1].grad)
    return [float((found.double() - right).abs().max() / right.abs().max()) for found, right in pairs]


def checked_by_torch():
    """torch's own checks of operators: schema, fake tensors against real ones, autograd's registration."""
    x, weight = torch.randn(1, 2, 1, 3, 2, requires_grad=True), torch.randn(2, 1, 1, 3, 3, requires_grad=True)
    up = depthwise_conv3d(x, weight, [1, 2, 2], [0, 1, 1]).detach()
    tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    torch.library.opcheck(depthwise_conv3d, (x, weight, [1, 2, 2], [0, 1, 1]), test_utils=tests)
    plain = x.detach(), weight.detach(), [1, 2, 2], [0, 1, 1]
    torch.library.opcheck(_input_gradient, (up, plain[1], [1, 2, 1, 3, 2], *plain[2:]))
    torch.library.opcheck(_weight_gradient, (plain[0], up, [2, 1, 1, 3, 3], *plain[2:]))


def repeats():
    """Whether the weights' gradient has the same bits twice."""
    x, up = torch.randn(2, 4, 2, 5, 5), torch.randn(2, 4, 2, 5, 5)
    once, again = (_weight_gradient(x, up, [4, 1, 3, 3, 3], [1, 1, 1], [1, 1, 1]) for _ in range(2))
    return torch.equal(once, again)


def in_a_model():
    """Layers taken over, those left to torch, the state's names, and the output and gradients in a compiled model."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv3d(4, 4, 3, padding=1, groups=4, bias=False), nn.BatchNorm3d(4), nn.SiLU(), nn.Conv3d(4, 6, 1),
        nn.Conv3d(6, 6, 3, padding=1, groups=6),  # with a bias
    )  # fmt: skip
    names = list(model.state_dict())
    x = torch.randn(2, 4, 2, 4, 4)
    expected = model(x)
    expected.square().sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    count = use_kernels(model)
    # its forward pass on a device that is not CUDA is torch's: here the operator itself
    model[0].forward = lambda x: depthwise_conv3d(x, model[0].weight, [1, 1, 1], [1, 1, 1])
    found = torch.compile(model, backend="aot_eager", fullgraph=True)(x)
    found.square().sum().backward()
    off = [float((p.grad - g).abs().max() / g.abs().max()) for p, g in zip(model.parameters(), gradients, strict=True)]
    return {
        "count": count,
        "same_names": names == list(model.state_dict()),
        "output": float((found - expected).abs().max()),
        "gradients": max(off),
        "kinds": [type(part).__name__ for part in model],
    }


def main():
    found = {"differences": [], "repeats": repeats(), "model": in_a_model()}
    for number, case in enumerate(CASES):
        kind = (torch.float32, torch.bfloat16, torch.float32, torch.float16)[number % 4]
        layout = torch.channels_last_3d if number % 2 else torch.contiguous_format
        found["differences"].append([number, str(kind), against_float64(case, kind, layout)])
    checked_by_torch()
    print(json.dumps(found), file=sys.stdout)


if __name__ == "__main__":
    main()
