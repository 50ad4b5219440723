"""dubav separate against demucs.api.Separator (shifts=0): the same file to the same stems, on the CPU.

    flock /tmp/bench.lock taskset -c 0,1 python tests/benchmarks/bench_separate.py [minutes ...]

Both read a WAV file, separate it with the same bag of two small HDemucs with random weights and write vocals and the
sum of the others as WAV. Each run is a process of its own; ours and the peer's alternate. Prints ratios of medians.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPETITIONS = 3  # of lengths up to two minutes; longer ones are for memory and are run once


def main() -> None:
    """Compare at each length (minutes) given, by default 1, 5 and 20."""
    lengths = [float(text) for text in sys.argv[1:]] or [1.0, 5.0, 20.0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_models(folder / "models")
        for minutes in lengths:
            make_sound(folder / "sound.wav", minutes)
            runs: dict[str, list[dict[str, float]]] = {"ours": [], "demucs": []}
            for _ in range(REPETITIONS if minutes <= 2 else 1):
                for who, results in runs.items():
                    results.append(child(who, folder))
            seconds = {who: statistics.median(run["seconds"] for run in results) for who, results in runs.items()}
            peak = {who: max(run["peak_mb"] for run in results) for who, results in runs.items()}
            print(
                f"{minutes:g} min: peak memory ours {peak['ours']:.0f} MB, demucs {peak['demucs']:.0f} MB "
                f"(ours/demucs {peak['ours'] / peak['demucs']:.2f}); "
                f"difference {difference(folder):.1e} of RMS; "
                f"time demucs/ours {seconds['demucs'] / seconds['ours']:.2f}",
                flush=True,
            )


def child(who: str, folder: Path) -> dict[str, float]:
    """Run one side in its own process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, __file__, "--child", who, str(folder)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr)
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


def run_child(who: str, folder: Path) -> None:
    """Separate and print seconds (without imports and the model's loading) and the peak of resident memory."""
    out = folder / who
    out.mkdir(exist_ok=True)
    seconds = {"ours": ours, "demucs": demucs}[who](folder, out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak}))


def ours(folder: Path, out: Path) -> float:
    """The function that a worker process of dubav separate runs."""
    from dubcli.separate import SeparateConfig
    from dubcli.separate.device import Machine
    from dubcli.separate.files import plan_files, separate_file
    from dubcli.separate.run import separator_for

    config = SeparateConfig(
        files=(folder / "sound.wav",), out=out, model="bag", model_repo=folder / "models", file_format="wav"
    )
    machine = Machine(device="cpu")
    separator_for(config, machine)
    for task in plan_files(config):
        for _, target in task.targets:
            target.unlink(missing_ok=True)
        begun = time.monotonic()
        separate_file(task, lambda *_, **__: None, config=config, machine=machine)
    return time.monotonic() - begun


def demucs(folder: Path, out: Path) -> float:
    """The same with demucs's own interface."""
    import soundfile
    import torch
    from demucs.api import Separator

    separator = Separator(model="bag", repo=folder / "models", device="cpu", shifts=0)
    begun = time.monotonic()
    _, stems = separator.separate_audio_file(folder / "sound.wav")
    vocals = stems.pop("vocals")
    rest = torch.zeros_like(vocals)
    for stem in stems.values():
        rest += stem
    for name, stem in (("vocals", vocals), ("no_vocals", rest)):
        soundfile.write(out / f"sound.{name}.wav", stem.T.numpy(), 44100, subtype="FLOAT")
    return time.monotonic() - begun


def make_models(folder: Path) -> None:
    """A bag of two HDemucs with 8 channels and random weights."""
    import io

    import torch
    from demucs.hdemucs import HDemucs

    folder.mkdir()
    signatures = []
    for seed in range(2):
        torch.manual_seed(seed)
        arguments = {"sources": ["drums", "bass", "other", "vocals"], "channels": 8, "segment": 44}
        package = {"klass": HDemucs, "args": (), "kwargs": arguments, "training_args": {}}
        package["state"] = HDemucs(**arguments).state_dict()
        content = io.BytesIO()
        torch.save(package, content)
        signatures.append(f"{seed:08x}")
        checksum = hashlib.sha256(content.getvalue()).hexdigest()[:8]
        (folder / f"{signatures[-1]}-{checksum}.th").write_bytes(content.getvalue())
    (folder / "bag.yaml").write_text(json.dumps({"models": signatures, "segment": 44}))


def make_sound(path: Path, minutes: float) -> None:
    """Noise under a slow tone, stereo, 44.1 kHz."""
    import numpy as np
    import soundfile

    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", 44100, 2, subtype="PCM_16") as file:
        for _ in range(round(minutes * 60)):
            file.write(0.1 * generator.standard_normal((44100, 2)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
