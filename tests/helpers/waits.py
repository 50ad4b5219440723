"""A GPU where there is none: torch's fake tensors say they are on it; what would make its process wait is counted."""

import contextlib
from collections import Counter
from unittest import mock

import torch
import torch.cuda.amp.common
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda:0")
# the values, or the shape of the result, are read by the process
READS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero", "repeat_interleave")


@contextlib.contextmanager
def fake_cuda():
    """In the block ``cuda:0`` can be named: tensors there have shapes and no values, on a card that knows bf16."""
    with (
        mock.patch.object(torch.cuda.amp.common, "amp_definitely_not_available", return_value=False),
        mock.patch.object(torch.cuda, "is_bf16_supported", return_value=True),
        FakeTensorMode(allow_non_fake_inputs=True),
    ):
        yield


class Waits(TorchDispatchMode):
    """Counts what waits (``found``), copies to and from the device that do not (``copies``) and kernels (``kernels``).

    ``pinned``: the tensors in pinned memory; a copy from any other, or to any other, waits whatever it is asked.
    """

    def __init__(self, pinned=()):
        super().__init__()
        self.found, self.copies, self.kernels = Counter(), 0, 0
        self.convolutions = Counter()
        self._pinned = {id(tensor) for tensor in pinned}

    def pin(self, tensor):
        """Take note of one more tensor in pinned memory."""
        self._pinned.add(id(tensor))
        return tensor

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options = options or {}
        name = function._schema.name.removeprefix("aten::").rstrip("_")
        result = function(*arguments, **options)
        if not function.is_view and name not in ("prim::device", "detach", "lift_fresh"):
            self.kernels += 1
        if name in READS:
            self.found[name] += 1
        if name == "_to_copy" and _moves(arguments[0], result):
            self._copy(arguments[0], options.get("non_blocking", False))
        if name == "copy" and _moves(arguments[1], arguments[0]):
            on_cpu = next(tensor for tensor in arguments[:2] if tensor.device.type == "cpu")
            self._copy(on_cpu, options.get("non_blocking", arguments[2] if len(arguments) > 2 else False))
        if name in ("index", "index_put"):
            self._index(name, arguments)
        if name == "convolution":
            self._convolution(*arguments)
        return result

    def _copy(self, on_cpu, non_blocking):
        if non_blocking and id(on_cpu) in self._pinned:
            self.copies += 1
        else:
            self.found[f"copy of {tuple(on_cpu.shape)} {on_cpu.dtype}"] += 1

    def _index(self, name, arguments):
        for index in arguments[1]:
            if index is not None and (index.dtype == torch.bool or index.device != arguments[0].device):
                self.found[f"{name} with {index.dtype} on {index.device}"] += 1

    def _convolution(self, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
        if groups > 1:
            backend = torch._C._select_conv_backend(
                x, weight, bias=None, stride=stride, padding=padding, dilation=dilation, transposed=transposed,
                output_padding=output_padding, groups=groups, bias_sizes=None,
            )  # fmt: skip
            self.convolutions[str(backend).split(".")[-1]] += 1


def _moves(source, target):
    return source.device.type != target.device.type
