"""The Triton kernels against torch in float64, on the CPU by Triton's interpreter, in a process of its own."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from helpers.waiting import HOPELESS_SECONDS

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture(scope="module")
def found():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "helpers.depthwise_cases"],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE, text=True, check=True, timeout=HOPELESS_SECONDS,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_output_and_gradients_are_torchs_at_odd_sizes_strides_and_kernels(found):
    bounds = {"torch.float32": 1e-6, "torch.bfloat16": 8e-3, "torch.float16": 1e-3}  # a rounding of the type
    assert len(found["differences"]) == 7
    for case, kind, differences in found["differences"]:
        assert max(differences) < bounds[kind], (case, kind, differences)


@pytest.mark.slow
def test_the_weights_gradient_has_the_same_bits_each_time(found):
    assert found["repeats"]


@pytest.mark.slow
def test_layers_are_taken_over_with_their_names_and_train_compiled(found):
    model = found["model"]
    assert model["count"] == 1
    assert model["same_names"]
    assert model["kinds"] == ["DepthwiseConv3d", "BatchNorm3d", "SiLU", "Conv3d", "Conv3d"]
    assert model["output"] < 1e-5
    assert model["gradients"] < 1e-4


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_kernels_compile_for_cards_and_keep_to_their_registers(capability, stride):
    """Ahead of time, which needs no card; bf16, X3D's fewest channels."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from dubcli.core import depthwise

    strides = {"STRIDE_D": 1, "STRIDE_H": stride, "STRIDE_W": stride, "PAD_D": 1, "PAD_H": 1, "PAD_W": 1}
    common = {**strides, "channels": 54, "KERNEL_H": 3, "KERNEL_W": 3, "CHANNELS": depthwise.CHANNELS}
    convolve = {**common, "KERNEL_D": 3, "TILE": depthwise.TILE}
    plans = [(depthwise._convolve, {**convolve, "TRANSPOSED": transposed}) for transposed in (False, True)]
    plans += [(depthwise._sum_products, {**common, "TAPS": 27, "TAPS_POWER": 32, "RUN": depthwise.RUN})]
    types = {"x": "*bf16", "weight": "*bf16", "y": "*bf16", "gradient": "*bf16", "sums": "*fp32"}
    for kernel, constants in plans:
        names = kernel.arg_names
        signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in names}
        aligned = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(names) if name in types}
        target = GPUTarget("cuda", capability, 32)
        compiled = triton.compile(ASTSource(kernel, signature, constants, aligned), target=target)
        assert "ld.global.b32" in compiled.asm["ptx"]  # two channels at once
        assert len(compiled.asm["cubin"]) > 0
        assert local_bytes(compiled.asm["cubin"]) == 0


def local_bytes(cubin):
    """What the kernel spills, from the frame size that its ELF file tells (attribute EIATTR_FRAME_SIZE, 0x11 0x04)."""
    at = cubin.find(bytes([0x04, 0x11, 0x08, 0x00]))
    assert at >= 0
    return int.from_bytes(cubin[at + 8 : at + 12], "little")
