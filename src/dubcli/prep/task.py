"""One film's task, as a worker process is given it, and the film as it was opened there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dubcli.media.films import Film
from dubcli.media.sources import ChosenTrack
from dubcli.media.streams import MediaInfo
from dubcli.prep.config import PrepConfig


@dataclass(frozen=True, kw_only=True)
class FilmTask:
    """A film to prepare. ``replaces``: id of the movie that was made of an earlier content of the same file.

    ``name``: what the log calls it: the film as the user gave it, whose own paths are absolute for workers elsewhere.
    """

    film: Film
    config: PrepConfig
    threads: int
    replaces: str | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class OpenFilm:
    """A film that the cache does not have, opened: ``container`` is PyAV's, ``chosen`` its track of each language.

    ``identity`` names its folder in the cache, ``content`` is the fingerprint of its file as it was opened.
    """

    task: FilmTask
    container: Any
    info: MediaInfo
    chosen: dict[str, ChosenTrack]
    identity: str
    content: str
