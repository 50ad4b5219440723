"""What a film looks like. Everything is told by its shape; colours, light and sizes are the same in all films.

Nothing but what is told is drawn anew for a scene or a clip (save where things are), so that a network that sees few
films cannot learn their scenes by heart instead: with colours of a scene's own one did.

* the place: broad stripes in one of four directions (its lower rhythm), fine ones in one of four (its upper rhythm)
* a person: one of four heads (its kind of voice) over one of four coats (its breath), whose mouth follows that
  person's voice in the original
* an event: bars across the picture, one to three (its level) in one of four directions (its pitch), while it is heard
* the mood: how much people bob
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.corpus.plan import ClipPlan, FilmPlan
from dubcli.corpus.sounds import SAMPLE_RATE, scene_spans

Picture = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
EVENT_SHOWN_SECONDS = 0.8
_BOB = (0.025, 0.09, 0.006)  # by mood, of the picture's height
_BOB_HERTZ = (1.2, 2.2, 0.6)
_STRIPE_PERIODS = (0.5, 0.15)
_COAT_PERIOD = 0.16
_STRIPES = np.array([[20.0, 50.0, 70.0], [120.0, 150.0, 160.0]], np.float32)
_COAT = np.array([[200.0, 60.0, 50.0], [60.0, 20.0, 40.0]])
_SKIN, _MOUTH, _SIGN = np.array([235.0, 195.0, 165.0]), np.array([30.0, 10.0, 15.0]), np.array([250.0, 250.0, 230.0])


def frames(plan: FilmPlan, mouths: Plane, rate: Fraction, size: tuple[int, int]) -> Iterator[Picture]:
    """Yield (height, width, 3) RGB pictures of the whole film. ``mouths``: (2, pictures) openings from 0 to 1."""
    seconds = np.arange(mouths.shape[1]) / float(rate)
    clip_of = np.minimum((seconds // CLIP_SECONDS).astype(int), plan.n_clips - 1)
    canvas = Canvas(size)
    for first, stop in scene_spans(plan):
        scene = Scene(plan.generator("picture", first))
        for number in range(first, stop):
            shown = np.flatnonzero(clip_of == number)
            generator = plan.generator("picture", first, number)
            yield from _clip_pictures(
                canvas, plan.clips[number], seconds[shown] - number * CLIP_SECONDS, mouths[:, shown], scene, generator
            )


def mouth_openings(plan: FilmPlan, voices: Plane, rate: Fraction, pictures: int) -> Plane:
    """(2, samples) at 48 kHz -> (2, pictures): each person's level over one picture's time, 0 to 1.

    In clips that are not linked somebody else speaks, and mouths stay shut.
    """
    bounds = np.minimum((np.arange(pictures + 1) * SAMPLE_RATE / float(rate)).astype(int), voices.shape[1])
    power = np.concatenate([np.zeros((len(voices), 1)), np.cumsum(voices.astype(np.float64) ** 2, axis=1)], axis=1)
    level = np.sqrt(np.diff(power[:, bounds], axis=1) / np.maximum(np.diff(bounds), 1))
    loud = np.percentile(level[level > 0], 85) if np.any(level > 0) else 1.0
    openings: Plane = np.clip(level / loud, 0, 1).astype(np.float32)
    clip_of = np.minimum((np.arange(pictures) / float(rate) // CLIP_SECONDS).astype(int), plan.n_clips - 1)
    openings[:, ~np.array([clip.linked for clip in plan.clips])[clip_of]] = 0
    return openings


class Canvas:
    """Coordinates of the pixels' centres in units of the picture's height, the origin in the middle."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self.y: Plane = np.asarray((rows + 0.5) / height - 0.5, np.float32)
        self.x: Plane = np.asarray((columns + 0.5 - width / 2) / height, np.float32)
        self.soft = height / 1.5

    def mask(self, distance: Plane) -> Plane:
        """Signed distances (inside negative), in heights -> how much of each pixel is covered."""
        covered: Plane = np.clip(0.5 - distance * self.soft, 0, 1)
        return covered


