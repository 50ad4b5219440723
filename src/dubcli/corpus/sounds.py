"""The background: what places and events sound like, in stereo at 48 kHz.

A place is known by how its noise moves and by nothing else: five bands of noise, the two lower ones in one of four
rhythms and the three upper ones in another. Levels of bands, tilt, depth and form of the rhythms are drawn per scene,
so that an average spectrum says nothing of the place. Events are tones whose pitch and level take a course; where they
lie in the spectrum is drawn each time.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.corpus.plan import FilmPlan
from dubcli.media.resample import resampled

SAMPLE_RATE = 48000
CLIP_SAMPLES = CLIP_SECONDS * SAMPLE_RATE
Sound = npt.NDArray[np.float32]
Generator = np.random.Generator

BED_RMS = 0.05
EVENT_DB = 18.0  # over the background's nominal level
_EDGES = (60.0, 250.0, 900.0, 3000.0, 7000.0, 14000.0)
_HERTZ = (0.9, 1.7, 3.2, 6.0)
_TABLE_SECONDS = 32
_CONTROL_HERTZ = 750
_BLOCK = SAMPLE_RATE // _CONTROL_HERTZ
EVENT_SECONDS = 0.9


def scene_spans(plan: FilmPlan) -> list[tuple[int, int]]:
    """[first, stop) of each scene's clips."""
    scenes = [clip.scene for clip in plan.clips]
    starts = [number for number in range(len(scenes)) if number == 0 or scenes[number] != scenes[number - 1]]
    return list(zip(starts, [*starts[1:], len(scenes)], strict=True))


