"""Clips per second on one core: from the clip cache, against decoding the film on the fly at random places.

The film is made here: 1080p H.264, 24 pictures a second, with an AAC track. On the fly: seek with PyAV to a random
3-second clip, decode it, take 16 pictures at 256 pixels short side and the sound's samples. Also the share of a tiny
training's steps that waited for data.

    taskset -c 0 python tests/benchmarks/bench_loader.py
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from dubcli.prep import PrepConfig, prepare
from dubcli.pretrain import PretrainConfig, train
from dubcli.pretrain.loader import ClipDataset, Request, decode_clip
from dubcli.pretrain.training_films import read_training_films

SECONDS, RATE, SOUND_RATE = 30, 24, 48000
BATCH, WORKERS = 26, 12  # the paper's batch; loader processes of a GPU


def make_film(path: Path) -> None:
    """Moving patterns with grain, so that there is something to decode; keyframes as x264 places them (250)."""
    generator = np.random.default_rng(0)
    grain = generator.integers(0, 24, size=(8, 1080, 1920, 3), dtype=np.uint8)
    ramp = np.linspace(0, 200, 1920).astype(np.uint8)[None, :, None]
    with av.open(str(path), "w") as film:
        video = film.add_stream("libx264", RATE, options={"preset": "veryfast", "crf": "21", "g": "250"})
        video.width, video.height, video.pix_fmt = 1920, 1080, "yuv420p"
        sound = film.add_stream("aac", SOUND_RATE, layout="stereo")
        sound.metadata["language"] = "eng"
        for number in range(SECONDS * RATE):
            picture = np.roll(ramp, number * 7, axis=1) + grain[number % 8]
            film.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for start in range(0, SECONDS * SOUND_RATE, 1024):
            samples = (0.1 * generator.standard_normal((2, 1024))).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
            film.mux(sound.encode(frame))
        film.mux(sound.encode(None))
        film.mux(video.encode(None))


def on_the_fly(path: Path, start: float) -> int:
    """Decode 3 seconds from ``start``: 16 scaled pictures and the sound. Returns how many pictures it kept."""
    wanted = [start + (number + 0.5) * 3 / 16 for number in range(16)]
    pictures = []
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        stream.codec_context.thread_count = 1
        film.seek(int(start * av.time_base))
        for frame in film.decode(stream):
            if len(pictures) < 16 and frame.time >= wanted[len(pictures)]:
                pictures.append(frame.reformat(456, 256, format="rgb24").to_ndarray())
            if len(pictures) == 16:
                break
        film.seek(int(start * av.time_base))
        for frame in film.decode(film.streams.audio[0]):
            frame.to_ndarray()
            if frame.time > start + 3:
                break
    return len(pictures)


def waiting_share(cache: Path, out: Path) -> float:
    """Median share of the step time that a training on the CPU waits for data (``--preset tiny``)."""
    config = PretrainConfig(cache=str(cache), out=str(out), variant="mono", preset="tiny", batch_size=8, max_steps=6,
                            log_every=1, loader_workers=1, epochs=9)  # fmt: skip
    train(config, device="cpu")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(line["data_wait"] for line in lines[2:] if "data_wait" in line)


def main() -> None:
    """Make the film, prepare it, let both ways take turns, print the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--clips", type=int, default=3, help="clips decoded on the fly in a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        film, cache = Path(folder) / "film.mkv", Path(folder) / "cache"
        make_film(film)
        prepare([film], PrepConfig(cache=cache, languages=("en",)))
        corpus = read_training_films(cache, "mono", 0.0)
        config = PretrainConfig(cache=str(cache), variant="mono")
        dataset = ClipDataset(corpus.train, corpus.variant, config, on_device=True)
        draw = random.Random(0)
        fly, cached, frames_alone, of_a_core = [], [], [], []
        for _ in range(options.rounds):
            starts = [draw.uniform(0, SECONDS - 4) for _ in range(options.clips)]
            begun = time.perf_counter()
            assert all(on_the_fly(film, start) == 16 for start in starts)
            fly.append(options.clips / (time.perf_counter() - begun))
            clips = tuple(draw.sample(range(corpus.train.clips), 8))
            begun, used = time.perf_counter(), time.process_time()
            assert dataset[Request(0, 0, clips, corpus.variant.primary)].error is None
            cached.append(8 / (time.perf_counter() - begun))
            of_a_core.append((time.process_time() - used) / 8)
            begun = time.perf_counter()
            for clip in clips:
                decode_clip(*corpus.train.locate(clip))
            frames_alone.append(8 / (time.perf_counter() - begun))
        print(f"on the fly: {statistics.median(fly):.2f} clips/s per core; from the cache: "
              f"{statistics.median(cached):.1f} (frames alone {statistics.median(frames_alone):.1f})")  # fmt: skip
        each = statistics.median(of_a_core)
        print(f"a batch of {BATCH} clips takes {1000 * BATCH * each:.0f} ms of one core, augmented on the device; "
              f"{WORKERS} workers feed {WORKERS / each:.0f} clips/s")  # fmt: skip
        waiting = waiting_share(cache, Path(folder) / "run")
        print(f"share of step time spent waiting for data (preset tiny, CPU): {waiting:.3f}")
        ratios = sorted(a / b for a, b in zip(cached, fly, strict=True))
        print(f"cache / on the fly: {statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})")


if __name__ == "__main__":
    main()
