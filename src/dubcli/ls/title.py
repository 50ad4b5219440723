"""One title and its tracks."""

from __future__ import annotations

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
