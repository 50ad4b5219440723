"""Players of the gallery: three seconds of sound, cut from the film that the cache was made from."""

from __future__ import annotations

import base64
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.cache.reader import Movie
from dubcli.core.features import SAMPLE_RATE
from dubcli.errors import InputError
from dubcli.jobs.progress import Progress
from dubcli.media.kinds import walk
from dubcli.media.sound import track_blocks

_SAMPLES = CLIP_SECONDS * SAMPLE_RATE


@dataclass(frozen=True)
class TrackClip:
    """One clip of a film, as picture (``language`` None) or as sound."""

    movie: Movie
    clip: int
    language: str | None = None

    @property
    def caption(self) -> str:
        """Film, time and language."""
        start = self.clip * CLIP_SECONDS
        spoken = f" {self.language}" if self.language else ""
        return f"{self.movie.id.rsplit('-', 1)[0]} {start // 60}:{start % 60:02}{spoken}"

    def same_instant(self, other: TrackClip) -> bool:
        """Whether both are the same three seconds of the same film."""
        return self.movie.id == other.movie.id and self.clip == other.clip


def cut_players(items: Iterable[TrackClip], sources: Sequence[Path], progress: Progress) -> dict[TrackClip, str]:
    """The sounds of ``items`` as data URIs; those whose film is not at hand are left out.

    Each track is decoded once, from its start (AC-3 sounds otherwise after a seek) to the last clip that is wanted,
    and no more of it is held than these clips. Films that have moved are looked for by name in ``sources``.
    """
    by_track: dict[tuple[str, str | None], list[TrackClip]] = defaultdict(list)
    for item in dict.fromkeys(items):
        by_track[item.movie.id, item.language].append(item)
    made = {}
    progress.start("sounds", len(by_track), "tracks")
    for number, wanted in enumerate(by_track.values()):
        for item, sound in _cut(wanted, sources):
            if sound.shape[1]:
                made[item] = _encode(sound)
        progress.update("sounds", number + 1)
    progress.finish("sounds")
    return made


def _cut(items: Sequence[TrackClip], sources: Sequence[Path]) -> Iterator[tuple[TrackClip, Tensor]]:
    """(item, (2, samples)) of clips of one track."""
    movie, track = items[0].movie, items[0].movie.tracks[str(items[0].language)]
    path = _find(Path(track.get("path") or movie.meta["source"]["path"]), sources)
    if path is None:
        return
    start = movie.meta.get("start_seconds")
    parts: dict[TrackClip, list[Tensor]] = {item: [torch.zeros(2, 0)] for item in items}
    position, end = 0, max(item.clip + 1 for item in items) * _SAMPLES
    blocks = track_blocks(path, track.get("stream"), None if start is None else Fraction(start), SAMPLE_RATE, [])
    try:
        with closing(blocks):  # type: ignore[type-var]
            for block in blocks:
                for item in items:
                    first = item.clip * _SAMPLES - position
                    parts[item].append(block[:, max(0, first) : max(0, first + _SAMPLES)])
                position += block.shape[1]
                if position >= end:
                    break
    except InputError:
        return
    for item in items:
        yield item, torch.cat(parts[item], dim=1)


def _find(path: Path, sources: Sequence[Path]) -> Path | None:
    for candidate in (path, *(folder / path.name for folder in sources)):
        if candidate.is_file():
            return candidate
    below = (Path(found.path) for folder in sources for found in walk(folder))
    return next((candidate for candidate in below if candidate.name == path.name), None)


def _encode(sound: Tensor) -> str:
    """MP3 where libsndfile writes it (from 1.1), else FLAC: both play in every browser."""
    content = io.BytesIO()
    kind = "MP3" if "MP3" in soundfile.available_formats() else "FLAC"
    soundfile.write(content, sound.T.numpy(), SAMPLE_RATE, format=kind)
    return data_uri("audio/mpeg" if kind == "MP3" else "audio/flac", content.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """Content that stands in a page itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
