"""What was found, as one page with pictures and players."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubcli.cache.clips import TrackClip
from dubcli.cache.layout import CACHE_FILE, CLIP_SECONDS
from dubcli.cache.reader import Cache
from dubcli.core.atomic import atomic_write, writing
from dubcli.core.features import SAMPLE_RATE
from dubcli.core.tracks import FULL, Track
from dubcli.errors import InputError
from dubcli.media.sound import track_excerpt
from dubcli.media.sources import choose_track
from dubcli.media.streams import read_info
from dubcli.pages.at_hand import SOUND_KIND
from dubcli.pages.pictures import frame_strip, mel_picture
from dubcli.pages.players import cut_sound, data_uri, encode_sound
from dubcli.pages.shell import render
from dubcli.search.index import Index, IndexRow
from dubcli.search.query import Query
from dubcli.search.stage import Hit


@dataclass(frozen=True)
class ShownClip:
    """A clip's picture, mel and sound as data URIs, as far as they are at hand."""

    frames: str | None
    mel: str | None
    audio: str | None


def write_page(path: Path, index: Index, asked: Query, hits: Sequence[Hit], sources: Sequence[Path]) -> Path:
    """One file without network: the query and the clips found, with frames, mels and players.

    Pictures and mels come from the cache that the index was built from, where it is still there; sounds from the films,
    which are looked for in ``sources`` too.
    """
    cache = Path(index.info["source"])
    movies = {movie.id: movie for movie in Cache(cache).movies} if (cache / CACHE_FILE).is_file() else {}

    def shown(row: IndexRow) -> ShownClip:
        if row.film not in movies:
            return ShownClip(None, None, _of_file(row))
        movie, clip = movies[row.film], int(row.start_seconds) // CLIP_SECONDS
        track = Track.of(row.track) if row.track else Track(movie.primary)
        sound = cut_sound(TrackClip(movie, clip, track.language), sources) if track.kind == FULL else None
        strip = frame_strip(movie.frame_bytes(clip)[::4], columns=4, width=120)
        return ShownClip(data_uri("image/jpeg", strip), data_uri("image/png", mel_picture(movie.mel(track)[clip])),
                     None if sound is None else data_uri(SOUND_KIND, sound))  # fmt: skip

    content = render("dubcli.search", "page.html", title=f"Like {asked.text}", asked=asked, hits=hits, index=index,
                     own=None if asked.row is None else shown(asked.row), shown=shown)  # fmt: skip
    with writing(path, "--play-page"), atomic_write(path, "w") as file:
        file.write(content)
    return path


def _of_file(row: IndexRow) -> str | None:
    """The sound of a chunk of a file; None where it is not there, or has none."""
    path = Path(row.path)
    try:
        info = read_info(path)
        track = choose_track(info.audio)
        sound = track_excerpt(path, track.index, info.start_seconds, row.start_seconds, row.seconds, SAMPLE_RATE)
    except InputError:
        return None
    return data_uri(SOUND_KIND, encode_sound(sound)) if sound.shape[1] else None
