"""How much do a model's sound features depend on the language? Cosines of the original and its dubs, clip by clip.

    python alignment.py counterfactual/cache counterfactual/runs/mono-seed0 counterfactual/runs/efj-seed0

Features are centred first (all sounds share a large constant part). Near 1 for the same clip: what is spoken hardly
matters to the features, so that dubs have little to teach.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from dubcli.cache.reader import Cache
from dubcli.core.checkpoint import load_trained
from dubcli.core.trained import TrainedModel
from dubcli.core.transforms import normalise_mels


def main() -> None:
    movies = Cache(sys.argv[1]).movies
    for run in sys.argv[2:]:
        trained = load_trained(run)
        same, other = [], []
        for movie in movies:
            features = {language: embed(trained, movie.mel(language)) for language in movie.languages}
            centre = torch.cat(list(features.values())).mean(dim=0)
            unit = {name: torch.nn.functional.normalize(rows - centre, dim=1) for name, rows in features.items()}
            for language in set(unit) - {movie.primary}:
                cosines = unit[movie.primary] @ unit[language].T
                diagonal = torch.eye(len(cosines), dtype=torch.bool)
                same.append(float(cosines[diagonal].mean()))
                other.append(float(cosines[~diagonal].mean()))
        print(f"{run}: same clip {np.mean(same):.3f}, other clips of the film {np.mean(other):.3f}")


@torch.no_grad()
def embed(trained: TrainedModel, mels: np.ndarray) -> Tensor:
    """(clips, 2, 96, frames) float16 -> (clips, 1024)"""
    inputs = normalise_mels(torch.from_numpy(np.array(mels)), trained.mel_mean, trained.mel_std)
    return trained.model.embed_audio(inputs)


if __name__ == "__main__":
    main()
