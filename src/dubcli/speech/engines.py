"""Speech engines: text in, mono sound at 48 kHz out. Any object with ``name``, ``languages`` and ``say`` will do."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dubcli.core import plugins
from dubcli.errors import UserError
from dubcli.speech.pico import PicoProcess

Sound = npt.NDArray[np.float32]
SAMPLE_RATE = 48000
_PICO_VOICES = {"en": ("en-US", "en-GB"), "es": ("es-ES",), "fr": ("fr-FR",), "de": ("de-DE",), "it": ("it-IT",)}


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How a line is spoken: ``speed`` 1 is normal, ``pitch`` 1 is the voice's own, ``which`` picks among voices."""

    speed: float = 1.0
    pitch: float = 1.0
    which: int = 0


NORMAL = Voice()


class SpeechEngine(Protocol):
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


def default_engines() -> list[SpeechEngine]:
    """Pico and Open JTalk. Raises UserError when the extra is not installed."""
    return [PicoEngine(), OpenJTalkEngine()]


def named_engines(spec: str | None) -> list[SpeechEngine]:
    """What calling the plug-in ``spec`` gives (one engine or several), before the default ones installed.

    ``spec``: MODULE:NAME or the name of an entry point of ``dubcli.speech``; None: the default ones.
    Raises UserError where there is none.
    """
    if spec is None:
        return default_engines()
    made = plugins.load("dubcli.speech", spec, asked="--speech-engine")()
    engines: list[SpeechEngine] = list(made) if isinstance(made, (list, tuple)) else [made]
    with contextlib.suppress(UserError):
        engines += default_engines()
    return engines


def _missing(package: str) -> UserError:
    return UserError(f"{package} is not installed; install the demo's speech with: pip install 'dubcli[demo]'")
