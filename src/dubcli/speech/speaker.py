"""A speaker: chooses the engine by language and gives every line at one rate, below full scale, in the room it has."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dubcli.core.atomic import atomic_write
from dubcli.errors import UserError
from dubcli.media.resample import resampled
from dubcli.speech.engines import NORMAL, SAMPLE_RATE, Sound, SpeechEngine, Voice, default_engines

PEAK = 0.9
KEPT_IN_MEMORY = 500
MAX_SPEED_UP = 1.7


class Speaker:
    """Chooses the engine by language, brings sound to 48 kHz and below full scale, keeps every line it has spoken.

    ``folder``: where lines are kept as ``.npy`` between runs and shared by processes. The last ones are in memory.
    """

    def __init__(self, engines: Sequence[SpeechEngine] | None = None, folder: Path | None = None) -> None:
        self.engines = list(engines) if engines is not None else default_engines()
        self.folder = folder
        self._spoken: dict[str, Sound] = {}

    def engine(self, language: str) -> SpeechEngine:
        """The first engine that speaks ``language``. Raises UserError when there is none."""
        for engine in self.engines:
            if language in engine.languages:
                return engine
        known = sorted({language for engine in self.engines for language in engine.languages})
        raise UserError(f"no speech engine speaks {language!r}; those installed speak {', '.join(known)}")

    def say(self, text: str, language: str, voice: Voice = NORMAL) -> Sound:
        """(samples,) float32 mono at 48 kHz, silence at both ends cut away, peak at most 0.9."""
        engine = self.engine(language)
        key = hashlib.sha256(repr((engine.name, language, text, voice)).encode()).hexdigest()[:24]
        if key not in self._spoken:
            kept = self._kept(key)
            self._spoken[key] = self._speak(engine, text, language, voice, key) if kept is None else kept
        while len(self._spoken) > KEPT_IN_MEMORY:
            del self._spoken[next(iter(self._spoken))]
        return self._spoken[key]

    def _speak(self, engine: SpeechEngine, text: str, language: str, voice: Voice, key: str) -> Sound:
        samples, rate = engine.say(text, language, voice)
        sound = tame(trim(to_48k(samples, rate)))
        if self.folder is not None:
            with atomic_write(self.folder / f"{key}.npy") as file:
                np.save(file, sound, allow_pickle=False)
        return sound

    def _kept(self, key: str) -> Sound | None:
        if self.folder is None or not (file := self.folder / f"{key}.npy").exists():
            return None
        sound: Sound = np.load(file, allow_pickle=False)
        return sound


def to_48k(samples: Sound, rate: int) -> Sound:
    """(samples,) at ``rate`` -> 48 kHz."""
    sound: Sound = resampled(samples[None].astype(np.float32), rate, SAMPLE_RATE)[0]
    return sound


def trim(samples: Sound, threshold: float = 0.004) -> Sound:
    """Cut what is quieter than ``threshold`` at both ends, leaving 20 ms."""
    loud = np.flatnonzero(np.abs(samples) > threshold)
    if loud.size == 0:
        return samples[:0]
    margin = SAMPLE_RATE // 50
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]


def tame(samples: Sound) -> Sound:
    """Scale down a sound whose peak is above 0.9: synthesisers can pass full scale, which coders would clip."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples if peak <= PEAK else samples * np.float32(PEAK / peak)


def fitted(text: str, language: str, room_seconds: float, speaker: Speaker, voice: Voice = NORMAL) -> Sound:
    """A line spoken within its room: faster where the language needs longer, as dubbing actors do; cut at last."""
    sound = speaker.say(text, language, voice)
    room = int(room_seconds * SAMPLE_RATE)
    if len(sound) > room:
        # a coarse grid of rates, so that a line is not synthesised anew for every few milliseconds of room
        factor = min(MAX_SPEED_UP, np.ceil(len(sound) / room * 10) / 10)
        faster = Voice(speed=round(voice.speed * float(factor), 3), pitch=voice.pitch, which=voice.which)
        sound = speaker.say(text, language, faster)
    if len(sound) > room:
        sound = sound[:room].copy()
        fade = min(960, len(sound))
        sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound
