"""Sounds for tests."""

import numpy as np


def noise(seconds, rate=48000, channels=1, seed=0):
    """White noise, (samples, channels) float64 within +-0.5."""
    shape = (round(seconds * rate), channels)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)
