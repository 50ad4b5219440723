"""``probe``: tasks and models -> features -> heads -> results files."""

from __future__ import annotations

import itertools
import platform
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dubcli import __version__
from dubcli.core.atomic import atomic_write
from dubcli.core.machine import choose_devices
from dubcli.core.results import letters
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.probe.checks import check_modalities, check_parts, odd_scale, without_failed
from dubcli.probe.config import MODALITIES, ProbeConfig
from dubcli.probe.features import ClipFeatures
from dubcli.probe.fewshot import few_shot
from dubcli.probe.prepare import (
    Prepared,
    data_fingerprint,
    label_array,
    leak_text,
    prepare_own,
    prepare_task,
    with_validation,
)
from dubcli.probe.probed import ProbedModel, Settings, open_model
from dubcli.probe.problem import Problem, Split
from dubcli.probe.protocols import find_protocol, run_protocol
from dubcli.probe.results import ProbeResult, existing, prediction_arrays, save_result, score_summary
from dubcli.probe.tasks.data import Task, TaskData
from dubcli.probe.tasks.find import left_aside, places_under
from dubcli.probe.tasks.paper import PAPER
from dubcli.probe.tasks.registry import TASKS, find_task, plugin_tasks
from dubcli.probe.training import Training

Loaded = tuple[TaskData, ClipFeatures]
"""A task without the clips that cannot be embedded, and the features of the others."""


def probe(
    task: str,
    models: Any,
    config: ProbeConfig | None = None,
    progress: Progress = SILENT,
) -> list[ProbeResult]:
    """Probe one task, or ``"all"`` that are there, with each model; results are written and returned.

    Args:
        task: a task's name, MODULE:NAME, or ``all``.
        models: one or a list of what ``dubav probe`` takes as CKPT, paths, an ``Embedder``, modules and objects with
            the functions that ``dubcli.probe.foreign`` names; or a mapping of names to these.
        config: the data, the protocol, where results go.
        progress: takes bars and lines.

    Returns:
        A result for each task and model; with ``shots`` one for each number of shots.

    Raises:
        UserError: arguments and data that are wrong; with ``"all"`` only when no task could be probed.

    >>> from pathlib import Path
    >>> from dubcli.probe import ProbeConfig, probe
    >>> (result,) = probe("folder", "runs/es", ProbeConfig(data=Path("sounds"), protocol="knn"))
    >>> result.path
    PosixPath('results/folder-sounds/es-ckpt.json')
    """
    given = models if isinstance(models, (list, tuple, Mapping)) else [models]
    results, failures = probe_tasks(task, given, config or ProbeConfig(), progress)
    if failures and not results:
        raise UserError("; ".join(f"{name}: {reason}" for name, reason in failures.items()))
    return results


def probe_tasks(
    task: str, models: Sequence[Any] | Mapping[str, Any], config: ProbeConfig, progress: Progress
) -> tuple[list[ProbeResult], dict[str, str]]:
    """As ``probe``; with ``"all"`` also why tasks failed, by "<task> <model>". Other tasks' errors are raised."""
    found = None if task == "all" else find_task(task)
    # heads train on one device; every part of the stage, whatever its models, refuses one that is not there
    devices = tuple(str(device) for device in choose_devices(config.device, config.gpus))
    named = models.items() if isinstance(models, Mapping) else ((None, model) for model in models)
    opened = [open_model(model, _settings(config, devices), name) for name, model in named]
    config = replace(config, device=devices[0], gpus=None)
    if found is not None:
        return _probe_task(found, config.data, opened, config, progress), {}
    return _probe_all(opened, config, progress)


def _probe_all(
    opened: Sequence[ProbedModel], config: ProbeConfig, progress: Progress
) -> tuple[list[ProbeResult], dict[str, str]]:
    """Every task that is there with every model; whatever goes wrong with one of them, the others are done."""
    results: list[ProbeResult] = []
    failures: dict[str, str] = {}
    for name, plugin in plugin_tasks():
        if isinstance(plugin, UserError):
            failures[name] = str(plugin)
    places = _tasks_there(opened, config, progress)
    if config.data is not None and (aside := left_aside([there for there, _ in places], config.data)):
        names = ", ".join(aside)
        progress.message(f"no task was recognised in {names} of {config.data}; see dubav probe --list for the layouts")
    for there, place in places:
        for model in opened:
            try:
                results += _probe_task(there, place, [model], config, progress)
            except UserError as error:
                failures[f"{there.name} {model.name}"] = str(error)
            except Exception as error:  # a bug in one task is no reason to lose the others
                failures[f"{there.name} {model.name}"] = _kept_traceback(error, config.out / there.name / model.name)
    return results, failures