def place_sound(place: int, samples: int, generator: Generator) -> Sound:
    """(2, samples). ``samples``: whole blocks of 64."""
    low, high = divmod(place, 4)
    hertz = np.array([_HERTZ[low]] * 2 + [_HERTZ[high]] * 3) * generator.uniform(0.9, 1.11, 2)[[0, 0, 1, 1, 1]]
    # the three upper bands move together, as do the two lower: a rhythm is heard wherever speech leaves a gap
    phases = generator.uniform(0, 1, 2)[[0, 0, 1, 1, 1]] + generator.normal(0, 0.04, 5)
    power = generator.uniform(1.0, 3.0, 2)[[0, 0, 1, 1, 1]]
    depth = generator.uniform(0.7, 1.0)
    tilt = generator.uniform(-4.0, 4.0) * np.linspace(-1, 1, 5) + generator.uniform(-3.0, 3.0, 5)
    time = np.arange(samples // _BLOCK + 1) / _CONTROL_HERTZ
    wander = 1 + 0.06 * np.sin(2 * np.pi * generator.uniform(0.05, 0.15) * time + generator.uniform(0, 6))
    cycles = hertz[:, None] * np.cumsum(wander)[None] / _CONTROL_HERTZ + phases[:, None]
    wave = (0.5 + 0.5 * np.cos(2 * np.pi * cycles)) ** power[:, None]
    envelopes = (1 - depth + depth * wave) / np.sqrt(np.mean(wave**2, axis=1, keepdims=True))
    envelopes *= 10 ** (tilt[:, None] / 20)
    sound = np.zeros((2, samples), np.float32)
    for band, table in enumerate(noise_bands(_EDGES)):
        gain = _at_audio_rate(envelopes[band], samples)
        for channel in range(2):
            sound[channel] += gain * piece(table, samples, generator)
    return at_level(sound, generator)


def at_level(sound: Sound, generator: Generator) -> Sound:
    """A place's sound at its level, which is drawn."""
    level = BED_RMS * 10 ** (generator.uniform(-4, 4) / 20)
    return np.asarray(sound * (level / (np.sqrt(np.mean(sound**2)) + 1e-9)), np.float32)


def loudest(recording: Sound) -> Sound:
    """An event's time of a recording (samples,) from its loudest place on, RMS 1."""
    samples = round(EVENT_SECONDS * SAMPLE_RATE)
    start = max(0, min(int(np.abs(recording).argmax()) - samples // 4, len(recording) - samples))
    cut = recording[start : start + samples]
    return np.asarray(cut / (np.sqrt(np.mean(cut**2)) + 1e-9), np.float32)


def lay_event(clip_sound: Sound, sound: Sound, at_seconds: float, side: float, level_db: float) -> None:
    """Add an event's (samples,), RMS 1, to a clip's (2, samples). ``side``: 0 is left, 1 right."""
    first = round(at_seconds * SAMPLE_RATE)
    part = sound[: clip_sound.shape[1] - first] * np.float32(BED_RMS * 10 ** ((EVENT_DB + level_db) / 20))
    for channel, gain in enumerate((2 * (1 - side), 2 * side)):
        clip_sound[channel, first : first + len(part)] += np.float32(gain) * part


def event_sound(event: int, base_hertz: float) -> Sound:
    """(samples,) with an RMS of 1. ``event``: one of four courses of pitch in one of three courses of level."""
    contour, level = divmod(event, 3)
    time = np.arange(round(EVENT_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE / EVENT_SECONDS
    up = 3 * time - 1.5
    octaves = (up, -up, np.zeros_like(time), 0.8 * np.sign(np.sin(2 * np.pi * 2 * time)))[contour]
    hertz = base_hertz * 2.0**octaves
    phase = 2 * np.pi * np.cumsum(hertz) / SAMPLE_RATE
    tone = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.3 * np.sin(3 * phase)
    edge = np.minimum(1, np.minimum(time, time[::-1]) / 0.04)
    pulses = np.clip(1.6 * np.sin(2 * np.pi * 4 * time), 0, 1)
    sound = tone * edge * (1.0, pulses, 0.5 ** (time / 0.12))[level]
    return np.asarray(sound / np.sqrt(np.mean(sound**2)), np.float32)


def speech_band_rms() -> float:
    """The background's nominal RMS between 300 and 3400 Hz, at which speech of 0 dB is."""
    return BED_RMS * float(np.sqrt(2 / 5))  # about two of five bands of equal power


@functools.cache
def noise_bands(edges: tuple[float, ...]) -> list[Sound]:
    """Noise of each band between edges in Hz, RMS 1, the same for every film: pieces are taken from anywhere."""
    samples = _TABLE_SECONDS * SAMPLE_RATE
    spectrum = np.fft.rfft(np.random.default_rng(7).standard_normal(samples))
    frequencies = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE)
    bands = []
    for low, high in itertools.pairwise(edges):
        noise = np.fft.irfft(spectrum * ((frequencies >= low) & (frequencies < high)), samples)
        bands.append((noise / noise.std()).astype(np.float32))
    return bands


def piece(table: Sound, samples: int, generator: Generator, *, both_ways: bool = True) -> Sound:
    """``samples`` of a sound from a drawn place on, round and round; noise forwards or backwards."""
    start, backwards = int(generator.integers(len(table))), bool(generator.random() < 0.5)
    taken = np.take(table, np.arange(start, start + samples), mode="wrap")
    return taken[::-1] if backwards and both_ways else taken


def played(sound: Sound, rate: int, faster: float) -> Sound:
    """(samples,) at ``rate`` -> 48 kHz, ``faster`` than it was (pitch, formants and speed), with an RMS of 1."""
    heard = resampled(sound[None], round(rate * faster), SAMPLE_RATE)[0]
    level = np.float32(np.sqrt(np.mean(heard**2)) + 1e-9) if len(heard) else np.float32(1)
    return np.asarray(heard / level, np.float32)


def _at_audio_rate(control: npt.NDArray[np.float64], samples: int) -> Sound:
    """(samples // 64 + 1,) -> (samples,), straight between."""
    start, rise = control[:-1, None], np.diff(control)[:, None]
    ramp = np.arange(_BLOCK) / _BLOCK
    return (start + rise * ramp).astype(np.float32).reshape(-1)[:samples]
