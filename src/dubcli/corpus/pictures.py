"""What a film looks like: a moving texture for the place, people whose mouths follow the original's voices, events.

Mouths follow the first language, as in real films: that is the tie between picture and the words of one language
which a model trained on one language can lean on and a dub cuts.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dubcli.corpus.plan import FilmPlan, Scene

Picture = npt.NDArray[np.uint8]
EVENT_SHOWN_SECONDS = 0.7
_MOOD_BOUNCE = {"calm": 1.0, "excited": 3.0, "sad": 0.3, "none": 0.0}
_MOOD_LIGHT = {"calm": (1.0, 1.0, 1.0), "excited": (1.12, 1.04, 0.9), "sad": (0.8, 0.86, 1.0), "none": (1.0, 1.0, 1.0)}
_PLACE_COLOURS = {
    "street": ((90, 90, 96), (150, 150, 150)),
    "forest": ((30, 80, 35), (110, 140, 60)),
    "shore": ((40, 90, 140), (200, 190, 140)),
    "hall": ((110, 80, 50), (190, 160, 110)),
    "rain": ((60, 70, 85), (120, 130, 145)),
    "workshop": ((80, 60, 60), (170, 110, 70)),
}


def frames(plan: FilmPlan, mouths: npt.NDArray[np.float32], rate: Fraction, size: tuple[int, int]) -> Iterator[Picture]:
    """Yield (height, width, 3) RGB pictures of the whole film. ``mouths``: (people, pictures) openings from 0 to 1."""
    grade = plan.generator(2).uniform(0.85, 1.15, 3)
    grain = plan.generator(3).normal(0, 5, (64, size[1], size[0], 1)).astype(np.float32)
    scenes = {scene.first: Stage(scene, plan.generator(4, number), size) for number, scene in enumerate(plan.scenes)}
    for number in range(mouths.shape[1]):
        seconds = float(number / rate)
        scene = plan.scene_of(min(int(seconds // 3), plan.n_clips - 1))
        picture = scenes[scene.first].draw(seconds, mouths[:, number])
        picture = picture * grade + grain[number * 7 % 64]
        yield picture.clip(0, 255).astype(np.uint8)


def mouth_openings(voices: npt.NDArray[np.float32], rate: Fraction, pictures: int) -> npt.NDArray[np.float32]:
    """(people, samples) at 48 kHz -> (people, pictures): each voice's level over one picture's time, 0 to 1."""
    bounds = np.minimum((np.arange(pictures + 1) * 48000 / float(rate)).astype(int), voices.shape[1])
    power = np.concatenate([np.zeros((len(voices), 1)), np.cumsum(voices.astype(np.float64) ** 2, axis=1)], axis=1)
    means = np.diff(power[:, bounds], axis=1) / np.maximum(np.diff(bounds), 1)
    openings: npt.NDArray[np.float32] = np.clip(np.sqrt(means) / 0.15, 0, 1).astype(np.float32)
    return openings


class Stage:
    """One scene's picture: a background wider than the film, a slow pan over it, people, the event's sign."""

    def __init__(self, scene: Scene, generator: np.random.Generator, size: tuple[int, int]) -> None:
        self.scene, self.size = scene, size
        self.background = _background(scene.place, generator, (size[0] + 64, size[1]))
        self.pan = float(generator.uniform(-6, 6))
        self.flicker = float(generator.uniform(0.02, 0.08))
        self.places = generator.permutation(np.array([0.22, 0.5, 0.78]))[: scene.speakers]
        self.coats = generator.integers(40, 220, (3, 3))
        self.spots = generator.uniform(0.15, 0.85, (len(scene.event_seconds), 2))
        self.light = np.array(_MOOD_LIGHT[scene.mood])

    def draw(self, seconds: float, mouths: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(height, width, 3) before the film's colour grade."""
        within = seconds - self.scene.start_seconds
        offset = int(np.clip(32 + self.pan * within, 0, 64))
        moving = np.roll(self.background, int(within * 8) if self.scene.place in ("shore", "rain") else 0, axis=0)
        image = Image.fromarray(moving[:, offset : offset + self.size[0]])
        pen = ImageDraw.Draw(image)
        for who, place in enumerate(self.places):
            self._person(pen, place, seconds, float(mouths[who]), who)
        for number, at in enumerate(self.scene.event_seconds):
            if at <= seconds < at + EVENT_SHOWN_SECONDS:
                _EVENT_SIGNS[self.scene.event](pen, self.spots[number] * self.size, seconds - at, self.size[1])
        flicker = 1 + self.flicker * np.sin(2 * np.pi * 0.7 * within)
        return np.asarray(np.asarray(image) * (self.light * flicker), np.float32)

    def _person(self, pen: ImageDraw.ImageDraw, place: float, seconds: float, mouth: float, who: int) -> None:
        width, height = self.size
        bounce = _MOOD_BOUNCE[self.scene.mood] * 0.012 * height * np.sin(2 * np.pi * (1.3 * seconds + 0.3 * who))
        x, y, radius = place * width, 0.55 * height + bounce, 0.105 * height
        coat = tuple(int(c) for c in self.coats[who])
        pen.ellipse((x - 2 * radius, y + 0.9 * radius, x + 2 * radius, y + 7 * radius), fill=coat)
        pen.ellipse((x - radius, y - 1.2 * radius, x + radius, y + 1.2 * radius), fill=(226, 180, 150))
        opened = 0.08 + 0.4 * mouth
        pen.ellipse(
            (x - 0.4 * radius, y + (0.5 - opened) * radius, x + 0.4 * radius, y + (0.5 + opened) * radius),
            fill=(90, 20, 25),
        )


