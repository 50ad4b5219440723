"""What the sections of the check share: where and how long, what was found, timing, and the commands of the product."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Check:
    """One run of the check. ``preset`` and ``batch``: of the steps that are timed.

    ``checks``: (name, whether it holds, detail); a failed one makes the exit status 1. ``targets``: the same of speeds
    that are hoped for, which do not. ``figures``: all that was measured, by name.
    """

    out: Path
    device: torch.device
    preset: str
    batch: int
    seconds: float
    begun: float = field(default_factory=time.monotonic)
    checks: list[tuple[str, bool, str]] = field(default_factory=list)
    targets: list[tuple[str, bool | None, str]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)

    @property
    def gpu(self) -> bool:
        """Whether there is a GPU to check."""
        return self.device.type == "cuda"

    @property
    def work(self) -> Path:
        """Where sections put what they make; it is removed at the end."""
        folder = self.out / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def left(self) -> float:
        """Seconds."""
        return self.seconds - (time.monotonic() - self.begun)

    def expect(self, name: str, holds: bool, detail: object = "") -> None:
        """Note a check and say so."""
        self.checks.append((name, bool(holds), str(detail)))
        print(f"  {'pass' if holds else 'FAIL'}  {name}  {detail}", flush=True)

    def note(self, name: str, value: Any) -> None:
        """Note a figure and say so."""
        self.figures[name] = value
        print(f"        {name}: {value}", flush=True)

    def target(self, name: str, value: float | None, wanted: float) -> None:
        """A speed against what is hoped for; None: not measured. The CPU's are printed and held against nothing."""
        met = None if value is None or not self.gpu else value >= wanted
        said = "not measured" if value is None else f"{value:.2f}, wanted {wanted:g} on an H100"
        self.targets.append((name, met, said))
        print(f"  {'    ' if met is None else 'met ' if met else 'MISS'}  target {name}: {said}", flush=True)

    def save(self) -> None:
        """Write ``check.json``."""
        found = {"device": str(self.device), "preset": self.preset, "sections": self.sections, "checks": self.checks,
                 "targets": self.targets, "figures": self.figures}  # fmt: skip
        (self.out / "check.json").write_text(json.dumps(found, indent=1, default=str))

    def synchronise(self) -> None:
        """Wait for the device."""
        if self.gpu:
            torch.cuda.synchronize()

    def milliseconds(self, function: Callable[[], object], warm: int = 2, runs: int = 5) -> float:
        """The median of some runs, each waited for."""
        for _ in range(warm):
            function()
        times = []
        for _ in range(runs):
            self.synchronise()
            begun = time.perf_counter()
            function()
            self.synchronise()
            times.append(1000 * (time.perf_counter() - begun))
        return sorted(times)[len(times) // 2]

    def environment(self, **more: str) -> dict[str, str]:
        """For processes of the product; without the GPU where the CPU is checked."""
        hidden = {} if self.gpu else {"CUDA_VISIBLE_DEVICES": ""}
        return {**os.environ, **hidden, **more}

    def patience(self, seconds: float) -> float:
        """How long to wait for something that takes less than ``seconds`` on a GPU.

        There a hang should leave time for the sections after it; a CPU may be slow and busy, and gets all that is left.
        """
        return max(5.0, min(seconds, self.left) if self.gpu else self.left)

    def command(self, *arguments: object) -> list[str]:
        """``dubav ...`` as a command line."""
        return [sys.executable, "-m", "dubcli", *map(str, arguments)]

    def dubav(
        self, *arguments: object, status: int = 0, says: str = "", seconds: float = 180, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``dubav``, which must end with ``status`` and, where ``says`` is given, say that on stderr.

        ``seconds``: what it may take on a GPU (``patience``).
        """
        begun = time.monotonic()
        shown = " ".join(str(part) for part in arguments if not str(part).startswith(("/", str(self.out))))
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=self.patience(seconds),
            env=self.environment(**environment), cwd=ROOT,
        )  # fmt: skip
        holds = done.returncode == status and says in done.stderr and "Traceback" not in done.stderr
        problem = "" if holds else f", wanted {status} {says!r}: {(done.stderr or done.stdout)[-800:]}"
        took = f"status {done.returncode}, {time.monotonic() - begun:.0f} s"
        self.expect(f"dubav {shown[:100]}", holds, took + problem)
        return done

    def cache(self) -> Path:
        """A small clip cache of seeded pictures and mels in four languages, made once."""
        from helpers.caches import make_cache

        folder = self.work / "cache"
        if not folder.exists():
            size, clips = ((320, 180), 30) if self.gpu else ((64, 36), 8)
            make_cache(folder, films=6, clips=clips, size=size, nospeech=True)
        return folder

    @property
    def processes(self) -> tuple[object, ...]:
        """``pretrain``'s option for one process on the device."""
        return ("--gpus", 1 if self.gpu else 0)


def relative(found: Tensor, wanted: Tensor) -> float:
    """Distance over the length of what is wanted."""
    ours, theirs = found.detach().double().cpu(), wanted.detach().double().cpu()
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-30))


def equal_weights(first: Path, second: Path) -> tuple[int, int]:
    """How many of the tensors of two runs' ``ckpt.pt`` are equal to the bit, and how many there are."""
    one, other = (torch.load(run / "ckpt.pt", weights_only=True)["model"] for run in (first, second))
    return sum(torch.equal(one[name], other[name]) for name in one), len(one)


def losses(run: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` that tell of steps; whole lines only."""
    file = run / "metrics.jsonl"
    text = file.read_text() if file.exists() else ""
    return [line for line in map(json.loads, text.splitlines()[: text.count("\n")]) if "loss" in line]
