"""What a film looks like. Everything is told by its shape: colours, light and sizes are drawn anew for every scene.

* the place: stripes in one of four directions (its lower rhythm) and of one of four patterns (its upper rhythm)
* a person: one of four heads on one of four bodies, whose mouth follows that person's voice in the original
* an event: one of four outlines in one of three fillings, shown from when it is heard
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


def frames(plan: FilmPlan, mouths: Plane, rate: Fraction, size: tuple[int, int]) -> Iterator[Picture]:
    """Yield (height, width, 3) RGB pictures of the whole film. ``mouths``: (2, pictures) openings from 0 to 1."""
    seconds = np.arange(mouths.shape[1]) / float(rate)
    clip_of = np.minimum((seconds // CLIP_SECONDS).astype(int), plan.n_clips - 1)
    canvas = Canvas(size)
    for first, stop in scene_spans(plan):
        colours = Colours(plan.generator("picture", first))
        for number in range(first, stop):
            shown = np.flatnonzero(clip_of == number)
            generator = plan.generator("picture", first, number)
            yield from _clip_pictures(
                canvas, plan.clips[number], seconds[shown] - number * CLIP_SECONDS, mouths[:, shown], colours, generator
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


class Colours:
    """A scene's own, of which nothing can be told."""

    def __init__(self, generator: np.random.Generator) -> None:
        dark = generator.uniform(15, 110, 3)
        self.stripes = np.stack([dark, dark + generator.uniform(45, 110, 3)]).astype(np.float32)
        if generator.random() < 0.5:
            self.stripes = self.stripes[::-1]
        self.period = float(generator.uniform(0.17, 0.26))
        self.drift = float(generator.uniform(-0.12, 0.12))
        self.phase = float(generator.uniform(0, 1))


def _clip_pictures(
    canvas: Canvas,
    clip: ClipPlan,
    seconds: npt.NDArray[np.float64],
    mouths: Plane,
    colours: Colours,
    generator: np.random.Generator,
) -> Iterator[Picture]:
    people = _positions(len(clip.looks), generator)
    skins, coats = generator.uniform(150, 245, (2, 3)), generator.uniform(20, 235, (2, 3))
    spots = [_spot(people, generator) for _ in clip.event_seconds]
    sign = generator.uniform(120, 255, 3) * (generator.random() < 0.7)
    signs = [canvas.mask(event_shape(clip.event, canvas.x - np.float32(x), canvas.y - np.float32(y))) for x, y in spots]
    phase = float(generator.uniform(0, 2 * np.pi))
    for number, at in enumerate(seconds):
        ground = place_pattern(clip.place, canvas, colours, float(at))[..., None]
        picture = colours.stripes[0] + ground * (colours.stripes[1] - colours.stripes[0])
        bob = _BOB[clip.mood] * float(np.sin(2 * np.pi * _BOB_HERTZ[clip.mood] * at + phase))
        for who, look in enumerate(clip.looks):
            local: tuple[Plane, Plane] = (canvas.x - np.float32(people[who]), canvas.y - np.float32(bob))
            _blend(picture, canvas.mask(body_shape(look, *local)), coats[who])
            _blend(picture, canvas.mask(head_shape(look, *local)), skins[who])
            _blend(picture, canvas.mask(_mouth(float(mouths[who, number]), *local)), np.array([30.0, 10.0, 15.0]))
        for start, covered in zip(clip.event_seconds, signs, strict=True):
            if start <= at < start + EVENT_SHOWN_SECONDS:
                _blend(picture, covered, sign)
        yield picture.clip(0, 255).astype(np.uint8)


