"""What is said of a film beside its clips: its tracks, what prep found wrong, and how its dubs lie in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dubcli.cache.clips import clock
from dubcli.cache.reader import Movie
from dubcli.core.tracks import FULL, Track
from dubcli.pages.charts import SERIES, SHOWN_SERIES, SWITCHES, Chart, quantity, series_colour, zoomable


@dataclass(frozen=True)
class FilmFacts:
    """A row of the first page."""

    movie: Movie
    title: str
    clock: str
    languages: tuple[str, ...]
    flags: tuple[str, ...]


def facts(movie: Movie) -> FilmFacts:
    """From ``movie.json`` alone; fields that are not there say nothing."""
    meta = movie.meta
    title = str(meta.get("title") or movie.id)
    seconds = float(meta.get("duration_seconds") or movie.hours * 3600)
    return FilmFacts(movie, title, clock(seconds), tuple(str(track) for track in movie.every_track), _flags(meta))


def _flags(meta: Mapping[str, Any]) -> tuple[str, ...]:
    found = [str(problem) for problem in meta.get("problems", ())]
    video = meta.get("video") or {}
    if video.get("interlaced"):
        found.append("interlaced")
    for key, name in (("hdr", "HDR"), ("dolby_vision", "Dolby Vision profile")):
        if video.get(key):
            found.append(name if video[key] is True else f"{name} {video[key]}")
    found += [f"{language} left out: {reason}" for language, reason in (meta.get("left_out") or {}).items()]
    for language, entry in meta["tracks"].items():
        found += [f"{language}: {problem}" for problem in entry.get("problems", ())]
        sync = entry.get("sync") or {}
        if entry.get("fixed"):
            found.append(f"{language}: its lag was taken out")
        elif sync.get("status") not in (None, "ok"):
            found.append(f"{language}: sync {sync['status']}")
    return tuple(found)


def track_line(movie: Movie, track: Track) -> str:
    """Codec, layout, how it was found and where it is silent, in one line."""
    if track.kind != FULL:
        return f"made of {track.language}"
    entry = movie.tracks[track.language]
    first, stop = movie.valid_range([track])
    layouts = ", ".join(entry.get("layouts") or ())
    how = f"found by {entry['found_by']}" if entry.get("found_by") else None
    parts = [entry.get("codec"), layouts, entry.get("title"), how]
    if (first, stop) != (0, movie.n_clips):
        parts.append(f"sound in clips {first} to {stop - 1} of {movie.n_clips}")
    return ", ".join(str(part) for part in parts if part)


def sync_chart(movie: Movie) -> Chart | None:
    """Lag of each dub over the film, in the windows where it could be told; None where nothing was."""
    points = [
        {"minutes": start / 60, "lag": lag, SERIES: language}
        for language, entry in movie.tracks.items()
        for start, lag in (entry.get("sync") or {}).get("windows") or ()
    ]
    if not points:
        return None
    dubs = sorted({str(point[SERIES]) for point in points})
    worst = max(abs(float(point["lag"])) for point in points)
    reach = max(20.0, 1.1 * worst)
    spec = {
        "data": {"values": points},
        "height": 180,
        "params": [zoomable(), SWITCHES],
        "transform": [SHOWN_SERIES],
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {
            "x": quantity("minutes", "minutes of the film"),
            "y": quantity("lag", "lag in ms (late is above 0)", domain=[-reach, reach]),
            "color": series_colour(dubs),
        },
    }
    return Chart("sync", "Lag of the dubs", f"Over the film, for {', '.join(dubs)}; at most {worst:.0f} ms.", spec)
