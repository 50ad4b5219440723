"""The speech of one language version: every line of the plan, spoken at its time, in mono."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dubcli.corpus.plan import MOODS, FilmPlan, lines
from dubcli.speech.engines import SAMPLE_RATE, Voice
from dubcli.speech.speaker import Speaker, fitted

LOUDNESS_RMS = 0.05


def speak(plan: FilmPlan, language: str, speaker: Speaker, level_db: float) -> npt.NDArray[np.float32]:
    """(people, samples) of the whole film, so that a mouth can follow its own voice.

    ``level_db``: each line's RMS over the background's nominal one. Moods change rate, pitch and level.
    """
    total = np.zeros((len(plan.pitches), round(plan.n_clips * 3 * SAMPLE_RATE)), np.float32)
    for scene in plan.scenes:
        gain = 10 ** ((level_db + {"excited": 2.0, "sad": -2.0}.get(scene.mood, 0.0)) / 20)
        for line in scene.lines:
            mood = MOODS[scene.mood]
            voice = Voice(speed=mood.speed, pitch=round(mood.pitch * plan.pitches[line.who], 3), which=line.who)
            sound = fitted(lines()[line.text][language], language, line.room_seconds, speaker, voice)
            if sound.size == 0:
                continue
            sound = sound * np.float32(LOUDNESS_RMS * gain / (np.sqrt(np.mean(sound**2)) + 1e-9))
            first = round(line.start_seconds * SAMPLE_RATE)
            total[line.who, first : first + len(sound)] += sound
    return total
