"""Sections bits, stages and tests: the commands themselves, small, on the device."""

from __future__ import annotations

import importlib.util
import math
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np
import torch

from gpu.harness import ROOT, Check, equal_weights, losses

STEPS = 4
DEVICE_TESTS = (
    "tests/core",
    "tests/embed",
    "tests/test_hear.py",
    "tests/probe",
    "tests/separate",
    "tests/pretrain/test_step.py",
)
CPU_TESTS = ("tests/core/test_transforms.py", "tests/core/test_loss.py")


def training(check: Check, out: Path, *more: object) -> list[object]:
    """``pretrain``'s arguments for a short run."""
    size = (8, 4) if check.gpu else (2, 1)
    options = ("--variant", "efj", "--preset", "tiny", "--batch-size", size[0], "--k", size[1], "--log-every", 1,
               "--save-every", 2, "--val-fraction", 0, "--max-steps", STEPS, "--quiet", "--out", out)  # fmt: skip
    here = () if check.gpu else ("--loader-workers", 0)
    return ["pretrain", "--cache", check.cache(), *options, *here, *check.processes, *more]


def bits(check: Check) -> None:
    """Two runs, and one that was killed with SIGKILL and goes on: how many of their tensors are equal to the bit?"""
    modes: dict[str, tuple[object, ...]] = {"as shipped": (), "--deterministic": ("--deterministic",)}
    for name, more in modes.items():
        if check.left < 30:
            check.note(f"bits, {name}", "not measured: no time left")
            continue
        promised = not check.gpu or name == "--deterministic"
        folders = [check.work / f"bits-{len(more)}-{number}" for number in range(3)]
        for folder in folders[:2]:
            check.dubav(*training(check, folder, *more))
        _run_until(check, training(check, folders[2], *more), folders[2], steps=3, end=signal.SIGKILL)
        check.dubav(*training(check, folders[2], *more))
        for what, folder in (("two runs", folders[1]), ("killed and gone on", folders[2])):
            equal, count = equal_weights(folders[0], folder)
            check.note(f"bits, {what}, {name}", f"{equal} of {count} tensors equal")
            if promised:
                check.expect(f"{what} give the same bits, {name}", equal == count)


def _run_until(check: Check, arguments: list[object], run: Path, steps: int, end: signal.Signals) -> int:
    """Start a run, send it a signal after so many steps. Returns its exit status."""
    process = subprocess.Popen(
        check.command(*arguments),
        env=check.environment(),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + check.patience(120)
    try:
        while process.poll() is None and len(losses(run)) < steps and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(end)
        return process.wait(timeout=check.patience(60))
    finally:
        process.kill()


def stages(check: Check) -> None:
    """Every command, the ways of starting pretrain, and what it says where memory does not suffice."""
    run, cache = check.work / "run", check.cache()
    check.dubav(*training(check, run, "--val-fraction", 0.34))
    _pretrain(check)
    sounds = _sounds(check.work / "sounds")
    check.dubav("embed", sounds, run, "--out", check.work / "features")
    # a CPU's compiler takes over a minute for the video backbone, and is no GPU's
    compiled = cache if check.gpu else sounds / "test" / "0"
    check.dubav("embed", compiled, run, "--out", check.work / "compiled", "--compile", seconds=240)
    for protocol in ("linear", "hear", "logreg"):
        results = check.work / f"results-{protocol}"
        check.dubav("probe", "folder", run, "--data", sounds, "--protocol", protocol, "--out", results)
    _separate(check, sounds / "test" / "0" / "0.wav")
    check.dubav("export", run, "--out", check.work / "exported")
    check.dubav("report", check.work / "results-linear", run, cache, "--out", check.work / "report")
    _hear(check, run)


def _pretrain(check: Check) -> None:
    stopped = check.work / "stopped"
    status = _run_until(check, training(check, stopped), stopped, steps=2, end=signal.SIGTERM)
    check.expect("SIGTERM saves", (stopped / "ckpt.pt").exists(), f"status {status}, {len(losses(stopped))} steps")
    check.dubav(*training(check, stopped))
    check.expect("and the run goes on to its end", bool(losses(stopped)) and losses(stopped)[-1]["step"] == STEPS)
    check.dubav(*training(check, check.work / "parts", "--accumulate", 2, "--dropout", 0.2, "--max-steps", 2))
    check.dubav(*training(check, check.work / "dry", "--dry-run", "--json"))
    if not check.gpu:
        return
    # one rank of a run that others started: init, barriers and gathers of nccl
    ranks = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    check.dubav(*training(check, check.work / "nccl"), **ranks)
    huge = training(check, check.work / "huge", "--no-compile")
    huge[huge.index("--preset") + 1], huge[huge.index("--batch-size") + 1] = "paper", 160
    huge += ["--precision", "fp32"]
    check.dubav(*huge, status=2, says="--accumulate")


def _separate(check: Check, sound: Path) -> None:
    from helpers.separation import fast_demucs, save_model

    models = check.work / "models"
    models.mkdir(exist_ok=True)
    save_model(fast_demucs(), models, "aaaaaaaa")
    for precision in ("float32", "float16") if check.gpu else ("float32",):
        more = ("--model", "aaaaaaaa", "--model-repo", models, "--precision", precision)
        check.dubav("separate", sound, *more, "--out", check.work / f"stems-{precision}")


def _hear(check: Check, run: Path) -> None:
    from dubcli import hear

    model = hear.load_model(str(run / "ckpt.pt")).to(check.device)
    generator = torch.Generator().manual_seed(0)
    sounds = (torch.randn(2, 48000 * 4, generator=generator) * 0.1).to(check.device)
    scenes = hear.get_scene_embeddings(sounds, model)
    frames, times = hear.get_timestamp_embeddings(sounds, model)
    fits = scenes.device.type == check.device.type and frames.shape[:2] == times.shape
    check.expect("HEAR's functions on the device", fits and bool(torch.isfinite(scenes).all()), tuple(frames.shape))


def _sounds(folder: Path) -> Path:
    """Three classes of tones, 16-bit mono at 48 kHz: ``folder/SPLIT/CLASS/NUMBER.wav``."""
    for split in ("train", "test"):
        for label in range(3):
            for number in range(8):
                path = folder / split / str(label) / f"{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                seconds = np.arange(48000) / 48000
                tone = 9000 * np.sin(2 * math.pi * (300 + 400 * label + 5 * number) * seconds)
                with wave.open(str(path), "wb") as file:
                    file.setparams((1, 2, 48000, 0, "NONE", ""))
                    file.writeframes(tone.astype("<i2").tobytes())
    return folder


def tests(check: Check) -> None:
    """The suite's own tests of what depends on the device, with the GPU in sight: defaults then choose it."""
    parallel = ["-n", "8"] if check.gpu and importlib.util.find_spec("xdist") else []
    log = check.out / "pytest.txt"
    command = [sys.executable, "-m", "pytest", "-q", "--maxfail", "20", "-p", "no:cacheprovider", *parallel]
    with open(log, "w") as file:
        done = subprocess.run(
            [*command, *(DEVICE_TESTS if check.gpu else CPU_TESTS)], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT,
            env=check.environment(), timeout=max(10.0, check.left - 5),
        )  # fmt: skip
    check.expect("pytest", done.returncode == 0, log.read_text()[-1500 * (done.returncode != 0) or -80 :].strip())
