"""A training step as ``dubav pretrain`` does it against the plain way: fp32, eager, NCTHW, memory as glibc manages it.

Ours chooses its kernels and order in memory as a run does. Each side runs in a process of its own, taking turns, since
how memory is kept is a matter of the whole process.

    taskset -c 0,1 python tests/benchmarks/bench_step.py --preset small --batch 2          # CPU
    python tests/benchmarks/bench_step.py --preset paper --batch 26 --device cuda --steps 20
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

import torch

# GFLOP of one clip's forward pass, video and one audio path; a step has two of these, times three. ``counted_gflop``
# finds 203.6, 17.2 and 3.4 for a step: the first layers' inputs need no gradient.
GFLOP = {"paper": (9.47, 29.26), "small": (2.11, 1.84), "tiny": (0.24, 0.46)}
SHARE_WANTED = 0.35
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def run_side(side: str, options: argparse.Namespace) -> dict[str, object]:
    """{"seconds": of each timed step, "losses"} of one side, in this process."""
    from dubcli.core.kernels import kernels_of, settle_kernels
    from dubcli.core.layout import lay_out
    from dubcli.core.machine import choose_precision
    from dubcli.core.memory import keep_freed_memory
    from dubcli.core.models import DubModel, preset_sizes
    from dubcli.core.variants import parse_variant
    from dubcli.pretrain.config import PretrainConfig
    from dubcli.pretrain.step import Stepper

    device = torch.device(options.device)
    ours = side == "ours"
    if ours and device.type == "cpu":
        keep_freed_memory()
    if device.type == "cpu":
        torch.set_num_threads(2)
    variant = parse_variant("es", "en", ["en", "es"])
    torch.manual_seed(0)
    model = DubModel(variant, options.preset).to(device)
    precision = choose_precision(options.precision if ours else "fp32", device)
    crop = preset_sizes(options.preset).crop
    if ours:
        lay_out(model, device)
        settle_kernels(model.video, (options.batch, 3, 16, crop, crop), device, precision, print)
    else:
        as_pytorchvideo_builds_it(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True if ours else None)
    config = PretrainConfig(preset=options.preset, precision=precision)
    compiled = torch.compile(model) if ours and (options.compile or device.type == "cuda") else model
    stepper = Stepper(compiled, variant, config, device, (0.0, 1.0), crop)
    inputs = _inputs(options.batch, crop, device)
    if ours:
        inputs = stepper.layout.tensor(inputs[0]), *inputs[1:]
    seconds, losses = [], []
    for _ in range(options.warmup + options.steps):
        begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        terms = stepper.backward(inputs)
        optimizer.step()
        losses.append(float(sum(terms.values())))  # waits for the device
        seconds.append(time.perf_counter() - begun)
    return {
        "seconds": seconds[options.warmup :],
        "losses": losses,
        "precision": precision,
        "kernels": kernels_of(model.video, device) if ours else "channels first",
    }


def counted_gflop(preset: str) -> float:
    """Of one clip's training step, counted by torch operator by operator on fake tensors.

    torch's own formula for a convolution's backward pass takes every channel for connected with every other, which
    more than doubles the step of a model with depthwise layers: here the gradients of input and weights cost as much
    as the forward pass, each where it is asked for.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils.flop_counter import FlopCounterMode

    from dubcli.core.models import DubModel, preset_sizes
    from dubcli.core.variants import parse_variant

    def backward(gradient, x, weight, *settings, out_shape=None, **_):
        return 2 * gradient[0] * math.prod(gradient[2:]) * math.prod(weight) * sum(map(bool, settings[7][:2]))

    clips, crop = 4, preset_sizes(preset).crop
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.convolution_backward: backward})
    with FakeTensorMode():
        model = DubModel(parse_variant("es", "en", ["en", "es"]), preset)
        given = torch.zeros(clips, 3, 16, crop, crop), *(torch.zeros(clips, 2, 96, 280) for _ in range(2))
        with counter:
            sum(rows.sum() for rows in model(*given).values()).backward()
    return counter.get_total_flops() / clips / 1e9


def as_pytorchvideo_builds_it(model: torch.nn.Module) -> None:
    """X3D with the builder's own Swish instead of torch's SiLU."""
    from pytorchvideo.layers.swish import Swish

    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.SiLU):
                setattr(module, name, Swish())


def _inputs(batch: int, crop: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(batch, 3, 16, crop, crop, generator=generator).to(device)
    return (video, *(torch.randn(batch, 2, 96, 280, generator=generator).to(device) for _ in range(2)))


def matmul_rate(dtype: torch.dtype, device: str) -> float:
    """FLOP/s of a square matrix product here."""
    size = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        float((a @ b)[0, 0])
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


def main() -> None:
    """Let the sides take turns and print the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small", choices=sorted(GFLOP))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp16", "fp32"))
    parser.add_argument("--compile", action="store_true", help="on the CPU too (CUDA always)")
    parser.add_argument("--side", choices=("ours", "plain"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options.side, options)))
        return
    found: dict[str, list[dict]] = {"plain": [], "ours": []}
    for _ in range(options.rounds):
        for side, results in found.items():
            command = [sys.executable, "-W", "ignore", *sys.argv, "--side", side]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ.copy())
            results.append(json.loads(done.stdout.splitlines()[-1]))
    median = {
        side: statistics.median(second for result in results for second in result["seconds"])
        for side, results in found.items()
    }
    each = counted_gflop(options.preset)
    work = each * options.batch * 1e9
    name = torch.cuda.get_device_name() if options.device == "cuda" else "CPU, 2 threads"
    ours, plain = found["ours"][0], found["plain"][0]
    print(f"{name}; preset {options.preset}, {options.batch} clips of {each:.1f} GFLOP a step; "
          f"ours in {ours['precision']}, {ours['kernels']}")  # fmt: skip
    rates = {label: matmul_rate(dtype, options.device) for label, dtype in TYPES.items()}
    print(", ".join(f"matrix product {label}: {rate / 1e9:.0f} GFLOP/s" for label, rate in rates.items()))
    for side, seconds in median.items():
        print(f"{side}: {seconds:.3f} s/step, {work / seconds / 1e9:.1f} GFLOP/s")
    share = work / median["ours"] / rates[ours["precision"]]
    print(f"ours: {share:.2f} of the matrix rate in {ours['precision']} (wanted on a GPU: {SHARE_WANTED})")
    print(f"losses: plain {plain['losses']}, ours {ours['losses']}")
    print(f"plain / ours: {median['plain'] / median['ours']:.2f}")


if __name__ == "__main__":
    main()
