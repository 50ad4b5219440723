"""A training step as ``dubav pretrain`` does it against the plain way: fp32, eager, NCTHW, memory as glibc manages it.

Each side runs in a process of its own, taking turns, since how memory is kept is a matter of the whole process.

    taskset -c 0,1 python tests/benchmarks/bench_step.py --preset small --batch 2          # CPU
    python tests/benchmarks/bench_step.py --preset paper --batch 26 --device cuda --steps 20
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

# GFLOP of one clip's forward pass, video and one audio path (core/models.py); a step has two paths, times three
GFLOP = {"paper": (9.5, 29.7), "small": (2.1, 1.8), "tiny": (0.24, 0.46)}


def run_side(side: str, options: argparse.Namespace) -> dict[str, object]:
    """{"seconds": of each timed step, "losses"} of one side, in this process."""
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
    if ours:
        model = model.to(memory_format=torch.channels_last_3d)
    else:
        as_pytorchvideo_builds_it(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=True if ours else None)
    config = PretrainConfig(preset=options.preset, precision=options.precision if ours else "fp32")
    compiled = torch.compile(model) if ours and (options.compile or device.type == "cuda") else model
    stepper = Stepper(compiled, variant, config, device, (0.0, 1.0), preset_sizes(options.preset).crop)
    inputs = _inputs(options.batch, preset_sizes(options.preset).crop, device, ours)
    seconds, losses = [], []
    for _ in range(options.warmup + options.steps):
        begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        terms = stepper.backward(inputs)
        optimizer.step()
        losses.append(float(sum(terms.values())))  # waits for the device
        seconds.append(time.perf_counter() - begun)
    return {"seconds": seconds[options.warmup :], "losses": losses, "precision": stepper.precision}


def as_pytorchvideo_builds_it(model: torch.nn.Module) -> None:
    """X3D with the builder's own Swish instead of torch's SiLU."""
    from pytorchvideo.layers.swish import Swish

    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.SiLU):
                setattr(module, name, Swish())


def _inputs(batch: int, crop: int, device: torch.device, channels_last: bool) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(batch, 3, 16, crop, crop, generator=generator).to(device)
    if channels_last:
        video = video.contiguous(memory_format=torch.channels_last_3d)
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
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
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
    video, audio = GFLOP[options.preset]
    work = (video + 2 * audio) * 3 * options.batch * 1e9
    name = torch.cuda.get_device_name() if options.device == "cuda" else "CPU, 2 threads"
    ours, plain = found["ours"][0], found["plain"][0]
    print(f"{name}; preset {options.preset}, {options.batch} clips, ours in {ours['precision']}")
    for label, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        print(f"matrix product {label}: {matmul_rate(dtype, options.device) / 1e9:.0f} GFLOP/s")
    for side, seconds in median.items():
        print(f"{side}: {seconds:.3f} s/step, {work / seconds / 1e9:.1f} GFLOP/s")
    print(f"losses: plain {plain['losses']}, ours {ours['losses']}")
    print(f"plain / ours: {median['plain'] / median['ours']:.2f}")


if __name__ == "__main__":
    main()
