"""Sections depthwise and step: the layers that were feared slow, and the paper's whole step against the plain way."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gpu.commands import training
from gpu.correctness import waits
from gpu.harness import Check, losses, relative

# X3D-M's depthwise layers at 224 pixels: (channels, side, stride), 16 frames each
SHAPES = [(54, 112, 2), (54, 56, 1), (108, 56, 2), (108, 28, 1), (216, 28, 2), (216, 14, 1), (432, 14, 2), (432, 7, 1)]
BYTES_PER_SECOND = 3e12  # of an H100's memory
ORDERS = {"ncdhw": torch.contiguous_format, "ndhwc": torch.channels_last_3d}


def depthwise(check: Check) -> None:
    """Forward and backward pass of each layer, in each order and type and by our kernels, against the bytes' floor."""
    types = (torch.bfloat16, torch.float16, torch.float32) if check.gpu else (torch.bfloat16, torch.float32)
    sums: dict[str, float] = {}
    for channels, side, stride in SHAPES if check.gpu else SHAPES[-2:]:
        row = {}
        for dtype in types:
            for name, function in _ways(check).items():
                row[f"{str(dtype)[6:]} {name}"] = _layer(check, function, name, dtype, channels, side, stride)
        moved = channels * 16 * check.batch * (3 * side**2 + 2 * (side // stride) ** 2)  # x thrice, y twice
        row["floor in 16 bits"] = round(1000 * 2 * moved / BYTES_PER_SECOND, 2)
        check.note(f"depthwise {channels} x 16 x {side} x {side}, stride {stride} (ms)", row)
        for name, value in row.items():
            sums[name] = round(sums.get(name, 0.0) + value, 2)
    check.note("depthwise, the shapes together (ms)", sums)
    if check.gpu:
        _compare_kernels(check)


def _ways(check: Check) -> dict[str, Callable[[Tensor, Tensor, int], Tensor]]:
    def torchs(x: Tensor, weight: Tensor, stride: int) -> Tensor:
        return torch.nn.functional.conv3d(x, weight, None, (1, stride, stride), 1, 1, x.shape[1])

    ways: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = dict.fromkeys(ORDERS, torchs)
    if check.gpu:
        ways["ours ndhwc"] = _ours
    return ways


def _ours(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    from dubcli.core.depthwise import depthwise_conv3d

    return depthwise_conv3d(x, weight, [1, stride, stride], [1, 1, 1])


def _layer(check: Check, function: Any, name: str, dtype: torch.dtype, channels: int, side: int, stride: int) -> float:
    order = ORDERS[name.split()[-1]]
    x = torch.randn(check.batch, channels, 16, side, side, device=check.device, dtype=dtype)
    x = x.contiguous(memory_format=order).requires_grad_()
    weight = torch.randn(channels, 1, 3, 3, 3, device=check.device, dtype=dtype).requires_grad_()
    gradient = torch.randn_like(function(x, weight, stride))
    return round(check.milliseconds(lambda: torch.autograd.grad(function(x, weight, stride), (x, weight), gradient)), 2)


def _compare_kernels(check: Check) -> None:
    """Our kernels against torch's in float64, output and both gradients."""
    for stride in (1, 2):
        x, weight = torch.randn(2, 54, 16, 30, 30), torch.randn(54, 1, 3, 3, 3)
        exact = [part.double().requires_grad_() for part in (x, weight)]
        ours = [x.to(check.device).contiguous(memory_format=torch.channels_last_3d), weight.to(check.device)]
        ours = [part.requires_grad_() for part in ours]
        wanted = torch.nn.functional.conv3d(*exact, None, (1, stride, stride), 1, 1, 54)
        found = _ours(*ours, stride)
        gradient = torch.randn_like(wanted)
        wanted.backward(gradient)
        found.backward(gradient.to(found))
        pairs = ((found, wanted), (ours[0].grad, exact[0].grad), (ours[1].grad, exact[1].grad))
        off = max(relative(one, other) for one, other in pairs)
        check.expect(f"our depthwise kernels, stride {stride}, against float64", off < 1e-4, f"{off:.1e}")


def step(check: Check) -> None:
    """The whole step in each form and against the plain way; what it waits for; embedding; 200 steps of a run."""
    from benchmarks.bench_step import GFLOP, matmul_rate

    found = {}
    for name, options in _plans(check).items():
        if check.left < 25:
            check.note(f"step, {name}", "not measured: no time left")
            continue
        try:
            found[name] = _timed_step(check, name, **options)
        except torch.OutOfMemoryError as error:
            check.note(f"step, {name}", f"out of memory: {str(error)[:100]}")
        torch._dynamo.reset()
        gc.collect()
    ours = min((ms for name, ms in found.items() if name != "plain"), default=None)
    if ours is not None and "plain" in found:
        check.target("the step against the plain way (times as fast)", found["plain"] / ours, 4)
    video, audio = GFLOP[check.preset]
    if ours is not None:
        rate = matmul_rate(torch.bfloat16 if check.gpu else torch.float32, check.device.type)
        achieved = (video + 2 * audio) * 3 * check.batch * 1e9 / (ours / 1000)
        check.note("matrix rate (TFLOP/s)", round(rate / 1e12, 3))
        check.target("the step's share of the matrix rate", achieved / rate, 0.35)
    _waits_in_a_step(check)
    _embedding(check)
    for name, wanted in (("separate against demucs (times as fast)", 2), ("probe hear against Lightning", 8)):
        check.target(name, None, wanted)  # bench_separate.py and bench_probe.py compare on a CPU only
    _run(check)


def _plans(check: Check) -> dict[str, dict[str, Any]]:
    plans: dict[str, dict[str, Any]] = {
        "plain": {"precision": "fp32", "plain": True},
        "eager fp32 ndhwc": {"precision": "fp32", "channels_last": True},
        "eager bf16 ncdhw": {"precision": "bf16"},
    }
    if check.gpu:
        plans = {
            "plain": plans["plain"],
            "compiled bf16 ndhwc, our kernels": {"channels_last": True, "compile": True, "kernels": True},
            "compiled bf16 ncdhw": {"compile": True},
            "compiled bf16 ndhwc": {"compile": True, "channels_last": True},
            "eager bf16 ndhwc, our kernels": {"channels_last": True, "kernels": True},
            "eager bf16 ncdhw": {},
            "eager bf16 ndhwc": {"channels_last": True},
        }
    return plans


def _timed_step(check: Check, name: str, **options: Any) -> float:
    if check.gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    begun = time.monotonic()
    one = _stepper(check, **options)[1]
    one()
    check.synchronise()
    first = time.monotonic() - begun
    ms = check.milliseconds(one, *((2, 5) if check.gpu else (0, 1)))
    peak = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if check.gpu else ""
    check.note(f"step, {name}", f"{ms:.0f} ms, {1000 * check.batch / ms:.1f} clips/s{peak}, the first {first:.0f} s")
    return ms


def _stepper(
    check: Check,
    precision: str = "bf16",
    channels_last: bool = False,
    compile: bool = False,
    kernels: bool = False,
    plain: bool = False,
) -> tuple[Any, Callable[[], None]]:
    """The product's own step, and a function that takes it on one batch of noise."""
    from benchmarks.bench_step import as_pytorchvideo_builds_it
    from dubcli.core.layout import Layout
    from dubcli.core.models import DubModel, preset_sizes
    from dubcli.core.variants import parse_variant
    from dubcli.pretrain.config import PretrainConfig
    from dubcli.pretrain.step import Stepper

    torch.manual_seed(0)
    variant = parse_variant("efj", "en", ["en", "es", "fr", "ja"])
    model = DubModel(variant, check.preset).to(check.device)
    if plain:
        as_pytorchvideo_builds_it(model)
    if kernels:
        from dubcli.core.depthwise import use_kernels

        check.expect("our kernels take X3D's depthwise layers", use_kernels(model) > 0)
    order = Layout(channels_last)
    for part in model.children():
        order.module(part)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=None if plain else True)
    config = PretrainConfig(preset=check.preset, batch_size=check.batch, precision=precision)
    crop = preset_sizes(check.preset).crop
    stepper = Stepper(torch.compile(model) if compile else model, variant, config, check.device, (-6.0, 5.5), crop)
    video = order.tensor(torch.randn(check.batch, 3, 16, crop, crop, device=check.device))
    mels = [torch.randn(check.batch, 2, 96, 280, device=check.device) for _ in range(2)]

    def one() -> None:
        optimizer.zero_grad(set_to_none=True)
        stepper.backward((video, *mels))
        optimizer.step()

    one.optimizer = optimizer  # type: ignore[attr-defined]
    return stepper, one


def _waits_in_a_step(check: Check) -> None:
    """From a loaded batch in pinned memory to the optimizer's step: what waits for the device."""
    from dubcli.core import transforms
    from dubcli.core.models import preset_sizes
    from dubcli.pretrain.loader import Batch, Request

    stepper, one = _stepper(check, precision="bf16" if check.gpu else "fp32")
    augmentation = transforms.VideoAugmentation.of(preset_sizes(check.preset))
    clips = tuple(range(check.batch))
    draws = [transforms.draw_video(0, 0, clip, 180, 320, augmentation) for clip in clips]
    masks = transforms.draw_masks(0, 0, list(clips), "primary")
    mels = torch.zeros(check.batch, 2, 96, 280, dtype=torch.float16)
    batch = Batch(
        request=Request(0, 0, clips, "es"), primary=mels, primary_masks=masks, secondary=mels.clone(),
        secondary_masks=masks.clone(), draws=draws,
        clips=[torch.zeros(16, 3, 180, 320, dtype=torch.uint8) for _ in clips],
    )  # fmt: skip
    batch = batch.pin_memory() if check.gpu else batch

    def whole() -> None:
        stepper.backward(stepper.inputs(batch))
        one.optimizer.step()  # type: ignore[attr-defined]

    whole()
    with waits(check) as found:
        whole()
    check.note("waits in a step", len(found))
    check.expect("a step waits for nothing", not found, found[:3])


def _embedding(check: Check) -> None:
    """Frozen backbones as ``embed`` runs them against those of pytorchvideo as built, fp32."""
    from benchmarks.bench_step import as_pytorchvideo_builds_it
    from dubcli.core.models import preset_sizes
    from dubcli.embed.chunks import Chunk
    from dubcli.embed.embedder import Embedder

    ours = Embedder("random", device=str(check.device), preset=check.preset)
    plain = Embedder("random", device="cpu", preset=check.preset).trained.model.to(check.device).eval()
    as_pytorchvideo_builds_it(plain)
    crop = preset_sizes(check.preset).crop
    video = torch.randint(0, 256, (3, 16, crop, crop), dtype=torch.uint8)
    for modality, kind, one in (("video", "frames", video), ("audio", "mel", torch.zeros(2, 96, 280))):
        size = ours.batch_size(kind)
        chunks = [Chunk(kind, number, 0.0, 3.0, 0.0, one) for number in range(size)]
        batch = torch.zeros(size, *((3, 16, crop, crop) if kind == "frames" else (2, 96, 280)), device=check.device)
        backbone = getattr(plain, modality)
        with torch.no_grad():
            theirs = check.milliseconds(lambda backbone=backbone, batch=batch: backbone(batch).cpu())
        ms = check.milliseconds(lambda chunks=chunks: ours.features(chunks))
        check.target(f"embed {modality} against the plain way (times as fast)", theirs / ms, 4)


def _run(check: Check) -> None:
    """``dubav pretrain`` from a cache with the timed preset: clips a second and the share of time it waits for data."""
    out, steps = check.work / "long", 200 if check.gpu else 3
    arguments = training(check, out)
    changed = {"--preset": check.preset, "--batch-size": check.batch, "--k": max(1, min(12, check.batch // 2)),
               "--max-steps": steps, "--log-every": max(1, steps // 5), "--save-every": 0}  # fmt: skip
    for name, value in changed.items():
        arguments[arguments.index(name) + 1] = value
    done = check.dubav(*arguments, seconds=300)
    lines = losses(out)
    if done.returncode == 0 and lines:
        last = lines[-1]
        check.note(f"{steps} steps of pretrain --preset {check.preset}, the last of them", last)
        check.note("waiting for data (share of a step; wanted: below 0.02 on a GPU)", round(last["data_wait"], 4))
        check.expect("the loss is a number", last["loss"] == last["loss"])
