"""Where a background comes from: synthesis, or a user's recordings in ``places/<name>/*`` and ``events/<name>/*``."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from dubcli.corpus import sounds
from dubcli.corpus.plan import EVENTS, PLACES, ClipPlan, FilmPlan
from dubcli.corpus.recordings import Generator, read_48k, sound_folders
from dubcli.corpus.sounds import Sound


class Beds:
    """Places and events by number. ``folder``: of recordings; None synthesises. Raises UserError."""

    def __init__(self, folder: Path | None) -> None:
        self.places = sound_folders(folder / "places", PLACES) if folder is not None else []
        self.events = sound_folders(folder / "events", EVENTS) if folder is not None else []
        self._read = functools.lru_cache(maxsize=256)(read_48k)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many places and events there are."""
        return (len(self.places), len(self.events)) if self.places else (PLACES, EVENTS)

    def background(self, plan: FilmPlan, *, other: int = 0) -> Sound:
        """(2, samples) of the whole film: the sound that all its language versions share.

        ``other``: another than 0 is the background of another film that goes on at the same times, with other places
        and events: for the control in which a dub lies over what does not belong to the picture.
        """
        total = np.zeros((2, plan.n_clips * sounds.CLIP_SAMPLES), np.float32)
        n_places, n_events = self.sizes
        swap = plan.generator("bed", 1_000_000 + other)
        for first, stop in sounds.scene_spans(plan):
            place = int(swap.integers(n_places)) if other else plan.clips[first].place
            generator = plan.generator("bed", first, other)
            span = slice(first * sounds.CLIP_SAMPLES, stop * sounds.CLIP_SAMPLES)
            total[:, span] = self._place(place, span.stop - span.start, generator)
        for number, clip in enumerate(plan.clips):
            event = int(swap.integers(n_events)) if other else clip.event
            part = total[:, number * sounds.CLIP_SAMPLES :][:, : sounds.CLIP_SAMPLES]
            self._events(part, clip, event, plan.generator("event", number, other))
        return total

    def _place(self, place: int, samples: int, generator: Generator) -> Sound:
        if not self.places:
            return sounds.place_sound(place, samples, generator)
        files = self.places[place]
        recording = self._read(files[int(generator.integers(len(files)))])
        pieces = [sounds.piece(recording, samples, generator, both_ways=False) for _ in range(2)]
        return sounds.at_level(np.stack(pieces), generator)

    def _events(self, clip_sound: Sound, clip: ClipPlan, event: int, generator: Generator) -> None:
        base = float(np.exp(generator.uniform(np.log(1800), np.log(4200))))
        side = float(generator.uniform(0.25, 0.75))
        for at in clip.event_seconds:
            if self.events:
                files = self.events[event]
                sound = sounds.loudest(self._read(files[int(generator.integers(len(files)))]))
            else:
                sound = sounds.event_sound(event, base * float(generator.uniform(0.95, 1.05)))
            sounds.lay_event(clip_sound, sound, at, side, float(generator.uniform(-2, 2)))
