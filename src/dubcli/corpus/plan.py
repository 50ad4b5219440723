"""What happens in a film: its scenes, their latent factors, and who says which line when. Pictures and sounds obey it.

Every choice is drawn from a generator keyed by (seed, film, part), so that a film does not depend on the others and
more films can be added without changing the first ones.
"""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, replace
from importlib import resources

import numpy as np

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.corpus.config import CorpusConfig
from dubcli.speech.engines import Voice

PLACES = ("street", "forest", "shore", "hall", "rain", "workshop")
EVENTS = ("none", "bell", "knock", "bark", "horn", "glass")
MOODS = {
    "calm": Voice(speed=1.0, pitch=1.0),
    "excited": Voice(speed=1.25, pitch=1.28),
    "sad": Voice(speed=0.82, pitch=0.84),
}
MAX_SPEAKERS = 3
WORDS = 8  # lines that the probe of words tells apart


@dataclass(frozen=True, kw_only=True)
class Line:
    """One spoken line: row ``text`` of the table of lines, by person ``who``, from ``start_seconds`` of the film."""

    text: int
    who: int
    start_seconds: float
    room_seconds: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Clips [first, stop) of the film with the same place, event, mood and number of speakers."""

    first: int
    stop: int
    place: str
    event: str
    mood: str
    speakers: int
    event_seconds: tuple[float, ...]
    lines: tuple[Line, ...]

    @property
    def start_seconds(self) -> float:
        """Where the scene begins on the film's clock."""
        return float(self.first * CLIP_SECONDS)

    @property
    def stop_seconds(self) -> float:
        """Where it ends."""
        return float(self.stop * CLIP_SECONDS)


@dataclass(frozen=True, kw_only=True)
class FilmPlan:
    """A film before it has pictures and sounds. ``pitches``: of its people's voices, the same in every language."""

    name: str
    key: tuple[int, int]
    n_clips: int
    scenes: tuple[Scene, ...]
    pitches: tuple[float, ...]

    def scene_of(self, clip: int) -> Scene:
        """The scene that clip belongs to."""
        return next(scene for scene in self.scenes if scene.first <= clip < scene.stop)

    def generator(self, *part: int) -> np.random.Generator:
        """A generator for one part of this film's making."""
        return np.random.default_rng([*self.key, *part])


@functools.cache
def lines() -> list[dict[str, str]]:
    """The table of lines: one row per line, one column per language."""
    text = (resources.files("dubcli.corpus") / "lines.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def plan_film(config: CorpusConfig, index: int, *, heldout: bool = False) -> FilmPlan:
    """Film number ``index``; held-out films are drawn from other keys and named apart."""
    key = (config.seed, (1_000_000 if heldout else 0) + index)
    generator = np.random.default_rng([*key, 0])
    scenes: list[Scene] = []
    clip = 0
    while clip < config.clips:
        drawn = int(generator.integers(2, 5))
        stop = config.clips if config.one_scene and not heldout else min(clip + drawn, config.clips)
        scenes.append(_scene(generator, clip, stop))
        clip = stop
    pitches = tuple(float(p) for p in generator.permutation(np.array([0.86, 1.0, 1.16]))[:MAX_SPEAKERS])
    name = f"{'heldout' if heldout else 'film'}-{index + 1:03d}"
    return FilmPlan(name=name, key=key, n_clips=config.clips, scenes=tuple(scenes), pitches=pitches)


def _scene(generator: np.random.Generator, first: int, stop: int) -> Scene:
    event = str(generator.choice(EVENTS))
    speakers = int(generator.integers(0, MAX_SPEAKERS + 1))
    times: list[float] = []
    spoken: list[Line] = []
    for clip in range(first, stop):
        # every clip of the scene shows all its factors, so that the label of a clip is true of the clip
        start = clip * CLIP_SECONDS
        if event != "none":
            times.append(start + float(generator.uniform(0.2, CLIP_SECONDS - 1.2)))
        for who in range(speakers):
            offset = float(generator.uniform(0.05, 0.35)) + 0.15 * who
            text = int(generator.integers(len(lines())))
            room = CLIP_SECONDS - offset - 0.05
            spoken.append(Line(text=text, who=who, start_seconds=start + offset, room_seconds=room))
    mood = str(generator.choice(list(MOODS))) if speakers else "none"
    return Scene(
        first=first,
        stop=stop,
        place=str(generator.choice(PLACES)),
        event=event,
        mood=mood,
        speakers=speakers,
        event_seconds=tuple(times),
        lines=tuple(spoken),
    )


def words_plan(plan: FilmPlan) -> FilmPlan:
    """The same film with one person saying one of the first eight lines in every clip: for the probe of words."""
    scenes = []
    for scene in plan.scenes:
        spoken = tuple(
            Line(text=(plan.key[1] + clip) % WORDS, who=0, start_seconds=clip * 3 + 0.15, room_seconds=2.8)
            for clip in range(scene.first, scene.stop)
        )
        scenes.append(replace(scene, speakers=1, mood="calm", lines=spoken))
    return replace(plan, scenes=tuple(scenes))
