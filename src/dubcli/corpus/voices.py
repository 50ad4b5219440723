"""The speech of one language version: sixteen voices, made from a synthesiser's or recorded lines, in mono at 48 kHz.

A voice is a kind of speaker (pitch, vocal tract and rate, as of men, women and children) and a breath: noise of one of
four bands that comes and goes with the voice. Played faster by the tract's factor, a line has shorter formants; the
synthesiser was asked for a lower pitch and a slower speed by the same factor, so that these come out as wanted. The
actor who has a voice differs by film and language, by a few percent.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dubcli.core.atomic import atomic_write
from dubcli.corpus.config import CorpusConfig
from dubcli.corpus.plan import MOOD_SPEED, MOODS, VOICES, FilmPlan, cast_of, language_key, spoken_lines
from dubcli.corpus.recordings import Prompts
from dubcli.corpus.sounds import CLIP_SAMPLES, SAMPLE_RATE, noise_bands, piece, played, speech_band_rms
from dubcli.media.resample import resampled
from dubcli.speech.engines import Voice, named_engines
from dubcli.speech.speaker import Speaker

Sound = npt.NDArray[np.float32]
# of each kind of speaker: the shorter the vocal tract, the higher and faster
PITCHES_HERTZ = (90.0, 145.0, 235.0, 380.0)
TRACTS = (0.68, 0.87, 1.12, 1.44)
RATES = (0.84, 0.96, 1.1, 1.26)
BREATHS_HERTZ = (2500.0, 4200.0, 6800.0, 10500.0, 16000.0)  # edges of four bands
MOOD_PITCH = {"calm": 1.0, "excited": 1.08, "sad": 0.93}
MOOD_DB = {"calm": 0.0, "excited": 3.0, "sad": -3.0}
# medians of what the built-in synthesisers speak at, measured on the lines: a voice is as high in every language
_OWN_HERTZ = {"en": 170.0, "es": 207.0, "fr": 193.0, "de": 168.0, "it": 193.0, "ja": 320.0}
_OTHER_HERTZ = 190.0
_ASKABLE = (0.4, 2.0)  # of a synthesiser's own pitch
BANK_RATE = 24000
LINES = 16  # of the table: all of them would be spoken by all voices in all moods, which takes minutes
FIRST_SECONDS = 1.7  # room of the first line where another person answers
_FADE = 960
_TILT = 0.3
_ACTORS = 0.03
_BREATH_DB = -6.0
_HISS_DB = (-9.0, -1.0)  # of a microphone, against a breath
_STEP, _SMOOTH = 48, 15  # the loudness of a voice: every millisecond, of 15


class Lines(Protocol):
    """What can be said: ``count`` lines in each language."""

    count: int

    def text(self, line: int, language: str) -> str:
        """The words."""

    def say(self, line: int, language: str, kind: int, mood: int, faster: float) -> Sound:
        """(samples,) at 48 kHz, RMS 1, by a kind of speaker (0 to 3), of whom this one is ``faster`` and higher."""


class SpokenLines:
    """Lines by speech synthesisers, each once spoken and kept in ``folder`` for all processes and films."""

    def __init__(self, config: CorpusConfig, folder: Path) -> None:
        self.folder, self.count = folder, LINES
        self._speaker = Speaker(named_engines(config.engine))
        for language in config.languages:
            self._speaker.engine(language)  # says at once what is not installed
        self._bank = functools.lru_cache(maxsize=4096)(self._load)

    def text(self, line: int, language: str) -> str:
        """Of the built-in table."""
        return spoken_lines()[line][language]

    def say(self, line: int, language: str, kind: int, mood: int, faster: float) -> Sound:
        """From the bank, with the speaker's vocal tract."""
        samples = self._bank(line, language, kind, mood)
        return played(samples.astype(np.float32), BANK_RATE, TRACTS[kind] * faster)

    def _load(self, line: int, language: str, kind: int, mood: int) -> npt.NDArray[np.int16]:
        engine = self._speaker.engine(language).name
        file = self.folder / f"{engine}-{language}" / f"speaker{kind}-{MOODS[mood]}-line{line:02d}.npy"
        if not file.exists():
            with atomic_write(file) as target:
                np.save(target, self._speak(line, language, kind, mood), allow_pickle=False)
        samples: npt.NDArray[np.int16] = np.load(file, allow_pickle=False)
        return samples

    def _speak(self, line: int, language: str, kind: int, mood: int) -> npt.NDArray[np.int16]:
        tract, name = TRACTS[kind], MOODS[mood]
        pitch = PITCHES_HERTZ[kind] * MOOD_PITCH[name] / _OWN_HERTZ.get(language, _OTHER_HERTZ) / tract
        speed = RATES[kind] * MOOD_SPEED[name] / tract
        asked = Voice(speed=round(speed, 3), pitch=round(min(max(pitch, _ASKABLE[0]), _ASKABLE[1]), 3))
        sound = resampled(self._speaker.say(self.text(line, language), language, asked)[None], SAMPLE_RATE, BANK_RATE)
        return np.asarray(np.round(sound[0].clip(-1, 1) * 32767), np.int16)


