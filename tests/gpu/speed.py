"""Sections depthwise and step: the layers that were feared slow, and the paper's whole step against the plain way."""

from __future__ import annotations

import gc
import importlib.util
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpu.commands import training
from gpu.correctness import waits
from gpu.harness import Check, losses, relative

# X3D-M's depthwise layers at 224 pixels: (channels, side, stride), 16 frames each
SHAPES = [(54, 112, 2), (54, 56, 1), (108, 56, 2), (108, 28, 1), (216, 28, 2), (216, 14, 1), (432, 14, 2), (432, 7, 1)]
BYTES_PER_SECOND = 3e12  # of an H100's memory
PLAIN, CHOSEN = "plain", "as the product chooses"
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
    """The step as the product chooses it against the plain way, and in other forms; embedding; 200 steps of a run."""
    from benchmarks.bench_step import GFLOP, matmul_rate

    found = {}
    for name, make in _plans(check).items():
        if check.left < 25:
            check.note(f"step, {name}", "not measured: no time left")
            continue
        try:
            found[name] = _timed_step(check, name, make)
        except torch.OutOfMemoryError as error:
            check.note(f"step, {name}", f"out of memory: {str(error)[:100]}")
        torch._dynamo.reset()
        gc.collect()
    ours, plain = found.get(CHOSEN), found.get(PLAIN)
    check.target("the step against the plain way (times as fast)", plain / ours if ours and plain else None, 4)
    if ours:
        video, audio = GFLOP[check.preset]
        rate = matmul_rate(torch.bfloat16 if check.gpu else torch.float32, check.device.type)
        achieved = (video + 2 * audio) * 3 * check.batch * 1e9 / (ours / 1000)
        check.note("matrix rate (TFLOP/s)", round(rate / 1e12, 3))
        check.target("the step's share of the matrix rate", achieved / rate, 0.35)
    _embedding(check)
    _run(check)


def _plans(check: Check) -> dict[str, Callable[[], Callable[[], object]]]:
    """By name, what makes a function that takes a step: what counts first, then the forms that were not chosen."""
    others: dict[str, dict[str, Any]] = {
        "eager fp32 ndhwc": {"precision": "fp32", "channels_last": True},
        "eager bf16 ncdhw": {},
    }
    if check.gpu:
        others = {
            "compiled bf16 ndhwc, our kernels": {"channels_last": True, "compile": True, "kernels": True},
            "compiled bf16 ncdhw": {"compile": True},
            "compiled bf16 ndhwc": {"compile": True, "channels_last": True},
            "eager bf16 ndhwc, our kernels": {"channels_last": True, "kernels": True},
            "eager bf16 ncdhw": {},
            "eager bf16 ndhwc": {"channels_last": True},
        }
    plans = {PLAIN: partial(_fixed_step, check, precision="fp32", plain=True), CHOSEN: partial(_chosen_step, check)}
    return plans | {name: partial(_fixed_step, check, **form) for name, form in others.items()}


def _timed_step(check: Check, name: str, make: Callable[[], Callable[[], object]]) -> float:
    if check.gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    begun = time.monotonic()
    one = make()
    one()
    check.synchronise()
    first = time.monotonic() - begun
    ms = check.milliseconds(one, *((2, 5) if check.gpu else (0, 1)))
    peak = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if check.gpu else ""
    check.note(f"step, {name}", f"{ms:.0f} ms, {1000 * check.batch / ms:.1f} clips/s{peak}, the first {first:.0f} s")
    return ms


def _variant() -> Any:
    from dubcli.core.variants import parse_variant

    return parse_variant("efj", "en", ["en", "es", "fr", "ja"])


def _fixed_step(
    check: Check,
    precision: str = "bf16",
    channels_last: bool = False,
    compile: bool = False,
    kernels: bool = False,
    plain: bool = False,
) -> Callable[[], None]:
    """The product's step in a form of ours, on one batch of noise."""
    from benchmarks.bench_step import as_pytorchvideo_builds_it
    from dubcli.core.layout import Layout
    from dubcli.core.models import DubModel, preset_sizes
    from dubcli.pretrain.config import PretrainConfig
    from dubcli.pretrain.step import Stepper

    torch.manual_seed(0)
    model = DubModel(_variant(), check.preset).to(check.device)
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
    stepper = Stepper(torch.compile(model) if compile else model, _variant(), config, check.device, (-6.0, 5.5), crop)
    video = order.tensor(torch.randn(check.batch, 3, 16, crop, crop, device=check.device))
    mels = [torch.randn(check.batch, 2, 96, 280, device=check.device) for _ in range(2)]

    def one() -> None:
        optimizer.zero_grad(set_to_none=True)
        stepper.backward((video, *mels))
        optimizer.step()

    return one


