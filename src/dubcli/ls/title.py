"""One title and its tracks, and how many titles and hours every set of languages has (table B4 of the paper)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TrackRow:
    """One language's track. ``channels`` and ``codec`` are what the film has, also where the row is a cache's."""

    language: str
    codec: str
    channels: int
    layout: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class TitleRow:
    """One film. ``problem`` says why it cannot be used; ``note`` what to know of its picture (HDR, interlaced)."""

    title: str
    duration_seconds: float = 0.0
    video: str = ""
    tracks: tuple[TrackRow, ...] = ()
    note: str = ""
    problem: str | None = None
    findings: tuple[str, ...] = field(default=())

    @property
    def languages(self) -> tuple[str, ...]:
        """In the order of the tracks, each once."""
        return tuple(dict.fromkeys(track.language for track in self.tracks))

    @property
    def hours(self) -> float:
        """Duration in hours."""
        return self.duration_seconds / 3600


def language_subsets(titles: Sequence[TitleRow], primary: str, most: int = 64) -> list[tuple[str, int, float]]:
    """(languages joined by "+", titles, hours) for the primary with every set of others, as in table B4.

    Sorted by the number of languages, then by titles. Where there are so many languages that the sets would be more
    than ``most``, only the largest of them are returned.
    """
    usable = [title for title in titles if title.problem is None and primary in title.languages]
    others = sorted({language for title in usable for language in title.languages} - {primary})
    rows: list[tuple[str, int, float]] = []
    for size in range(len(others) + 1):
        if size > 3 and len(rows) > most:
            break
        for chosen in itertools.combinations(others, size):
            having = [title for title in usable if set(chosen) <= set(title.languages)]
            if having:
                rows.append(("+".join([primary, *chosen]), len(having), sum(title.hours for title in having)))
    rows.sort(key=lambda row: (row[0].count("+"), -row[1], row[0]))
    return rows[:most]