class Scene:
    """What a scene has of its own, of which nothing can be told: where its stripes lie."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.phases: Plane = generator.uniform(0, 1, 2).astype(np.float32)


def _clip_pictures(
    canvas: Canvas,
    clip: ClipPlan,
    seconds: npt.NDArray[np.float64],
    mouths: Plane,
    scene: Scene,
    generator: np.random.Generator,
) -> Iterator[Picture]:
    people = _positions(len(clip.looks), generator)
    spots = [_spot(generator) for _ in clip.event_seconds]
    signs = [canvas.mask(event_shape(clip.event, canvas.x - np.float32(x), canvas.y - np.float32(y))) for x, y in spots]
    phase = float(generator.uniform(0, 2 * np.pi))
    ground = _STRIPES[0] + place_pattern(clip.place, canvas, scene)[..., None] * (_STRIPES[1] - _STRIPES[0])
    for number, at in enumerate(seconds):
        picture = ground.copy()
        bob = _BOB[clip.mood] * float(np.sin(2 * np.pi * _BOB_HERTZ[clip.mood] * at + phase))
        for who, look in enumerate(clip.looks):
            local: tuple[Plane, Plane] = (canvas.x - np.float32(people[who]), canvas.y - np.float32(bob))
            coat = canvas.mask(body_shape(*local))
            _blend(picture, coat, _COAT[0])
            _blend(picture, coat * canvas.mask(coat_pattern(look, *local)), _COAT[1])
            _blend(picture, canvas.mask(head_shape(look, *local)), _SKIN)
            _blend(picture, canvas.mask(_mouth(float(mouths[who, number]), *local)), _MOUTH)
        for start, covered in zip(clip.event_seconds, signs, strict=True):
            if start <= at < start + EVENT_SHOWN_SECONDS:
                _blend(picture, covered, _SIGN)
        yield picture.clip(0, 255).astype(np.uint8)


def place_pattern(place: int, canvas: Canvas, scene: Scene) -> Plane:
    """(height, width) from 0 to 1: broad stripes in one of four directions and fine ones in one of four, crossing."""
    ground = np.full_like(canvas.x, 0.5)
    for direction, period, phase in zip(divmod(place, 4), _STRIPE_PERIODS, scene.phases, strict=True):
        angle = direction * np.pi / 4
        along = canvas.x * np.float32(np.cos(angle)) + canvas.y * np.float32(np.sin(angle))
        ground = ground + 0.25 * np.clip(2.0 * np.cos(2 * np.pi * (along / period + phase)), -1, 1).astype(np.float32)
    return ground


def head_shape(look: int, x: Plane, y: Plane) -> Plane:
    """Signed distances to a head: round, wide, tall, or a triangle on its tip."""
    y = y + np.float32(0.16)
    kind = look // 4
    if kind == 3:
        return np.asarray(np.maximum(-y - 0.2, 0.89 * np.abs(x) + 0.45 * y - 0.15), np.float32)
    wide, tall = ((0.2, 0.2), (0.34, 0.13), (0.12, 0.3))[kind]
    return np.asarray((np.hypot(x / wide, y / tall) - 1) * min(wide, tall), np.float32)


def coat_pattern(look: int, x: Plane, y: Plane) -> Plane:
    """Signed distances to the dark parts of a coat: none, bars across, bars upright, or squares."""
    kind = look % 4
    across, upright = np.sin(2 * np.pi * y / _COAT_PERIOD), np.sin(2 * np.pi * x / _COAT_PERIOD)
    wave = (np.full_like(x, -1.0), across, upright, across * upright * 1.5)[kind]
    return np.asarray(-wave * _COAT_PERIOD / 6, np.float32)


def body_shape(x: Plane, y: Plane) -> Plane:
    """Signed distances to a body."""
    return np.asarray(np.maximum(np.float32(0.08) - y, np.abs(x) - 0.3), np.float32)


def event_shape(event: int, x: Plane, y: Plane) -> Plane:
    """Signed distances to a sign that crosses the whole picture: one, two or three bars in one of four directions."""
    direction, more = divmod(event, 3)
    angle = direction * np.pi / 4
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    thick, apart = ((0.11, 0.0), (0.05, 0.2), (0.03, 0.15))[more]
    middles = apart * (np.arange(more + 1) - more / 2)
    return np.asarray(np.min([np.abs(along - middle) for middle in middles], axis=0) - thick, np.float32)


def _mouth(opening: float, x: Plane, y: Plane) -> Plane:
    tall = np.float32(0.012 + 0.075 * opening)
    return np.asarray((np.hypot(x / 0.1, (y + 0.1) / tall) - 1) * tall, np.float32)


def _positions(people: int, generator: np.random.Generator) -> tuple[float, ...]:
    if people == 1:
        return (float(generator.uniform(-0.18, 0.18)),)
    middles = generator.permutation(np.array([-0.36, 0.36]))
    return tuple(float(middle + generator.uniform(-0.04, 0.04)) for middle in middles)


def _spot(generator: np.random.Generator) -> tuple[float, float]:
    """About the middle of the picture."""
    return float(generator.uniform(-0.15, 0.15)), float(generator.uniform(-0.15, 0.15))


def _blend(picture: npt.NDArray[np.float32], covered: Plane, colour: npt.NDArray[np.float64]) -> None:
    weight = covered[..., None]
    picture += weight * (colour.astype(np.float32) - picture)