def _chosen_step(check: Check) -> Callable[[], None]:
    """The step of ``dubav pretrain`` without options: precision, kernels, order and compiling are its own choice.

    Augmentation is left out of what is timed against the plain way, which has the same; with it, it is noted, and
    what in it waits for the device, from a loaded batch in pinned memory to the optimizer's step.
    """
    from dubcli.pretrain.config import PretrainConfig
    from dubcli.pretrain.learner import Learner

    config = PretrainConfig(preset=check.preset, batch_size=check.batch)
    torch.backends.cudnn.benchmark = check.gpu  # as core.machine.kernels has it while a run trains
    learner = Learner(_variant(), config, check.device, (-6.0, 5.5), say=lambda text: check.note("a kernel", text))
    batch = _batch(check)
    learner.settle(batch)
    check.note("what the product chose", learner.facts)
    learner.step(batch, 1e-4)
    with waits(check) as found:
        learner.step(batch, 1e-4)
    check.note("waits in a step", len(found))
    check.expect("a step waits for nothing", not found, found[:3])
    whole = check.milliseconds(lambda: learner.step(batch, 1e-4), *((2, 5) if check.gpu else (0, 1)))
    check.note(f"step, {CHOSEN}, with augmentation", f"{whole:.0f} ms, {1000 * check.batch / whole:.1f} clips/s")
    inputs = learner.stepper.inputs(batch)

    def one() -> None:
        learner.optimizer.zero_grad(set_to_none=True)
        learner.stepper.backward(inputs)
        learner.stepper.scaler.step(learner.optimizer)
        learner.stepper.scaler.update()

    return one


def _batch(check: Check) -> Any:
    """A loaded batch of grey clips, pinned where that means something."""
    from dubcli.core import transforms
    from dubcli.core.models import preset_sizes
    from dubcli.pretrain.loader import Batch, Request

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
    return batch.pin_memory() if check.gpu else batch


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


def peers(check: Check) -> None:
    """``separate`` against demucs's own interface, ``probe --protocol hear`` against a Lightning trainer for a head."""
    from benchmarks import bench_separate

    name = "separate against demucs (times as fast)"
    with tempfile.TemporaryDirectory(dir=check.work) as folder:
        model, seconds = ("large", 120) if check.gpu else ("light", 20)
        bench_separate.make_model(Path(folder) / "models", model)
        bench_separate.make_sound(Path(folder) / "sound.wav", seconds)
        ratios = bench_separate.compare(model, Path(folder), f"separate, {seconds} s", 1, str(check.device))
        off = bench_separate.difference(Path(folder))
    check.expect("separate gives demucs's stems", off < (2e-2 if check.gpu else 1e-4), f"{off:.1e} of their RMS")
    check.target(name, ratios["seconds"], 2)
    name = "probe hear against Lightning (times as fast)"
    if check.left < 20 or not importlib.util.find_spec("pytorch_lightning"):
        check.target(name, None, 8)
        check.note(name, "not measured: no time left" if check.left < 20 else "not measured: no pytorch-lightning")
        return
    from benchmarks import bench_probe
    from dubcli.probe.heads.protocol import run_heads
    from dubcli.probe.heads.settings import HEAR
    from dubcli.probe.training import Training

    points, epochs, folds = (8, bench_probe.HEAR_EPOCHS, 5) if check.gpu else (1, HEAR.validate_every, 1)
    recipe = replace(HEAR, points=HEAR.points[:points], max_epochs=epochs)
    if check.gpu:  # kernels are loaded as they are first used
        run_heads(bench_probe.esc50_like(folds=1), recipe, Training(device=str(check.device)))
    text, ratio = bench_probe.compare("hear", bench_probe.esc50_like(folds=folds), recipe, device=str(check.device))
    check.note("probe hear", text)
    check.target(name, ratio, 8)


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
