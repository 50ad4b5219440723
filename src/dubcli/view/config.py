"""What ``dubav view`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubcli.core.machine import parse_device
from dubcli.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """What is shown of a cache.

    Attributes:
        films: words that a film's title or id has, any of them; none: all films.
        clips: at most so many clips of a film, evenly over it; None: as many as make ``clips_in_all`` together, at most
            24 of a film.
        clips_in_all: of all films.
        sources: folders with the films, for players, where they are no longer where ``dubav prep`` read them.
        map_clips: at most so many clips are placed on a run's map.
        seed: of the map's layout.
        device: where the run's model is computed; None is CUDA where there is one.

    Raises:
        UserError: values that make no sense.
    """

    films: tuple[str, ...] = ()
    clips: int | None = None
    clips_in_all: int = 480
    sources: tuple[Path, ...] = ()
    map_clips: int = 400
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        parse_device(self.device)
        if self.clips is not None and self.clips < 1:
            raise UserError("--clips is 1 or more")
        if self.map_clips < 0:
            raise UserError("--map-clips is 0 (no map) or more")