def _kept_traceback(error: Exception, beside: Path) -> str:
    """Write the traceback of a bug beside where the result would be; what happened, in a line."""
    path = beside.with_name(f"{beside.name}.traceback.txt")
    with atomic_write(path, "w") as file:
        file.write("".join(traceback.format_exception(error)))
    first = next(iter(str(error).splitlines()), "")
    return f"unexpected {type(error).__name__}: {first} (its traceback is in {path}; please report it)"


def _settings(config: ProbeConfig, devices: tuple[str, ...]) -> Settings:
    return Settings(
        root=config.feature_root,
        devices=devices,
        precision=config.precision,
        batch_size=config.batch_size,
        chunks=config.chunks,
        preset=config.preset,
    )


def _tasks_there(
    models: Sequence[ProbedModel], config: ProbeConfig, progress: Progress
) -> list[tuple[Task, Path | None]]:
    """The tasks with the folder of each, which is told: one data set's own folder may hold what looks like others'."""
    found: list[tuple[Task, Path | None]] = []
    plugins = [task for _, task in plugin_tasks() if isinstance(task, Task)]
    for task in (*TASKS.values(), *plugins):
        places = places_under(task, config.data)
        if places:
            found.append((task, places[0]))
            others = f"; not {', '.join(map(str, places[1:]))}" if places[1:] else ""
            progress.message(f"{task.name}: in {places[0]}{others}")
        elif any(model.brings(task) for model in models):
            found.append((task, None))
    if not found:
        where = config.data or "$DUBAV_DATA and data/"
        raise UserError(f"no task's data is in {where}; it holds folders named as in dubav probe --list")
    return found


def _probe_task(
    task: Task, place: Path | None, models: Sequence[ProbedModel], config: ProbeConfig, progress: Progress
) -> list[ProbeResult]:
    shared: dict[bool, Prepared] = {}
    results = []
    for model in models:
        own = model.own_task(task)
        if own is not None:
            prepared = prepare_own(task, own, progress)
        else:
            needs = model.needs_sounds
            if needs not in shared:
                shared[needs] = prepare_task(task, place, config, progress, needs_sounds=needs)
            prepared = shared[needs]
        results += _probe_model(prepared, model, config, progress)
    return results


def _probe_model(prepared: Prepared, model: ProbedModel, config: ProbeConfig, progress: Progress) -> list[ProbeResult]:
    """Results of one model on one task: one per modality and number of shots. Features are made at most once, and all
    results are of the same clips: those that have every modality asked for."""
    asked = _asked(prepared.task, model, config)
    needed = tuple(name for name in MODALITIES["av"] if any(name in MODALITIES[one] for one in asked))
    if model.needs_sounds:
        check_modalities(prepared.data, needed)
    loaded: Loaded | None = None
    if model.named_by_numbers:
        # what has no hash is named by its numbers, so they are read before it is known whether the result is there
        loaded = _features(prepared, model, needed, config, progress)
    results = []
    for one, shots in itertools.product(asked, config.shots or (None,)):
        path = config.out / prepared.data.name / f"{result_name(model.name, prepared.task, one, shots)}.json"
        identity = _identity(prepared, model, one, needed, shots, config)
        there = None if config.again else existing(path, identity)
        if there is not None:
            progress.message(f"{path} is there already; --again computes it again")
            results.append(there)
            continue
        loaded = loaded or _features(prepared, model, needed, config, progress)
        run = _Run(config=config, identity=identity, shots=shots, progress=progress)
        results.append(_measure(prepared, (loaded[0], _columns(loaded[1], one, needed)), model, run, path))
    return results


def _asked(task: Task, model: ProbedModel, config: ProbeConfig) -> tuple[str, ...]:
    """Keys of MODALITIES: those asked for, else what the task is about, of both all that the model has."""
    if config.modalities is not None:
        return config.modalities
    about = tuple(name for name, parts in MODALITIES.items() if set(parts) <= set(task.modalities))
    if len(about) == 1:
        return about
    return tuple(name for name in about if set(MODALITIES[name]) <= set(model.modalities)) or about


def result_name(model: str, task: Task, modality: str, shots: int | None) -> str:
    """``<model>[-a|-v|-av][-<n>shot]``: the modality stands in it unless it is the only one that the task is about."""
    name = model if MODALITIES[modality] == task.modalities != MODALITIES["av"] else f"{model}-{modality}"
    return name if shots is None else f"{name}-{shots}shot"


