"""What a search can be told. No torch here: the command line reads it for its help."""

from __future__ import annotations

from dataclasses import dataclass

from dubcli.core.machine import parse_device
from dubcli.errors import UserError, one_of

SOUND, PICTURE = "sound", "picture"
KINDS = (SOUND, PICTURE)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What is asked for.

    Attributes:
        find: ``sound`` or ``picture``: only scores of one kind can be compared.
        by: which side of a query that has both is asked with; None: its sound where ``track`` says which, else the
            picture of a video or clip.
        track: of a clip or file that asks by its sound, the language (``en``, ``fr``, ...); None: the primary one.
        tracks: only sounds of these tracks are found, where sounds are sought; none: of all.
        films: only clips of films with one of these words in their title.
        other_films: leave out the film that the query is of.
        top: so many are found.
        model: the checkpoint, where it is no longer where the index was built with it.
        device: torch's name; None is CUDA where there is one.

    Raises:
        UserError: a value that is out of range or means nothing.
    """

    find: str = SOUND
    by: str | None = None
    track: str | None = None
    tracks: tuple[str, ...] = ()
    films: tuple[str, ...] = ()
    other_films: bool = False
    top: int = 10
    model: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        one_of("--find", self.find, KINDS)
        if self.by is not None:
            one_of("--by", self.by, KINDS)
        if self.track is not None and self.by is None:
            object.__setattr__(self, "by", SOUND)
        if self.track is not None and self.by == PICTURE:
            raise UserError(f"--track {self.track} is of a query by sound; leave it out, or give --by sound")
        if self.tracks and self.find == PICTURE:
            raise UserError(f"--among {','.join(self.tracks)} is of sounds; leave it out, or --find picture")
        parse_device(self.device)
        if self.top < 1:
            raise UserError(f"--top is {self.top}; give 1 or more")
