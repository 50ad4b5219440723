"""Sections env, augment and numbers: what is there, and whether the device computes what the CPU computes."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dubcli.errors import UserError
from gpu.harness import Check, relative

STAGES = (
    "pretrain.trainer",
    "embed.run",
    "hear",
    "probe.stage",
    "separate.run",
    "report.stage",
    "export",
    "prep.stage",
)


def env(check: Check) -> None:
    """Versions, the card, its driver, shared memory, what it computes natively, whether it decodes pictures."""
    from dubcli.media.nvdec import why_not

    modules = [
        importlib.import_module(name) for name in ("torch", "torchaudio", "torchvision", "numpy", "av", "soundfile")
    ]
    check.note("python", sys.version.split()[0])
    check.note("versions", {module.__name__: module.__version__ for module in modules})
    check.note("shared memory (GB)", round(shutil.disk_usage("/dev/shm").total / 1e9, 2))
    if check.gpu:
        card = torch.cuda.get_device_properties(check.device)
        check.note("card", f"{card.name}, {card.total_memory / 2**30:.0f} GiB, sm_{card.major}{card.minor}")
        check.note("cuDNN", torch.backends.cudnn.version())
        check.note("bf16 native", torch.cuda.is_bf16_supported(including_emulation=False))
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        check.note("driver", subprocess.run(asked, capture_output=True, text=True).stdout.strip())
    check.note("NVDEC", why_not(check.device.index or 0) or "decodes")
    for name in STAGES:
        importlib.import_module(f"dubcli.{name}")
    check.expect("all stages import", True)


def augment(check: Check) -> None:
    """Every operation of RandAugment and the resize against the CPU, in grey levels; what waits for the device."""
    from dubcli.core import randaugment, transforms

    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (16, 3, 180, 320), generator=generator, dtype=torch.uint8)
    frames = torch.nn.functional.avg_pool2d(frames.float(), 5, 1, 2).to(torch.uint8)
    moved = frames.to(check.device)
    pairs = {"resize": (transforms.resize(frames, 281, 499), transforms.resize(moved, 281, 499))}
    for name, (first, last, _) in randaugment._OPERATIONS.items():
        value = 4.0 if name == "Posterize" else first + (last - first) * 0.3
        pairs[name] = randaugment.apply_operation(frames, name, value), randaugment.apply_operation(moved, name, value)
    for name, (wanted, found) in pairs.items():
        off = (wanted.int() - found.cpu().int()).abs()
        share = float((off > 1).double().mean())
        check.expect(f"{name} as on the CPU", share < 0.01, f"at most {int(off.max())} levels, {share:.2%} by over 1")
    draws = [transforms.draw_video(0, 0, clip, 180, 320, transforms.VideoAugmentation()) for clip in range(check.batch)]
    clips = [moved] * check.batch
    took = check.milliseconds(lambda: transforms.augment_videos(clips, draws, 224))
    check.note(f"augmenting {check.batch} clips (ms)", round(took, 1))
    with waits(check) as found:
        transforms.augment_videos(clips, draws, 224)
    check.expect("augmentation waits for nothing", not found, found[:3])


@contextmanager
def waits(check: Check) -> Iterator[list[str]]:
    """Torch's warnings of operations inside the block that wait for the device; on a CPU there are none."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if check.gpu:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            if check.gpu:
                torch.cuda.set_sync_debug_mode("default")
            found += [str(warning.message) for warning in caught if "synchroniz" in str(warning.message)]


def numbers(check: Check) -> None:
    """Mels and loss against the CPU and float64, the loss's gradient too; the backbones in every precision."""
    from dubcli.core.features import log_mel
    from dubcli.core.loss import nt_xent

    generator = torch.Generator().manual_seed(2)
    wave = torch.randn(8, 2, 48000 * 3, generator=generator) * 0.1
    off = float((log_mel(wave.to(check.device), 48000).cpu() - log_mel(wave, 48000)).abs().max())
    check.expect("log-mels", off < 1e-3, f"{off:.1e}")
    for negatives in ("both", "cross"):
        first, second = (torch.randn(104, 128, generator=generator) for _ in range(2))
        ours = [x.to(check.device, copy=True).requires_grad_() for x in (first, second)]
        exact = [x.double().requires_grad_() for x in (first, second)]
        loss, wanted = nt_xent(*ours, 0.1, negatives), nt_xent(*exact, 0.1, negatives)
        loss.backward()
        wanted.backward()
        off, slope = abs(loss.item() - wanted.item()), relative(ours[0].grad, exact[0].grad)
        check.expect(f"NT-Xent, negatives {negatives}", off < 1e-4 and slope < 1e-4, f"{off:.1e}, gradient {slope:.1e}")
    _backbones(check, wave[:4])


def _backbones(check: Check, wave: torch.Tensor) -> None:
    from dubcli.embed.embedder import Embedder

    frames = torch.randint(0, 256, (2, 16, 90, 160, 3), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    reference = Embedder("random", device="cpu", preset=check.preset, precision="float32")
    wanted = {"audio": reference.audio(wave, 48000), "video": reference.video(frames)}
    for precision, limit in (("float32", 5e-3), ("bfloat16", 5e-2), ("float16", 1e-2)):
        try:
            ours = Embedder("random", device=str(check.device), preset=check.preset, precision=precision)
        except UserError as error:
            check.note(f"embed {precision}", f"refused: {error}")
            continue
        found = {"audio": ours.audio(wave, 48000), "video": ours.video(frames)}
        for kind, features in found.items():
            off = relative(torch.from_numpy(features), torch.from_numpy(wanted[kind]))
            check.expect(f"embed {kind} {precision}", off < limit, f"{off:.1e}")