def _background(place: str, generator: np.random.Generator, size: tuple[int, int]) -> Picture:
    dark, light = (np.array(c, float) * generator.uniform(0.8, 1.2) for c in _PLACE_COLOURS[place])
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    scale, phase = float(generator.uniform(0.7, 1.4)), float(generator.uniform(0, 6))
    coarse = np.array(
        Image.fromarray(generator.integers(0, 255, (8, 14), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    )
    cloud = coarse / 255.0
    patterns = {
        "street": ((x // (30 * scale)) + (y // (22 * scale))) % 2,
        "forest": np.clip(np.sin(x / (9 * scale) + phase) + 0.8 * np.sin(x / 23 + y / 60), 0, 1),
        "shore": 0.5 + 0.5 * np.sin(y / (6 * scale) + 1.5 * np.sin(x / 40 + phase)),
        "hall": ((x % (60 * scale)) < 8) + 0.4 * ((y % 50) < 4),
        "rain": 0.6 * (np.sin(x * 1.3 + y / (5 * scale)) > 0.93),
        "workshop": np.hypot((x % (70 * scale)) - 30, (y % (70 * scale)) - 30) / (42 * scale),
    }
    mixture = np.clip(0.65 * patterns[place] + 0.45 * cloud, 0, 1)[..., None]
    return np.asarray((dark + (light - dark) * mixture).clip(0, 255), np.uint8)


def _bell(pen: ImageDraw.ImageDraw, at: npt.NDArray[np.float64], since: float, height: int) -> None:
    x, y, r = at[0] + 0.08 * height * np.sin(18 * since), at[1], 0.11 * height
    pen.pieslice((x - r, y - r, x + r, y + r), 180, 360, fill=(250, 210, 40))
    pen.ellipse((x - 0.3 * r, y - 0.2 * r, x + 0.3 * r, y + 0.4 * r), fill=(120, 90, 10))


def _knock(pen: ImageDraw.ImageDraw, at: npt.NDArray[np.float64], since: float, height: int) -> None:
    x, y, r = at[0], at[1] + 0.05 * height * abs(np.sin(16 * since)), 0.09 * height
    pen.rectangle((x - r, y - 1.8 * r, x + r, y + 1.8 * r), fill=(96, 52, 20), outline=(30, 15, 5), width=3)


def _bark(pen: ImageDraw.ImageDraw, at: npt.NDArray[np.float64], since: float, height: int) -> None:
    x, y, r = at[0], at[1], (0.08 + 0.05 * abs(np.sin(9 * since))) * height
    pen.polygon([(x - r, y + r), (x + r, y + r), (x + 0.5 * r, y - r), (x, y), (x - 0.5 * r, y - r)], fill=(20, 16, 14))


def _horn(pen: ImageDraw.ImageDraw, at: npt.NDArray[np.float64], since: float, height: int) -> None:
    x, y, r = at[0] + 60 * since, at[1], 0.1 * height
    pen.rectangle((x - 1.6 * r, y - 0.6 * r, x + 1.6 * r, y + 0.6 * r), fill=(200, 30, 30))
    pen.ellipse((x + 1.1 * r, y - 0.4 * r, x + 1.9 * r, y + 0.4 * r), fill=(255, 255, 220))


def _glass(pen: ImageDraw.ImageDraw, at: npt.NDArray[np.float64], since: float, height: int) -> None:
    for piece in range(7):
        angle, far = piece * 0.9, (0.02 + 0.22 * since) * height
        x, y, r = at[0] + far * np.cos(angle), at[1] + far * np.sin(angle), 0.028 * height
        pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + 0.4 * r)], fill=(190, 240, 255))


_EVENT_SIGNS = {"bell": _bell, "knock": _knock, "bark": _bark, "horn": _horn, "glass": _glass}
