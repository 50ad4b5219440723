"""Speed of embed. Run as ``taskset -c 0,1 python tests/benchmarks/bench_embed.py [models] [files]``.

``models``: clips per second of our engine against the same pytorchvideo models as they are built, eager, float32; each
in a process of its own, taking turns; outputs compared. ``files``: many 1-second wavs against one long wav of the same
sound, seconds of sound per second. Ratios come last.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

BATCHES = {"audio": 8, "video": 4}
SHAPES = {"audio": (2, 96, 280), "video": (3, 16, 224, 224)}
TARGETS = {"audio": 2.0, "video": 4.0}


def build(modality):
    """The model of both sides, with batch norms that do something."""
    import torch

    from dubcli.core.backbones import AcousticResNet50, x3d_m
    from dubcli.core.models import freeze

    torch.manual_seed(0)
    model = AcousticResNet50() if modality == "audio" else x3d_m()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return freeze(model)


def serve(side, modality, threads, connection):
    """Answer each number of batches with (seconds, outputs of the last batch)."""
    import torch

    torch.set_num_threads(threads)
    model = build(modality)
    if side == "plain":

        def run(batch):
            with torch.no_grad():
                return model(batch)
    else:
        from dubcli.embed.engine import Compiling, Engine

        run = Engine(model, torch.device("cpu"), "fp32", Compiling(side == "compiled"), "benchmark")
    batch = torch.randn(BATCHES[modality], *SHAPES[modality], generator=torch.Generator().manual_seed(1))
    begun = time.perf_counter()
    run(batch)
    connection.send(time.perf_counter() - begun)
    while (count := connection.recv()) is not None:
        begun = time.perf_counter()
        for _ in range(count):
            out = run(batch)
        connection.send((time.perf_counter() - begun, out.numpy()))


def bench_models(modality, rounds, threads):
    """Rounds of one batch for each side in turn; the median of the rounds' ratios."""
    import numpy as np

    context = multiprocessing.get_context("spawn")
    sides = {}
    for side in ("plain", "folded", "compiled"):
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(side, modality, threads, there), daemon=True)
        process.start()
        print(f"{modality} {side}: first batch after {here.recv():.1f} s")
        sides[side] = (here, process)
    seconds = {side: [] for side in sides}
    outputs = {}
    for _ in range(rounds):
        for side, (here, _) in sides.items():
            here.send(1)
            taken, outputs[side] = here.recv()
            seconds[side].append(taken / BATCHES[modality])
    for here, process in sides.values():
        here.send(None)
        process.join()
    largest = np.abs(outputs["plain"]).max()
    result = []
    for side in ("folded", "compiled"):
        difference = np.abs(outputs[side] - outputs["plain"]).max()
        ratios = [a / b for a, b in zip(seconds["plain"], seconds[side], strict=True)]
        rate = 1 / statistics.median(seconds[side])
        print(f"{modality} {side}: {rate:.2f} clips/s; max difference {difference:.1e} of values up to {largest:.2g}")
        result.append((f"{modality} {side} / plain", statistics.median(ratios), min(ratios), max(ratios)))
    print(f"{modality} plain: {1 / statistics.median(seconds['plain']):.2f} clips/s")
    return result


def bench_files(count, preset, rounds):
    """The same noise as ``count`` wavs of one second and as one wav, embedded in turn."""
    import numpy as np
    import soundfile

    from dubcli.embed import EmbedConfig, Embedder, embed

    embedder = Embedder("random", preset=preset, compile=True)
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "many").mkdir()
        noise = np.random.default_rng(0).integers(-9000, 9000, (count, 48000), dtype=np.int16)
        for number in range(count):
            soundfile.write(home / f"many/{number:05}.wav", noise[number], 48000)
        soundfile.write(home / "long.wav", noise.reshape(-1), 48000)
        del noise
        for modality_seconds in (1, 3):  # compile both shapes before the clock starts
            embedder.audio(np.zeros((BATCHES["audio"] * 4, 48000 * modality_seconds), np.float32), 48000)
        for turn in range(rounds):
            taken = {}
            for source in ("long.wav", "many"):
                begun = time.perf_counter()
                embed(home / source, embedder, home / f"{source}-{turn}", EmbedConfig())
                taken[source] = time.perf_counter() - begun
            print(f"{preset}: long {count / taken['long.wav']:.0f}, many {count / taken['many']:.0f} s of sound per s")
            ratios.append(taken["many"] / taken["long.wav"])
    return [(f"{count} wavs of 1 s / one long file ({preset})", statistics.median(ratios), min(ratios), max(ratios))]


def main():
    """Run what is asked for and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["models", "files"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--preset", default="small")
    options = parser.parse_args()
    rows = []
    if "models" in options.parts:
        for modality in ("audio", "video"):
            rows += bench_models(modality, options.rounds, options.threads)
    if "files" in options.parts:
        rows += bench_files(options.files, options.preset, max(1, options.rounds // 3))
    for name, middle, low, high in rows:
        print(f"{name}: {middle:.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