def lines_of(config: CorpusConfig, folder: Path) -> Lines | None:
    """What this corpus's people say, None where they are silent. Raises UserError where it is not there."""
    if config.speech == "silent":
        return None
    if config.speech == "asterisk":
        return Prompts(Path(config.speech_folder), config.languages)
    return SpokenLines(config, folder)


def speak(plan: FilmPlan, language: str, lines: Lines | None, config: CorpusConfig) -> Sound:
    """(2, samples) of the whole film: the first person of each clip and the second, so that mouths can follow.

    Every clip begins with the first person's line; then the second person, or the first again, says another, until
    the clip ends. When they begin differs by language.
    """
    total = np.zeros((2, plan.n_clips * CLIP_SAMPLES), np.float32)
    if lines is None:
        return total
    actors = cast_of(plan, config, language)
    timing = config.languages[0] if config.dubs == "same" else language
    for number, clip in enumerate(plan.clips):
        generator = plan.generator("dub", language_key(timing), number)
        at = int(generator.uniform(0.05, 0.5) * SAMPLE_RATE)
        gain = speech_band_rms() * 10 ** (
            (config.speech_db + MOOD_DB[MOODS[clip.mood]] + generator.uniform(-1, 1)) / 20
        )
        last, tilt = len(clip.voices) - 1, np.float32(generator.uniform(-_TILT, _TILT))
        spoken = config.languages[0] if config.dubs == "same" else language
        for who, line in zip((0, last), clip.lines, strict=True):
            kind, breath = divmod(actors[clip.voices[who]], len(BREATHS_HERTZ) - 1)
            sound = lines.say(line, spoken, kind, clip.mood, actor(plan, timing, clip.voices[who]))
            sound = _coloured(_breathy(sound, breath, generator), tilt)
            end = CLIP_SAMPLES if who == last else int(FIRST_SECONDS * SAMPLE_RATE)
            sound = _faded(sound[: max(0, end - at)], cut=len(sound) > end - at)
            total[who, number * CLIP_SAMPLES + at :][: len(sound)] += np.float32(gain) * sound
            at += len(sound) + int(generator.uniform(0.1, 0.3) * SAMPLE_RATE)
    return total


def hiss(plan: FilmPlan, language: str, config: CorpusConfig) -> Sound:
    """(1, samples) of the whole film: each clip's microphone, steady noise in one of the breaths' bands.

    On average it sounds like a breath; only that it does not come and go with the voice tells it from one.
    """
    total = np.zeros((1, plan.n_clips * CLIP_SAMPLES), np.float32)
    timing = config.languages[0] if config.dubs == "same" else language
    for number in range(plan.n_clips if config.speech != "silent" else 0):
        generator = plan.generator("hiss", language_key(timing), number)
        bands = noise_bands(BREATHS_HERTZ)
        noise = piece(bands[int(generator.integers(len(bands)))], CLIP_SAMPLES, generator)
        level = speech_band_rms() * 10 ** ((config.speech_db + _BREATH_DB + generator.uniform(*_HISS_DB)) / 20)
        total[0, number * CLIP_SAMPLES :][:CLIP_SAMPLES] = np.float32(level) * noise
    return total


def actor(plan: FilmPlan, language: str, voice: int) -> float:
    """By how much the one who speaks for ``voice`` in this film and language is faster and higher than others."""
    return float(plan.generator("actor", language_key(language), voice).uniform(1 - _ACTORS, 1 + _ACTORS))


def _breathy(sound: Sound, breath: int, generator: np.random.Generator) -> Sound:
    """The voice, RMS 1, with noise of one band that comes and goes as it does."""
    loudness = np.convolve(np.abs(sound[::_STEP]), np.ones(_SMOOTH, np.float32) / _SMOOTH, mode="same")
    envelope = np.repeat(loudness, _STEP)[: len(sound)]
    noise = piece(noise_bands(BREATHS_HERTZ)[breath], len(sound), generator)
    level = 10 ** ((_BREATH_DB + generator.uniform(-2, 2)) / 20)
    return np.asarray(sound + np.float32(level) * envelope * noise, np.float32)


def _coloured(sound: Sound, tilt: np.float32) -> Sound:
    """As another microphone hears it: up to 12 kHz brighter (below 0) or duller, as loud as before."""
    heard = sound.copy()
    heard[2:] += tilt * sound[:-2]
    return np.asarray(heard / (np.sqrt(np.mean(heard**2)) + 1e-9), np.float32) if len(heard) else heard


def _faded(sound: Sound, *, cut: bool) -> Sound:
    fade = min(_FADE, len(sound))
    if cut and fade:
        sound = sound.copy()
        sound[len(sound) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return sound


assert len(TRACTS) * (len(BREATHS_HERTZ) - 1) == VOICES
