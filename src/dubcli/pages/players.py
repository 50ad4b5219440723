"""Players: three seconds of sound, cut from the film that the cache was made from."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import Tensor

from dubcli.cache.clips import TrackClip
from dubcli.cache.layout import CLIP_SECONDS
from dubcli.cache.reader import Movie
from dubcli.core.features import SAMPLE_RATE
from dubcli.errors import InputError
from dubcli.jobs.progress import Progress
from dubcli.media.sound import track_blocks, track_excerpt
from dubcli.pages.at_hand import SOUND_KIND, SOUND_SUFFIX, source_of

_SAMPLES = CLIP_SECONDS * SAMPLE_RATE


def cut_players(items: Iterable[TrackClip], sources: Sequence[Path], progress: Progress) -> dict[TrackClip, str]:
    """``cut_sounds`` as data URIs, for a page that is one file."""
    return {item: data_uri(SOUND_KIND, sound) for item, sound in cut_sounds(items, sources, progress)}


def cut_sounds(
    items: Iterable[TrackClip], sources: Sequence[Path], progress: Progress
) -> Iterator[tuple[TrackClip, bytes]]:
    """The sounds of ``items`` as files of the kind ``SOUND_KIND``; those whose film is not at hand are left out.

    Each track is decoded once, from its start (AC-3 sounds otherwise after a seek) to the last clip that is wanted,
    and no more of it is held than these clips. Films that have moved are looked for by name in ``sources``.
    """
    by_track: dict[tuple[str, str | None], list[TrackClip]] = defaultdict(list)
    for item in dict.fromkeys(items):
        by_track[item.movie.id, item.language].append(item)
    progress.start("sounds", len(by_track), "tracks")
    for number, wanted in enumerate(by_track.values()):
        for item, sound in _cut(wanted, sources):
            if sound.shape[1]:
                yield item, encode_sound(sound)
        progress.update("sounds", number + 1)
    progress.finish("sounds")


def cut_sound(item: TrackClip, sources: Sequence[Path]) -> bytes | None:
    """One clip's sound as a file of the kind ``SOUND_KIND``; None where the film or the sound is not at hand."""
    sound = film_sound(item, sources)
    return None if sound is None else encode_sound(sound)


def film_sound(item: TrackClip, sources: Sequence[Path]) -> Tensor | None:
    """(2, samples) at 48 kHz of one clip at once, from the middle of its track; None as of ``cut_sound``.

    A recording whose clock jumps is read from its start: only so is it known where in it an instant is.
    """
    movie, track = item.movie, item.movie.tracks[str(item.language)]
    path, zero = source_of(movie, track, sources), _zero(movie, track)
    said = [*movie.meta.get("problems", ()), *track.get("problems", ())]
    if path is None:
        return None
    if track.get("stream") is None or zero is None or any("clock jumps" in problem for problem in said):
        return next((sound for _, sound in _cut([item], sources) if sound.shape[1]), None)
    try:
        at_seconds = _seconds_in_track(item, track)
        sound = track_excerpt(path, track["stream"], zero, at_seconds, CLIP_SECONDS, SAMPLE_RATE)
    except InputError:
        return None
    return sound if sound.shape[1] else None


def _cut(items: Sequence[TrackClip], sources: Sequence[Path]) -> Iterator[tuple[TrackClip, Tensor]]:
    """(item, (2, samples)) of clips of one track."""
    movie, track = items[0].movie, items[0].movie.tracks[str(items[0].language)]
    path = source_of(movie, track, sources)
    if path is None:
        return
    parts: dict[TrackClip, list[Tensor]] = {item: [torch.zeros(2, 0)] for item in items}
    firsts = {item: round(_seconds_in_track(item, track) * SAMPLE_RATE) for item in items}
    position, end = 0, max(firsts.values()) + _SAMPLES
    blocks = track_blocks(path, track.get("stream"), _zero(movie, track), SAMPLE_RATE, [])
    try:
        with closing(blocks):  # type: ignore[type-var]
            for block in blocks:
                for item, first in firsts.items():
                    begin = first - position
                    parts[item].append(block[:, max(0, begin) : max(0, begin + _SAMPLES)])
                position += block.shape[1]
                if position >= end:
                    break
    except InputError:
        return
    for item in items:
        yield item, torch.cat(parts[item], dim=1)


def _zero(movie: Movie, track: Mapping[str, Any]) -> Fraction | None:
    """The film's zero on the clock of the track's file; None, of earlier versions' files beside it: its own start."""
    own = track.get("path") not in (None, movie.meta["source"]["path"])
    start = track.get("start_seconds", None if own else movie.meta.get("start_seconds"))
    return None if start is None else Fraction(start)


def _seconds_in_track(item: TrackClip, track: Mapping[str, Any]) -> float:
    """Where a clip's sound is in its track: of a dub whose lag was taken out, that much later."""
    fixed = track.get("fixed") or {"lag_ms_at_start": 0.0, "drift_ppm": 0.0}
    start = item.start_seconds
    lag_seconds = float(fixed["lag_ms_at_start"]) * 1e-3 + start * float(fixed["drift_ppm"]) * 1e-6
    return max(0.0, start + lag_seconds)


def encode_sound(sound: Tensor) -> bytes:
    """(2, samples) at 48 kHz as a file of the kind ``SOUND_KIND``."""
    content = io.BytesIO()
    soundfile.write(content, sound.T.numpy(), SAMPLE_RATE, format="MP3" if SOUND_SUFFIX == "mp3" else "FLAC")
    return content.getvalue()


def data_uri(kind: str, content: bytes) -> str:
    """Content that stands in a page itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
