"""The stage: films of a cache, or files, side by side on the devices there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dubcli.cache import layout
from dubcli.cache.reader import Cache
from dubcli.core.atomic import remove_leftovers, writing
from dubcli.core.languages import found_as
from dubcli.core.memory import huge_pages_for_workers
from dubcli.errors import UserError
from dubcli.jobs.devices import Devices, devices_for_workers
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import JobSummary
from dubcli.jobs.progress import SILENT, Progress
from dubcli.jobs.runner import JobNames, run_jobs
from dubcli.separate.bags import check_model
from dubcli.separate.config import SeparateConfig
from dubcli.separate.files import LOG_FILE, plan_files, separate_file
from dubcli.separate.movies import separate_movie
from dubcli.separate.recipe import recipe_file


def separate(config: SeparateConfig, options: JobOptions = JobOptions(), progress: Progress = SILENT) -> JobSummary:
    """Write the no-speech mels of a cache's films, or the stems of files (paper section 3.4, variant 4; appendix D).

    What is there already, made with the same model, is not made again.

    Args:
        config: the cache or the files, the model, the device.
        options: ``workers`` None is one process per GPU, or one on the CPU, whose cores all work on one film.
        progress: takes bars and lines.

    Returns:
        What became of each film or file.

    Raises:
        UserError: the job as a whole cannot go on: a model that is not to be had, no cache, a full disk, more failures
            than ``options`` bear.

    >>> from pathlib import Path
    >>> from dubcli.separate import SeparateConfig, separate
    >>> config = SeparateConfig(files=(Path("film.wav"),), out=Path("listen"), model="own_separator:Karaoke")
    >>> [outcome.status for outcome in separate(config).outcomes]
    ['ok']
    >>> sorted(path.name for path in Path("listen").glob("*.flac"))
    ['film.no_vocals.flac', 'film.vocals.flac']
    """
    if config.source_root is not None:
        config = replace(config, source_root=config.source_root.absolute())  # a cluster's workers are elsewhere
    if config.model_repo is not None:
        if config.trust_models:
            progress.message(f"the .th files in {config.model_repo} are pickles and can run code: only trusted ones")
        config = replace(config, model_repo=config.model_repo.absolute())
    check_model(config.model, config.model_repo)
    huge_pages_for_workers()
    with devices_for_workers(config.device, config.gpus, options.workers, options.scheduler) as (devices, workers):
        options = replace(options, workers=workers)
        run = _files if config.files else _movies
        return run(config, devices, options, progress)


def _movies(config: SeparateConfig, devices: Devices, options: JobOptions, progress: Progress) -> JobSummary:
    config = replace(config, cache=config.cache.absolute())
    movies = Cache(config.cache).movies
    if not movies:
        raise UserError(f"{config.cache} holds no films; add some with dubav prep")
    languages = sorted({language for movie in movies for language in movie.languages})
    if config.lang is not None and found_as(config.lang, languages) not in languages:
        raise UserError(f"no film of {config.cache} has {config.lang}; there are {', '.join(languages)}")
    for movie in movies:
        remove_leftovers(movie.folder)
    function: Callable[[str, Any], dict[str, Any]] = partial(separate_movie, config=config, devices=devices)
    return run_jobs(
        function,
        [str(movie.folder) for movie in movies],
        JobNames(key=lambda folder: Path(folder).name),
        options=options,
        log=config.cache / layout.SEPARATE_LOG,
        progress=progress,
    )


def _files(config: SeparateConfig, devices: Devices, options: JobOptions, progress: Progress) -> JobSummary:
    assert config.out is not None
    config = replace(config, out=config.out.absolute())
    tasks = plan_files(config)
    assert config.out is not None
    with writing(config.out):
        config.out.mkdir(parents=True, exist_ok=True)
    for folder in {path.parent for task in tasks for path in task.paths}:
        remove_leftovers(folder)
        remove_leftovers(recipe_file(config.out, folder / "any").parent)
    return run_jobs(
        partial(separate_file, config=config, devices=devices),
        tasks,
        JobNames(task="files", unit="files", key=lambda task: task.name),
        options=options,
        log=config.out / LOG_FILE,
        progress=progress,
    )
