"""One title and its tracks."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TrackRow:
    """One track. ``channels`` and ``codec`` are what the film has, also where the row is a cache's.

    Of sources also ``index``, which is ffprobe's absolute stream index, ``file`` (of a track beside the film; else
    empty), what the container says (``tag``, ``title``, ``flags``), and what ``dubav prep`` would do with it:
    ``taken_for`` these languages, or none, and ``why``.
    """

    language: str
    codec: str
    channels: int
    layout: str
    note: str = ""
    index: int | None = None
    file: str = ""
    tag: str = ""
    title: str = ""
    flags: tuple[str, ...] = ()
    taken_for: tuple[str, ...] = ()
    why: str = ""


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
        """Those in which prep takes a track, in the order of the tracks, each once."""
        return tuple(dict.fromkeys(language for track in self.tracks for language in track.taken_for))

    @property
    def hours(self) -> float:
        """Duration in hours."""
        return self.duration_seconds / 3600
