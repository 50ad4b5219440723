"""A speech engine of one's own, for films dubbed from subtitles: one tone for each letter, in any of three languages.

    dubav dub film.mkv --subs film.es.srt --speech-engine own_engine:Whistle

Run it in this folder, or install the module. Anything that makes an object with ``name``, ``languages`` and ``say``
will do, or a list of such; those that come with the package speak the other languages. examples/piper_engine.py is one
with neural voices.
"""

import numpy as np


class Whistle:
    name = "whistle"
    languages = ("en", "es", "fr")
    rate = 16000

    def say(self, text: str, language: str, voice) -> tuple[np.ndarray, int]:
        """-> (samples,) float32 mono, and its rate in Hz; ``voice`` has ``speed``, ``pitch`` and ``which``."""
        time = np.arange(int(0.08 * self.rate / voice.speed)) / self.rate
        pitches = [(220 + 20 * (ord(letter) % 32)) * voice.pitch for letter in text if letter.isalpha()]
        tones = [0.3 * np.hanning(len(time)) * np.sin(2 * np.pi * pitch * time) for pitch in pitches]
        return np.concatenate([np.zeros(1), *tones]).astype(np.float32), self.rate
