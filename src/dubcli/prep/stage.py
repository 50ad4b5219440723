"""The stage: films of all sources, those that are done left out, the rest side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dubcli.cache import layout
from dubcli.cache.writer import open_cache, sweep
from dubcli.core.atomic import read_json
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import JobSummary
from dubcli.jobs.progress import SILENT, Progress
from dubcli.jobs.runner import Named, run_jobs
from dubcli.media.library import find_films
from dubcli.prep.config import PrepConfig
from dubcli.prep.decoder import require_decoder
from dubcli.prep.task import FilmTask
from dubcli.prep.worker import prepare_film


def prepare(
    sources: Sequence[str | Path],
    config: PrepConfig,
    options: JobOptions = JobOptions(),
    progress: Progress = SILENT,
) -> JobSummary:
    """Make or complete the clip cache of films (DESIGN of the cache: ``dubcli.cache.layout``). What is there stays.

    Args:
        sources: files, folders, ``.csv`` manifests.
        config: the cache, the languages, the pictures' size.
        options: workers, cluster, shard, how many failures are borne.
        progress: takes bars and lines.

    Returns:
        What became of each film.

    Raises:
        UserError: the job as a whole cannot go on: no film in the sources, a cache made with other parameters, a full
            disk, more failures than ``options`` bear.

    >>> from pathlib import Path
    >>> from dubcli.prep import PrepConfig, prepare
    >>> summary = prepare(["films"], PrepConfig(cache=Path("prepared"), languages=("en", "es")))
    >>> [outcome.status for outcome in summary.outcomes]
    ['ok']
    """
    films = find_films(sources)
    if not films:
        raise UserError(f"no film in {', '.join(map(str, sources))}; give video files, folders or a .csv manifest")
    if options.scheduler is None:
        require_decoder(config.decoder)
    cache = open_cache(config.cache.absolute(), config.parameters())
    config = replace(config, cache=cache)
    made = _movies_by_source(cache)
    workers = min(options.worker_count, len(films))
    # a film's decoder gets the cores that no other film uses
    threads = max(1, JobOptions().worker_count // workers)
    tasks = [
        FilmTask(
            film=film,
            config=replace(config, cache=cache),
            threads=threads,
            replaces=made.get((str(film.video.absolute()), film.title or film.video.stem)),
        )
        for film in films
    ]
    try:
        return run_jobs(
            prepare_film,
            tasks,
            Named(key=lambda task: task.film.name),
            options=options,
            log=cache / layout.PREP_LOG,
            progress=progress,
        )
    finally:
        sweep(cache)


def _movies_by_source(cache: Path) -> dict[tuple[str, str], str]:
    """{(source path, title): movie id} of what the cache has."""
    made = {}
    for file in (cache / layout.MOVIES_FOLDER).glob(f"*/{layout.MOVIE_FILE}"):
        meta = read_json(file)
        made[str(meta.get("source", {}).get("path")), str(meta.get("title"))] = str(meta.get("id"))
    return made
