"""One title and its tracks."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TrackRow:
    """One sound track.

    Attributes:
        language: its tag; empty where it is untagged.
        codec: what the film has, also where the row is a cache's.
        channels: likewise.
        layout: of the channels, by FFmpeg's name (``5.1(side)``).
        note: what to know of it.
        index: of sources ffprobe's absolute stream index.
        file: of sources that of a track beside the film; else empty.
        tag: of sources the language as the container says it.
        title: of sources the track's title.
        flags: of sources its dispositions (``default``, ``comment``).
        taken_for: of sources the languages that ``dubav prep`` would take it for, or none.
        why: of sources the reason of that.
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
    """One film, or movie of a cache.

    Attributes:
        title: its name.
        duration_seconds: of the picture.
        video: codec and size.
        tracks: its sound.
        note: what to know of its picture (HDR, interlaced).
        problem: why it cannot be used; None where it can.
        findings: of a deep check, what is damaged.
    """

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
