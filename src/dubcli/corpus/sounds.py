"""The background: what places and events sound like, as six channels of a 5.1 film (FL FR FC LFE SL SR).

Everything is shaped noise and decaying tones. A place is known by how its noise moves rather than by its colour
alone: each scene gets its own tilt, level and rates, so that a single average spectrum does not give the place away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dubcli.corpus.plan import FilmPlan, Scene

SAMPLE_RATE = 48000
Sound = npt.NDArray[np.float32]
Generator = np.random.Generator
LEFT, RIGHT, CENTRE, LFE, SIDE_LEFT, SIDE_RIGHT = range(6)
BACKGROUND_RMS = 0.05


def background(plan: FilmPlan) -> Sound:
    """(6, samples) of the whole film: the sound that all its language versions share."""
    total = np.zeros((6, round(plan.n_clips * 3 * SAMPLE_RATE)), np.float32)
    for number, scene in enumerate(plan.scenes):
        generator = plan.generator(1, number)
        start, stop = round(scene.start_seconds * SAMPLE_RATE), round(scene.stop_seconds * SAMPLE_RATE)
        total[:, start:stop] += _place(scene, generator)
        for at in scene.event_seconds:
            sound = EVENT_SOUNDS[scene.event](generator) * np.float32(0.18 * 10 ** (generator.uniform(-4, 3) / 20))
            first = round(at * SAMPLE_RATE)
            sound = sound[: stop - first]
            side = float(generator.uniform(0.25, 0.75))
            for channel, gain in ((LEFT, 1 - side), (RIGHT, side), (LFE, 0.2), (SIDE_LEFT, 0.1), (SIDE_RIGHT, 0.1)):
                total[channel, first : first + len(sound)] += np.float32(gain * 1.4) * sound
    return total


def _place(scene: Scene, generator: Generator) -> Sound:
    samples = round((scene.stop_seconds - scene.start_seconds) * SAMPLE_RATE)
    make = PLACE_SOUNDS[scene.place]
    rates = Rates(generator)
    channels = np.zeros((6, samples), np.float32)
    tilt = float(generator.uniform(-0.6, 0.6))
    for channel, gain in ((LEFT, 1.0), (RIGHT, 1.0), (SIDE_LEFT, 0.5), (SIDE_RIGHT, 0.5)):
        channels[channel] = gain * coloured(make(samples, rates, generator), lambda f: (f / 1000) ** tilt)
    rms = float(np.sqrt(np.mean(channels[:2] ** 2))) + 1e-9
    level = BACKGROUND_RMS * 10 ** (generator.uniform(-5, 3) / 20)
    channels *= np.float32(level / rms)
    fade = np.minimum(1, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / 2400).astype(np.float32)
    return channels * fade


class Rates:
    """A scene's own numbers, shared by its channels."""

    def __init__(self, generator: Generator) -> None:
        self.slow = float(generator.uniform(0.8, 1.25))
        self.phase = float(generator.uniform(0, 2 * np.pi))
        self.pitch = float(generator.uniform(0.8, 1.25))


def coloured(noise: Sound, response: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> Sound:
    """Filter by a magnitude response over frequencies in Hz (at least 20)."""
    spectrum = np.fft.rfft(noise)
    frequencies = np.maximum(np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE), 20.0)
    return np.fft.irfft(spectrum * response(frequencies), len(noise)).astype(np.float32)


def _unit(sound: npt.NDArray[np.floating]) -> Sound:
    """With a standard deviation of 1."""
    scaled: Sound = (sound / (sound.std() + 1e-9)).astype(np.float32)
    return scaled


def _noise(samples: int, generator: Generator) -> Sound:
    return generator.standard_normal(samples, dtype=np.float32)


def _band(low: float, high: float) -> Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    return lambda f: 1 / np.sqrt(1 + (low / f) ** 6) / np.sqrt(1 + (f / high) ** 6)


def _seconds(samples: int) -> npt.NDArray[np.float32]:
    return (np.arange(samples) / SAMPLE_RATE).astype(np.float32)


def _wave(samples: int, hertz: float, phase: float, power: float = 1.0) -> Sound:
    """Between 0 and 1."""
    wave = (0.5 + 0.5 * np.sin(2 * np.pi * hertz * _seconds(samples) + phase)) ** power
    return np.asarray(wave, np.float32)


def _street(samples: int, rates: Rates, generator: Generator) -> Sound:
    rumble = coloured(_noise(samples, generator), lambda f: (100 / f) ** 0.8)
    cars = coloured(_noise(samples, generator), _band(300, 2500)) * _wave(samples, 0.55 * rates.slow, rates.phase, 4)
    return np.asarray(_unit(rumble) + 3 * _unit(cars), np.float32)


def _forest(samples: int, rates: Rates, generator: Generator) -> Sound:
    leaves = coloured(_noise(samples, generator), _band(1500, 7000))
    total = _unit(leaves)
    for _ in range(max(1, round(samples / SAMPLE_RATE * 2.2 * rates.slow))):
        start, base = int(generator.integers(0, samples - 9600)), 2600 * rates.pitch * generator.uniform(0.8, 1.3)
        t = _seconds(7200)
        chirp = np.sin(2 * np.pi * (base * t + 60 * np.sin(2 * np.pi * 28 * t))) * np.hanning(7200)
        total[start : start + 7200] += (3.5 * chirp).astype(np.float32)
    return total


