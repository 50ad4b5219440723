"""A checkpoint through the HEAR API (https://hearbenchmark.com): scene and time-stamped embeddings of any sounds.

    python hear.py runs/efj/ckpt.pt sound.wav

Tools that speak the API take the module itself: ``dubcli.hear`` with the checkpoint as weights.
"""

from __future__ import annotations

import sys

import soundfile
import torch

from dubcli import hear


def main(checkpoint: str, path: str) -> None:
    model = hear.load_model(checkpoint)
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != model.sample_rate:
        raise SystemExit(f"{path} has {rate} Hz; the API takes {model.sample_rate} Hz: resample it first")
    sounds = torch.from_numpy(samples.mean(axis=1))[None]
    scene = hear.get_scene_embeddings(sounds, model)
    print(f"scene: {tuple(scene.shape)}, first numbers {[round(float(x), 3) for x in scene[0, :4]]}")
    stamped, milliseconds = hear.get_timestamp_embeddings(sounds, model)
    print(f"time stamps: {tuple(stamped.shape)} at {[round(float(t)) for t in milliseconds[0, :4]]} ms ...")


if __name__ == "__main__":
    main(*sys.argv[1:3])
