"""dubav separate against demucs.api.Separator (shifts=0): the same file to the same stems, on one device.

    taskset -c 0,1 python tests/benchmarks/bench_separate.py [speed] [memory]
    python tests/benchmarks/bench_separate.py gpu --device cuda

Both read a WAV file, separate it with the same models and write vocals and the sum of the others as WAV. ``speed``: one
minute with a bag of two small HDemucs; ``memory``: 1, 5 and 20 minutes with a light time-domain Demucs, whose own needs
do not hide what a track's length costs; ``gpu``: 4 minutes with an HDemucs as large as those of mdx_extra. Random
weights. Each run is a process of its own; ours and the peer's alternate; on a GPU each separates the file once before
it is timed. Prints ratios of medians, of wall time and of CPU time (which other work on the machine moves less).
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PARTS = {"speed": ("bag", [1], 3), "memory": ("light", [1, 5, 20], 1), "gpu": ("large", [4], 1)}
"""The model, the lengths in minutes and the repetitions of each."""


def main() -> None:
    """Compare the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["speed", "memory"], choices=list(PARTS), metavar="PART")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in options.parts:
            model, lengths, repetitions = PARTS[part]
            make_model(folder / "models", model)
            for minutes in lengths:
                make_sound(folder / "sound.wav", 60 * minutes)
                compare(model, folder, f"{part}, {minutes} min", repetitions, options.device)


def compare(model: str, folder: Path, title: str, repetitions: int, device: str = "cpu") -> dict[str, float]:
    """Run both in turn and print memory and ratios. Returns demucs/ours of seconds, CPU seconds and memory."""
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "demucs": []}
    for _ in range(repetitions):
        for who, results in runs.items():
            results.append(child(who, model, folder, device))
    median = {
        (who, what): statistics.median(run[what] for run in results)
        for who, results in runs.items()
        for what in ("seconds", "cpu_seconds", "peak_mb")
    }
    ratios = {what: median["demucs", what] / median["ours", what] for what in ("seconds", "cpu_seconds", "peak_mb")}
    print(
        f"{title}: peak memory ours {median['ours', 'peak_mb']:.0f} MB, demucs {median['demucs', 'peak_mb']:.0f} MB "
        f"({ratios['peak_mb']:.2f}); difference {difference(folder):.1e} of RMS; "
        f"demucs/ours: time {ratios['seconds']:.2f}, CPU time {ratios['cpu_seconds']:.2f}",
        flush=True,
    )
    return ratios


def child(who: str, model: str, folder: Path, device: str) -> dict[str, float]:
    """Run one side in its own process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    if who == "ours":
        environment["THP_MEM_ALLOC_ENABLE"] = "1"  # as dubav separate starts its workers
    done = subprocess.run(
        [sys.executable, __file__, "--child", who, model, str(folder), device],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def difference(folder: Path) -> float:
    """RMS of the difference between both sides' files, relative to the RMS of demucs's; the worse of the two stems."""
    import numpy as np
    import soundfile

    worst = 0.0
    for name in ("vocals", "no_vocals"):
        with (
            soundfile.SoundFile(folder / "ours" / f"sound.{name}.wav") as mine,
            soundfile.SoundFile(folder / "demucs" / f"sound.{name}.wav") as theirs,
        ):
            assert mine.frames == theirs.frames
            squares = [0.0, 0.0]
            while len(block := theirs.read(1 << 20)):
                squares[0] += float(((mine.read(len(block)) - block) ** 2).sum())
                squares[1] += float((block**2).sum())
        worst = max(worst, float(np.sqrt(squares[0] / squares[1])))
    return worst


def run_child(who: str, model: str, folder: Path, device: str) -> None:
    """Separate and print seconds (without imports and the model's loading) and the peak of resident memory."""
    out = folder / who
    out.mkdir(exist_ok=True)
    separate = {"ours": ours, "demucs": demucs}[who](model, folder, out, device)
    if device != "cpu":
        separate()  # kernels are loaded as they are first used
    begun, begun_cpu = time.monotonic(), time.process_time()
    separate()
    seconds, cpu_seconds = time.monotonic() - begun, time.process_time() - begun_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak}))


def ours(model: str, folder: Path, out: Path, device: str) -> Callable[[], None]:
    """The function that a worker process of dubav separate runs."""
    from dubcli.jobs.devices import Devices
    from dubcli.separate import SeparateConfig
    from dubcli.separate.files import plan_files, separate_file
    from dubcli.separate.run import separator_for

    config = SeparateConfig(
        files=(folder / "sound.wav",), out=out, model=model, model_repo=folder / "models", file_format="wav"
    )
    devices = Devices(names=(device,))
    separator_for(config, devices)
    (task,) = plan_files(config)

    def separate() -> None:
        for _, target in task.targets:
            target.unlink(missing_ok=True)
        separate_file(task, lambda *_, **__: None, config=config, devices=devices)

    return separate


def demucs(model: str, folder: Path, out: Path, device: str) -> Callable[[], None]:
    """The same with demucs's own interface."""
    import soundfile
    import torch
    from demucs.api import Separator

    separator = Separator(model=model, repo=folder / "models", device=device, shifts=0)

    def separate() -> None:
        _, stems = separator.separate_audio_file(folder / "sound.wav")
        vocals = stems.pop("vocals")
        rest = torch.zeros_like(vocals)
        for stem in stems.values():
            rest += stem
        for name, stem in (("vocals", vocals), ("no_vocals", rest)):
            soundfile.write(out / f"sound.{name}.wav", stem.T.cpu().numpy(), 44100, subtype="FLOAT")

    return separate


def make_model(folder: Path, name: str) -> None:
    """``bag``: two HDemucs with 8 channels; ``light``: a small Demucs; ``large``: an HDemucs. Random weights."""
    from demucs.demucs import Demucs
    from demucs.hdemucs import HDemucs

    folder.mkdir(exist_ok=True)
    sources = ["drums", "bass", "other", "vocals"]
    if name == "bag":
        for seed in range(2):
            save_model(folder, f"{seed:08x}", HDemucs, seed, {"sources": sources, "channels": 8, "segment": 44})
        (folder / "bag.yaml").write_text(json.dumps({"models": ["00000000", "00000001"], "segment": 44}))
    elif name == "light":
        small = {"channels": 4, "depth": 2, "segment": 10, "lstm_layers": 0, "resample": False}
        save_model(folder, "light", Demucs, 0, {"sources": sources, **small})
    else:
        save_model(folder, "large", HDemucs, 0, {"sources": sources, "segment": 44})


def save_model(folder: Path, signature: str, kind: Any, seed: int, arguments: dict[str, Any]) -> None:
    """Write a model file as demucs's training does."""
    import torch

    torch.manual_seed(seed)
    package = {"klass": kind, "args": (), "kwargs": arguments, "training_args": {}}
    package["state"] = kind(**arguments).state_dict()
    content = io.BytesIO()
    torch.save(package, content)
    checksum = hashlib.sha256(content.getvalue()).hexdigest()[:8]
    (folder / f"{signature}-{checksum}.th").write_bytes(content.getvalue())


def make_sound(path: Path, seconds: int) -> None:
    """Noise under a slow tone, stereo, 44.1 kHz."""
    import numpy as np
    import soundfile

    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", 44100, 2, subtype="PCM_16") as file:
        for _ in range(seconds):
            file.write(0.1 * generator.standard_normal((44100, 2)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5])
    else:
        main()
