"""One film's task: what a worker process is given."""

from __future__ import annotations

from dataclasses import dataclass

from dubcli.media.films import Film
from dubcli.prep.config import PrepConfig


@dataclass(frozen=True, kw_only=True)
class FilmTask:
    """A film to prepare. ``replaces``: id of the movie that was made of an earlier content of the same file."""

    film: Film
    config: PrepConfig
    threads: int
    replaces: str | None = None
