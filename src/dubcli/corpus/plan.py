"""What happens in a film: where it is, what happens, who is seen, and who says what in which language.

Every choice is drawn from a generator keyed by (seed, film, part), so that a film does not depend on the others and
more films can be added without changing the first ones.

Factors are numbers. A place is a pair of rhythms, an event a pair of contours, a voice a kind of speaker and a breath:
each class shares its parts with others, so that no single cue tells it.
"""

from __future__ import annotations

import csv
import functools
import zlib
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.corpus.config import CorpusConfig

PLACES = 16  # of 4 rhythms below times 4 above, and 4 directions of 4 patterns
EVENTS = 12  # of 4 contours of pitch times 3 of level, and 4 outlines times 3 fillings
VOICES = 16  # of 4 kinds of speakers times 4 breaths, and 4 heads times 4 bodies
MOODS = ("calm", "excited", "sad")
MOOD_SPEED = {"calm": 1.0, "excited": 1.12, "sad": 0.9}
MAX_SPEAKERS = 2
WORDS = 8  # lines that open a clip, which the probe of words tells apart
CAST = 4
_SCENE_CLIPS = (4, 8)
_People = tuple[tuple[int, ...], tuple[int, ...], bool]
_ROLES = {
    name: number
    for number, name in enumerate(("plan", "cast", "dub", "bed", "event", "picture", "track", "actor", "hiss"))
}


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """Three seconds. ``event_seconds``: when its event begins, once or twice, from the clip's start.

    ``looks``: the people in the picture, who speak in this order. ``voices``: theirs in the original; where not
    ``linked``, those of others, who are out of the picture. ``lines``: rows of the table of lines, one said after the
    other, the first by the first person and the second by the last.
    """

    scene: int
    place: int
    event: int
    event_seconds: tuple[float, ...]
    mood: int
    looks: tuple[int, ...]
    voices: tuple[int, ...]
    linked: bool
    lines: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class FilmPlan:
    """A film before it has pictures and sounds."""

    name: str
    key: tuple[int, int]
    clips: tuple[ClipPlan, ...]

    @property
    def n_clips(self) -> int:
        """Whole clips."""
        return len(self.clips)

    def generator(self, role: str, *part: int) -> np.random.Generator:
        """A generator for one part of this film's making."""
        return np.random.default_rng([*self.key, _ROLES[role], *part])


def plan_film(
    config: CorpusConfig,
    index: int,
    sizes: tuple[int, int] = (PLACES, EVENTS),
    *,
    heldout: bool = False,
    lines: int = 16,
) -> FilmPlan:
    """Film number ``index``; held-out films are drawn from other keys and named apart.

    ``sizes``: how many places and events there are, ``lines``: how many lines.

    Within a scene the place and the two people at hand stay; each clip has its own event, speaker, mood and lines.
    """
    key = (config.seed, (1_000_000 if heldout else 0) + index)
    generator = np.random.default_rng([*key, _ROLES["plan"]])
    name = f"{'heldout' if heldout else 'film'}-{index + 1:03d}"
    cast = generator.permutation(VOICES)[:CAST]
    clips: list[ClipPlan] = []
    scene = 0
    while len(clips) < config.clips:
        place = int(generator.integers(sizes[0]))
        people = generator.permutation(cast)[:MAX_SPEAKERS]
        for _ in range(min(int(generator.integers(*_SCENE_CLIPS)), config.clips - len(clips))):
            drawn = _people(generator, config.link, people)
            clips.append(_clip(generator, scene, place, sizes[1], lines, drawn))
        scene += 1
    return FilmPlan(name=name, key=key, clips=tuple(clips))


def _people(generator: np.random.Generator, link: float, people: npt.NDArray[np.int64]) -> _People:
    """Who is seen and who is heard: one or two of the scene's people, or others in their stead."""
    count = 1 + int(generator.random() < 0.35)
    looks = tuple(int(look) for look in generator.permutation(people)[:count])
    linked = bool(generator.random() < link)
    others = tuple(int(voice) for voice in generator.permutation(np.setdiff1d(np.arange(VOICES), looks))[:count])
    return looks, (looks if linked else others), linked


def _clip(generator: np.random.Generator, scene: int, place: int, events: int, lines: int, people: _People) -> ClipPlan:
    first, twice = float(generator.uniform(0.1, 0.8)), bool(generator.random() < 0.5)
    again = (first + float(generator.uniform(1.0, 1.2)),) if twice else ()
    looks, voices, linked = people
    return ClipPlan(
        scene=scene,
        place=place,
        event=int(generator.integers(events)),
        event_seconds=(first, *again),
        mood=int(generator.integers(len(MOODS))),
        looks=looks,
        voices=voices,
        linked=linked,
        lines=(int(generator.integers(min(WORDS, lines))), int(generator.integers(lines))),
    )


def cast_of(plan: FilmPlan, config: CorpusConfig, language: str) -> dict[int, int]:
    """{a voice of the original: the voice that speaks for it in this film's version in ``language``}."""
    voices = range(VOICES)
    if config.casting == "alike" or language == config.languages[0] or config.dubs == "same":
        return {voice: voice for voice in voices}
    generator = plan.generator("cast", language_key(language))
    return {voice: int(generator.choice([other for other in voices if other != voice])) for voice in voices}


def language_key(language: str) -> int:
    """A number that depends on the language alone, not on its place among the others."""
    return zlib.crc32(language.encode())


@functools.cache
def spoken_lines() -> list[dict[str, str]]:
    """The table of lines: one row per line, one column per language."""
    text = (resources.files("dubcli.corpus") / "lines.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


def film_seconds(plan: FilmPlan) -> int:
    """Length of the film."""
    return plan.n_clips * CLIP_SECONDS
