"""Speech engines: text in, mono sound at 48 kHz out. Any object with ``name``, ``languages`` and ``say`` will do."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dubcli.core import plugins
from dubcli.core.atomic import atomic_write
from dubcli.demo.pico import PicoProcess
from dubcli.errors import UserError

Sound = npt.NDArray[np.float32]
SAMPLE_RATE = 48000
PEAK = 0.9
KEPT_IN_MEMORY = 500
_PICO_VOICES = {"en": ("en-US", "en-GB"), "es": ("es-ES",), "fr": ("fr-FR",), "de": ("de-DE",), "it": ("it-IT",)}


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How a line is spoken: ``speed`` 1 is normal, ``pitch`` 1 is the voice's own, ``which`` picks among voices."""

    speed: float = 1.0
    pitch: float = 1.0
    which: int = 0


NORMAL = Voice()


class Engine(Protocol):
    """A speech synthesiser."""

    name: str
    languages: tuple[str, ...]

    def say(self, text: str, language: str, voice: Voice) -> tuple[Sound, int]:
        """(samples,) mono and its sample rate. Raises UserError when it cannot speak."""


class PicoEngine:
    """SVOX Pico through py-nanotts: 16 kHz, 0.01 x real time."""

    name = "pico"
    languages: tuple[str, ...] = ("en", "es", "fr", "de", "it")

    def __init__(self) -> None:
        if importlib.util.find_spec("py_nanotts") is None:
            raise _missing("py-nanotts")
        self._process = PicoProcess()

    def say(self, text: str, language: str, voice: Voice) -> tuple[Sound, int]:
        """16 kHz."""
        names = _PICO_VOICES[language]
        name = names[voice.which % len(names)]
        # at volume 1 the engine clips
        pcm = self._process.speak(text=text, voice=name, speed=voice.speed, pitch=voice.pitch, volume=0.4)
        return (np.frombuffer(pcm, dtype="<i2") / 32768).astype(np.float32), 16000


class OpenJTalkEngine:
    """Open JTalk through pyopenjtalk-plus: Japanese, 48 kHz, 0.06 x real time; the voice is in the wheel."""

    name = "openjtalk"
    languages: tuple[str, ...] = ("ja",)

    def __init__(self) -> None:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it greets with a warning about an optional part
                import pyopenjtalk
        except ImportError:
            raise _missing("pyopenjtalk-plus") from None
        self._module: Any = pyopenjtalk

    def say(self, text: str, language: str, voice: Voice) -> tuple[Sound, int]:
        """48 kHz; the engine's numbers are 16-bit ones and can pass full scale."""
        samples, rate = self._module.tts(text, speed=voice.speed, half_tone=12 * float(np.log2(voice.pitch)))
        return (np.asarray(samples) / 32768).astype(np.float32), int(rate)


def default_engines() -> list[Engine]:
    """Pico and Open JTalk. Raises UserError when the extra is not installed."""
    return [PicoEngine(), OpenJTalkEngine()]


def named_engines(spec: str) -> list[Engine]:
    """What calling the plug-in ``spec`` gives (one engine or several), before the default ones installed.

    ``spec``: MODULE:NAME or the name of an entry point of ``dubcli.speech``. Raises UserError where there is none.
    """
    made = plugins.load("dubcli.speech", spec, asked="--speech-engine")()
    engines: list[Engine] = list(made) if isinstance(made, (list, tuple)) else [made]
    with contextlib.suppress(UserError):
        engines += default_engines()
    return engines


def _missing(package: str) -> UserError:
    return UserError(f"{package} is not installed; install the demo's speech with: pip install 'dubcli[demo]'")


class Speaker:
    """Chooses the engine by language, brings sound to 48 kHz and below full scale, keeps every line it has spoken.

    ``folder``: where lines are kept as ``.npy`` between runs and shared by processes. The last ones are in memory.
    """

    def __init__(self, engines: Sequence[Engine] | None = None, folder: Path | None = None) -> None:
        self.engines = list(engines) if engines is not None else default_engines()
        self.folder = folder
        self._spoken: dict[str, Sound] = {}

    def engine(self, language: str) -> Engine:
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

    def _speak(self, engine: Engine, text: str, language: str, voice: Voice, key: str) -> Sound:
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
    """(samples,) at ``rate`` -> 48 kHz, band-limited: its spectrum padded or cut (lines begin and end in silence)."""
    if rate == SAMPLE_RATE or samples.size == 0:
        return samples.astype(np.float32)
    length = round(len(samples) * SAMPLE_RATE / rate)
    spectrum = np.fft.rfft(samples)
    kept = min(len(spectrum), length // 2 + 1)
    sound: Sound = (np.fft.irfft(spectrum[:kept], length) * (length / len(samples))).astype(np.float32)
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
