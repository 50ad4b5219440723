"""The stage: films of all sources, those that are done left out, the rest side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dubcli.cache import layout
from dubcli.cache.reader import Cache
from dubcli.cache.writer import open_cache, sweep
from dubcli.core.atomic import read_json
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import OK, SKIPPED, JobSummary, Outcome, OutcomeLog
from dubcli.jobs.progress import SILENT, Progress
from dubcli.jobs.runner import JobNames, run_jobs, take_shard
from dubcli.media.films import Film
from dubcli.media.library import Library, Looking, find_library
from dubcli.prep.alike import alike_groups, alike_in, line_of
from dubcli.prep.config import PrepConfig
from dubcli.prep.decoder import require_decoder
from dubcli.prep.settled import settled
from dubcli.prep.task import FilmTask
from dubcli.prep.worker import prepare_film

_LINES = 5  # of groups of titles that are alike


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
    looking = Looking(include_extras=config.include_extras, exclude=config.exclude)
    made = movies_by_source(config.cache.absolute())
    library = find_library(sources, looking, known=[Path(path) for path, _ in made])
    if not library.films:
        raise UserError(f"no film in {', '.join(map(str, sources))}; give video files, folders or a .csv manifest")
    if options.scheduler is None:
        require_decoder(config.decoder)
    cache = open_cache(config.cache.absolute(), config.parameters())
    config = replace(config, cache=cache)
    log = OutcomeLog(cache / layout.PREP_LOG)
    there, tasks = _split(take_shard(library.films, options.shard), made, config, options)
    for outcome in there:
        log.append(outcome)
    try:
        summary = run_jobs(
            prepare_film,
            tasks,
            JobNames(key=lambda task: task.name),
            options=replace(options, shard=None),
            log=log.path,
            progress=progress,
        )
    finally:
        sweep(cache)
    if options.shard is None or options.shard[0] == 1:
        for outcome in _copies(library):
            log.append(outcome)
    summary.outcomes[:0] = there
    summary.notes += library.notes + _alike(cache, log)
    return summary


def _alike(cache: Path, log: OutcomeLog) -> list[str]:
    """A line for each group of the cache's titles that share most of their sound; every pair goes to the log."""
    movies = {movie.id: movie for movie in Cache(cache, damaged=[]).movies}
    pairs = alike_in(cache, list(movies.values()))
    for pair in pairs:
        for own, other, share in zip((pair.first, pair.second), (pair.second, pair.first), pair.shares, strict=True):
            details = {"movie": own, "shares_sound_with": other, "share": share}
            log.append(Outcome(movies[own].meta["source"]["path"], OK, None, details))
    names = Counter(movie.meta["title"] for movie in movies.values())
    called = {name: movie.meta["title"] if names[movie.meta["title"]] == 1 else name for name, movie in movies.items()}
    lines = [line_of(group, called) for group in alike_groups(pairs)]
    more = [f"and {len(lines) - _LINES} more such groups: {log.path}"] if len(lines) > _LINES else []
    return lines[:_LINES] + more


def left_out_counts(summary: JobSummary) -> dict[str, int]:
    """{verdict: how many dubs of this run's films were left out for it}, the most frequent first."""
    verdicts = [verdict for outcome in summary.outcomes for verdict in outcome.details.get("left_out", {}).values()]
    return dict(Counter(verdicts).most_common())


def _split(
    films: Sequence[Film], made: Mapping[tuple[str, str], dict[str, Any]], config: PrepConfig, options: JobOptions
) -> tuple[list[Outcome], list[FilmTask]]:
    """What became of the films in which nothing has changed since they were prepared, and tasks for the others."""
    there, rest = [], []
    for film in films:
        whole = film.absolute()
        meta = made.get((str(whole.video), whole.short_name))
        details = settled(meta, whole, config)
        if details is None:
            rest.append((film.name, whole, None if meta is None else str(meta["id"])))
        else:
            there.append(Outcome(film.name, SKIPPED, None, details))
    workers = min(options.worker_count, len(rest))
    # a film's decoder gets the cores that no other film uses
    threads = max(1, JobOptions().worker_count // max(1, workers))
    return there, [
        FilmTask(film=film, name=name, config=config, threads=threads, replaces=made_of) for name, film, made_of in rest
    ]


def _copies(library: Library) -> list[Outcome]:
    """A line of the log for each path that is no film of its own."""
    pairs = [(other, path) for path, others in library.copies.items() for other in others]
    return [Outcome(str(other), SKIPPED, None, {"same_as": str(path)}) for other, path in pairs]


def movies_by_source(cache: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """{(source path, title): what ``movie.json`` says} of what the cache has."""
    made = {}
    for file in sorted((cache / layout.MOVIES_FOLDER).glob(f"*/{layout.MOVIE_FILE}")):
        meta = read_json(file)
        if {"id", "n_clips", "tracks"} <= meta.keys():
            made[str(meta.get("source", {}).get("path")), str(meta.get("title"))] = meta
    return made