def _shore(samples: int, rates: Rates, generator: Generator) -> Sound:
    surf = coloured(_noise(samples, generator), lambda f: (500 / f) ** 0.5)
    return np.asarray(_unit(surf) * (0.15 + _wave(samples, 0.33 * rates.slow, rates.phase, 2)), np.float32)


def _hall(samples: int, rates: Rates, generator: Generator) -> Sound:
    murmur = coloured(_noise(samples, generator), _band(250, 900))
    bursts = np.asarray(np.abs(_noise(samples, generator)) - 0.8, np.float32)
    flutter = coloured(bursts, lambda f: np.where(f < 25, 1.0, 0.0))
    return np.asarray(_unit(murmur) * (1 + 0.6 * _unit(flutter)).clip(0.1, 3), np.float32)


def _rain(samples: int, rates: Rates, generator: Generator) -> Sound:
    drops = np.zeros(samples, np.float32)
    where = generator.integers(0, samples, round(samples / SAMPLE_RATE * 260 * rates.slow))
    drops[where] = generator.exponential(1.0, len(where)).astype(np.float32)
    pattering = coloured(drops, _band(800, 9000))
    hiss = coloured(_noise(samples, generator), _band(2000, 12000))
    return np.asarray(_unit(pattering) + 0.35 * _unit(hiss), np.float32)


def _workshop(samples: int, rates: Rates, generator: Generator) -> Sound:
    machine = coloured(_noise(samples, generator), _band(400, 4000)) * _wave(samples, 5.5 * rates.slow, rates.phase, 3)
    hum = sum(np.sin(2 * np.pi * 100 * rates.pitch * k * _seconds(samples)) / k for k in (1, 2, 3, 5))
    return np.asarray(_unit(machine) + 0.5 * np.asarray(hum), np.float32)


def _decay(seconds: float, half_life: float) -> Sound:
    return (0.5 ** (_seconds(round(seconds * SAMPLE_RATE)) / half_life)).astype(np.float32)


def _bell(generator: Generator) -> Sound:
    t, base = _seconds(SAMPLE_RATE), float(generator.uniform(700, 1100))
    tones = sum(np.sin(2 * np.pi * base * r * t) / (i + 1) for i, r in enumerate((1, 2.76, 5.4, 8.9)))
    return (np.asarray(tones) * _decay(1.0, 0.18)).astype(np.float32)


def _knock(generator: Generator) -> Sound:
    sound = np.zeros(round(0.75 * SAMPLE_RATE), np.float32)
    base = float(generator.uniform(140, 240))
    hit = np.sin(2 * np.pi * base * _seconds(4800)) * _decay(0.1, 0.012) * 2
    for start in np.cumsum([0.0, *generator.uniform(0.15, 0.22, 2)]):
        sound[round(start * SAMPLE_RATE) :][:4800] += hit
    return sound


def _bark(generator: Generator) -> Sound:
    sound = np.zeros(round(0.7 * SAMPLE_RATE), np.float32)
    base = float(generator.uniform(320, 520))
    t = _seconds(9600)
    sweep = base * (t + 0.9 * t * np.exp(-t * 14))
    voice = np.sign(np.sin(2 * np.pi * sweep)) * np.hanning(9600) ** 0.7
    rough = voice + 0.5 * generator.standard_normal(9600) * np.hanning(9600)
    for start in (0.0, float(generator.uniform(0.3, 0.42))):
        sound[round(start * SAMPLE_RATE) :][:9600] += coloured(rough.astype(np.float32), _band(300, 2200))
    return sound


def _horn(generator: Generator) -> Sound:
    t, base = _seconds(round(0.8 * SAMPLE_RATE)), float(generator.uniform(280, 420))
    tones = sum(np.sin(2 * np.pi * base * r * k * t) / k for r in (1, 1.26) for k in (1, 2, 3, 4))
    edge = np.minimum(1, np.minimum(t, t[::-1]) / 0.03)
    return (0.6 * np.asarray(tones) * edge).astype(np.float32)


def _glass(generator: Generator) -> Sound:
    sound = coloured(_noise(round(0.8 * SAMPLE_RATE), generator), _band(4000, 15000)) * _decay(0.8, 0.05) * 1.5
    t = _seconds(len(sound))
    for _ in range(9):
        delay, base = float(generator.uniform(0, 0.35)), float(generator.uniform(3000, 9000))
        later = np.maximum(t - delay, 0)
        sound += ((t >= delay) * 0.5 * np.sin(2 * np.pi * base * later) * 0.5 ** (later / 0.03)).astype(np.float32)
    return sound


PLACE_SOUNDS: dict[str, Callable[[int, Rates, Generator], Sound]] = {
    "street": _street,
    "forest": _forest,
    "shore": _shore,
    "hall": _hall,
    "rain": _rain,
    "workshop": _workshop,
}
EVENT_SOUNDS: dict[str, Callable[[Generator], Sound]] = {
    "bell": _bell,
    "knock": _knock,
    "bark": _bark,
    "horn": _horn,
    "glass": _glass,
}
