"""Tracks of a dubbed film made by hand: one background, other speech in each, moved and stretched by known amounts."""

import numpy as np

RATE = 48000
SECONDS = 66


def smoothed(noise, memory):
    """A one-pole low pass, as a weighted sum of delayed copies."""
    out = np.zeros_like(noise)
    for delay in range(24):
        out[..., delay:] += noise[..., : noise.shape[-1] - delay] * memory**delay * (1 - memory)
    return out


def background(seed, seconds=SECONDS + 20):
    """Stereo noise whose loudness changes at irregular instants: music and effects."""
    generator = np.random.default_rng(seed)
    noise = smoothed(generator.normal(size=(2, seconds * RATE)).astype(np.float32), 0.8)
    steps = np.cumsum(generator.uniform(0.1, 0.6, size=seconds * 4))
    loudness = generator.uniform(0, 1, size=steps.size + 1) ** 2
    return noise * loudness[np.searchsorted(steps, np.arange(seconds * RATE) / RATE)].astype(np.float32)


def speech(seed, seconds=SECONDS):
    """Syllables in the centre: alike in both channels."""
    generator = np.random.default_rng(seed)
    voice = smoothed(generator.normal(size=seconds * RATE).astype(np.float32), 0.6)
    syllables = np.repeat(generator.uniform(size=seconds * 8) > 0.5, RATE // 8)
    return np.stack([voice * syllables] * 2)


def moved(sound, lag_seconds, ppm, seconds=SECONDS, before_seconds=10):
    """Of a background that begins ``before_seconds`` before the film: the film's part, later by the lag and slower."""
    film_time = (np.arange(seconds * RATE) / RATE - lag_seconds) / (1 + ppm * 1e-6)
    at = (film_time + before_seconds) * RATE
    return np.stack([np.interp(at, np.arange(sound.shape[1]), channel) for channel in sound]).astype(np.float32)