def _columns(found: ClipFeatures, modality: str, needed: Sequence[str]) -> np.ndarray:
    """The features of one key of MODALITIES, of those that stand side by side."""
    if MODALITIES[modality] == tuple(needed):
        return found.array
    wanted = [name in MODALITIES[modality] for name in needed]
    return found.array[:, np.repeat(wanted, found.widths)]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What one result is made with. ``shots``: None for all training clips; ``identity``: what it depends on."""

    config: ProbeConfig
    identity: dict[str, Any]
    shots: int | None
    progress: Progress


def _features(
    prepared: Prepared, model: ProbedModel, modalities: Sequence[str], config: ProbeConfig, progress: Progress
) -> Loaded:
    """The task without clips that cannot be embedded, and its features."""
    found = model.features(prepared.data, modalities, progress)
    data, array = without_failed(prepared.data, found.array, found.failed, allow=config.allow_missing)
    if found.failed:
        progress.message(f"{data.name}: {data.notes[-1]}")
        data = check_parts(data)
    return data, replace(found, array=array, failed={})


def _measure(
    prepared: Prepared, loaded: tuple[TaskData, np.ndarray], model: ProbedModel, run: _Run, path: Path
) -> ProbeResult:
    begun = time.monotonic()
    data, array = loaded
    config, protocol = run.config, run.identity["protocol"]
    clips = data_fingerprint(data)
    if run.shots is not None:
        data = few_shot(data, run.shots, config.draws, config.seed)
    if find_protocol(protocol).needs_validation:
        data = with_validation(data)
    if (odd := odd_scale(array, protocol)) is not None:
        run.progress.message(f"{data.name}, {model.name}: {odd}")
        data = data.with_notes(odd)
    problem = to_problem(data, array)
    training = Training(
        seed=config.seed,
        device=config.device,
        fast=config.fast_heads,
        max_steps=config.max_steps,
        progress=run.progress,
    )
    scores = run_protocol(problem, protocol, training)
    content = {
        "task": data.name,
        "model": path.stem,
        "modality": letters(run.identity["modalities"]),
        **score_summary(problem, scores),
        "features": {"name": model.name, **model.identity()},
        "identity": run.identity,
        "data": {"fingerprint": clips, **data_facts(prepared, data)},
        "config": asdict(config) | {"data": str(config.data), "out": str(config.out), "features": str(config.features)},
        "seconds": round(time.monotonic() - begun, 3),
        "versions": {
            "dubcli": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    return save_result(path, content, prediction_arrays(problem, scores, [*map(data.key, data.clips)]))


def to_problem(data: TaskData, array: np.ndarray) -> Problem:
    """The task as the heads see it: numbers only."""
    splits = tuple(
        Split(
            train=np.array(split.train, dtype=np.int64),
            valid=np.array(split.valid, dtype=np.int64),
            test=np.array(split.test, dtype=np.int64),
            name=split.name,
        )
        for split in data.splits
    )
    classes: Any = data.classes if data.kind == "multioutput" else data.classes[0]
    return Problem(
        name=data.name,
        features=array,
        labels=label_array(data),
        kind=data.kind,
        classes=classes,
        splits=splits,
        metrics=data.metrics,
    )


def data_facts(prepared: Prepared, data: TaskData) -> dict[str, Any]:
    """What a results file says of the data: layout, sizes, whose splits, notes, leakage."""
    leaks = prepared.leaks
    return {
        "folder": str(data.folder),
        "layout": data.layout,
        "official_splits": data.official,
        "clips": len(data.clips),
        "classes": [len(names) for names in data.classes],
        "classes_in_paper": list(PAPER[data.name].classes) if data.name in PAPER else [],
        "notes": [*data.notes, *([leak_text(leaks)] if leaks else [])],
        "leakage": [{"split": leak.split, "paths": list(leak.paths)} for leak in leaks],
    }


def _identity(
    prepared: Prepared, model: ProbedModel, modality: str, needed: Sequence[str], shots: int | None, config: ProbeConfig
) -> dict[str, Any]:
    """What a result depends on; another value under the same name is not the same result."""
    return {
        "content_hash": model.identity()["content_hash"],
        "data_variant": config.data_kind,
        "splits": config.splits if prepared.task.alternative_splits else "all",
        "chunks": config.chunks,
        "data": data_fingerprint(prepared.data),
        "protocol": config.protocol or prepared.data.protocol or prepared.task.protocol,
        "modalities": list(MODALITIES[modality]),
        "clips_with": list(needed),
        "shots": shots,
        "draws": config.draws if shots is not None else None,
        "seed": config.seed,
        "fast_heads": config.fast_heads,
        "max_steps": config.max_steps,
    }