def place_pattern(place: int, canvas: Canvas, colours: Colours, seconds: float) -> Plane:
    """(height, width) from 0 to 1: stripes that are plain, wavy, dashed, or by turns thin and thick."""
    direction, pattern = divmod(place, 4)
    angle = direction * np.pi / 4
    along = (canvas.x * np.float32(np.cos(angle)) + canvas.y * np.float32(np.sin(angle))) / colours.period
    across = (canvas.y * np.float32(np.cos(angle)) - canvas.x * np.float32(np.sin(angle))) / colours.period
    along = along + np.float32(colours.phase + colours.drift * seconds / colours.period)
    if pattern == 1:
        along = along + 0.3 * np.sin(np.pi * across)
    wave = np.cos(2 * np.pi * along)
    if pattern == 3:
        wave = 0.5 * wave + 0.9 * np.cos(np.pi * along)
    filled: Plane = np.clip(0.5 + 2.5 * wave, 0, 1)
    if pattern == 2:
        filled = filled * np.clip(0.7 + 2.5 * np.cos(np.pi * across), 0, 1)
    return filled


def head_shape(look: int, x: Plane, y: Plane) -> Plane:
    """Signed distances to a head: round, square, a triangle on its tip, or a triangle on its side."""
    y = y + np.float32(0.14)
    kind = look // 4
    if kind == 0:
        return np.asarray(np.hypot(x, y) - 0.2, np.float32)
    if kind == 1:
        return np.asarray(np.maximum(np.abs(x), np.abs(y)) - 0.19, np.float32)
    up = y if kind == 2 else -y
    return np.asarray(np.maximum(up * -1 - 0.2, 0.89 * np.abs(x) + 0.45 * up - 0.13), np.float32)


def body_shape(look: int, x: Plane, y: Plane) -> Plane:
    """Signed distances to a body: a pole, a block, wide shoulders, or a wide skirt."""
    kind = look % 4
    top = np.float32(0.06) - y
    half = (np.float32(0.09), np.float32(0.3), 0.4 - 0.8 * (y - 0.06), 0.08 + 0.8 * (y - 0.06))[kind]
    return np.asarray(np.maximum(top, (np.abs(x) - half) * 0.8), np.float32)


def event_shape(event: int, x: Plane, y: Plane) -> Plane:
    """Signed distances to a sign: a disc, a square, a triangle or a cross; filled, hollow, or cut in two."""
    outline, filling = divmod(event, 3)
    radius = np.float32(0.17)
    if outline == 0:
        distance = np.hypot(x, y) - radius
    elif outline == 1:
        distance = np.maximum(np.abs(x), np.abs(y)) - 0.9 * radius
    elif outline == 2:
        distance = np.maximum(y - 0.8 * radius, 0.89 * np.abs(x) - 0.45 * y - 0.55 * radius)
    else:
        wide, tall = np.abs(x), np.abs(y)
        distance = np.minimum(
            np.maximum(wide - 0.4 * radius, tall - radius), np.maximum(tall - 0.4 * radius, wide - radius)
        )
    if filling == 1:
        distance = np.abs(distance + 0.03) - np.float32(0.03)
    elif filling == 2:
        distance = np.maximum(distance, np.float32(0.035) - np.abs(y))
    return np.asarray(distance, np.float32)


def _mouth(opening: float, x: Plane, y: Plane) -> Plane:
    tall = np.float32(0.012 + 0.075 * opening)
    return np.asarray((np.hypot(x / 0.1, (y + 0.1) / tall) - 1) * tall, np.float32)


def _positions(people: int, generator: np.random.Generator) -> tuple[float, ...]:
    if people == 1:
        return (float(generator.uniform(-0.18, 0.18)),)
    middles = generator.permutation(np.array([-0.36, 0.36]))
    return tuple(float(middle + generator.uniform(-0.04, 0.04)) for middle in middles)


def _spot(people: tuple[float, ...], generator: np.random.Generator) -> tuple[float, float]:
    """Beside a person, or between and above two."""
    if len(people) == 1:
        side = -1 if people[0] > 0 else 1
        return people[0] + side * float(generator.uniform(0.36, 0.44)), float(generator.uniform(-0.28, 0.1))
    return float(generator.uniform(-0.06, 0.06)), float(generator.uniform(-0.3, -0.2))


def _blend(picture: npt.NDArray[np.float32], covered: Plane, colour: npt.NDArray[np.float64]) -> None:
    weight = covered[..., None]
    picture += weight * (colour.astype(np.float32) - picture)
