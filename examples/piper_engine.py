"""Neural voices: ``dubav dub FILE --subs es.srt --speech-engine piper_engine:engines`` (with this file on PYTHONPATH).

Needs ``pip install piper-tts`` and voices (one .onnx per language) in the folder that $PIPER_VOICES names, each file
beginning with its language: ``es_ES-....onnx``. Any object with ``name``, ``languages`` and ``say`` will do as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


class PiperEngine:
    name = "piper"

    def __init__(self, folder: Path) -> None:
        self.files = {path.name[:2]: path for path in sorted(folder.glob("*.onnx"))}
        self.languages = tuple(self.files)
        self.voices: dict[str, Any] = {}

    def say(self, text: str, language: str, voice: Any) -> tuple[np.ndarray, int]:
        """(samples,) float32 and the voice's rate; Piper has no pitch, so ``voice.pitch`` is left aside."""
        from piper import PiperVoice, SynthesisConfig

        if language not in self.voices:
            self.voices[language] = PiperVoice.load(self.files[language])
        chunks = list(self.voices[language].synthesize(text, SynthesisConfig(length_scale=1 / voice.speed)))
        return np.concatenate([chunk.audio_float_array for chunk in chunks]), chunks[0].sample_rate


def engines() -> list[PiperEngine]:
    return [PiperEngine(Path(os.environ.get("PIPER_VOICES", ".")))]
