"""Fine-tune a checkpoint's audio backbone on labelled sounds: a folder of one folder of .wav files per label.

    python examples/extending/fine_tune.py runs/efj/ckpt.pt sounds/ --epochs 5

With ``frozen=True`` the same lines train a linear probe. ``--out`` keeps the whole model as a state dict.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio
from torch import nn

import dubcli


def load(path: Path, sample_rate: int) -> torch.Tensor:
    """The first 3 seconds in stereo, (2, samples), silence after the end."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    stereo = torch.from_numpy(samples[:, [0, -1]].T.copy())
    stereo = torchaudio.functional.resample(stereo, rate, sample_rate)[:, : 3 * sample_rate]
    return nn.functional.pad(stereo, (0, 3 * sample_rate - stereo.shape[1]))


def main() -> float:
    """Train, and return the share of the sounds that are labelled right after it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("sounds", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    torch.manual_seed(0)
    backbone = dubcli.load_backbone(options.checkpoint, frozen=options.frozen)
    labels = sorted(folder.name for folder in options.sounds.iterdir() if folder.is_dir())
    model = nn.Sequential(backbone, nn.Linear(backbone.feature_size, len(labels)))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)

    files = [(path, labels.index(path.parent.name)) for path in sorted(options.sounds.glob("*/*.wav"))]
    sounds = torch.stack([load(path, backbone.sample_rate) for path, _ in files])
    wanted = torch.tensor([label for _, label in files])
    for epoch in range(options.epochs):
        model.train()
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(files)))
        for rows in order.split(options.batch_size):
            loss = nn.functional.cross_entropy(model(sounds[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

    model.eval()
    with torch.no_grad():
        right = float((model(sounds).argmax(dim=1) == wanted).float().mean())
    print(f"{right:.2f} of {len(files)} sounds are labelled right")
    if options.out:
        torch.save(model.state_dict(), options.out)
    return right


if __name__ == "__main__":
    main()
