"""Clips as they are named and chosen: film, time, track. No torch here: the first page of a cache is shown at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.cache.reader import Movie


@dataclass(frozen=True)
class TrackClip:
    """One clip of a film, as picture (``language`` None) or as the sound of a track (``en``, ``en-nospeech``)."""

    movie: Movie
    clip: int
    language: str | None = None

    @property
    def start_seconds(self) -> int:
        """On the film's clock."""
        return self.clip * CLIP_SECONDS

    @property
    def clock(self) -> str:
        """Where it begins, as h:mm:ss or m:ss."""
        return clock(self.start_seconds)

    @property
    def caption(self) -> str:
        """Film, time and language."""
        spoken = f" {self.language}" if self.language else ""
        return f"{self.movie.id.rsplit('-', 1)[0]} {self.clock}{spoken}"

    def same_instant(self, other: TrackClip) -> bool:
        """Whether both are the same three seconds of the same film."""
        return self.movie.id == other.movie.id and self.clip == other.clip


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``.

    >>> clock(3723), clock(59.9)
    ('1:02:03', '0:59')
    """
    whole = int(seconds)
    hours = f"{whole // 3600}:{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02}"


def has_a_word(title: str, film: str, words: Iterable[str]) -> bool:
    """Whether a film of that title and id is meant by one of ``words``, in upper or lower case.

    >>> has_a_word("Big Buck Bunny", "bunny-55c0c2f4", ["BUCK"])
    True
    """
    text = f"{title} {film}".casefold()
    return any(word.casefold() in text for word in words)
