"""How each kind of step is done: by the public functions of the stages, with what the plan says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import JobSummary
from dubcli.jobs.progress import Progress
from dubcli.reproduce.plan import RANDOM, Plan
from dubcli.reproduce.steps import PlannedModel, Step, data_place, run_folder, training_config


class Stopped(Exception):
    """A step was told to stop by a signal (its number): it saved what it had, and goes on another time."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by signal {number}")
        self.number = number


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Machines that train together: ``rank`` is this one of ``count``; ``endpoint``: HOST:PORT of the first.

    Of one machine on which torchrun started the ranks of a training, ``rank`` is this process's.
    """

    count: int = 1
    rank: int = 0
    endpoint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Doing:
    """A step to be done. ``changed``: it was made of something else before. ``gpus``: -1 is all there are."""

    plan: Plan
    step: Step
    changed: bool
    gpus: int
    progress: Progress
    nodes: Nodes = Nodes()


def do(doing: Doing) -> list[Path]:
    """Do a step; what it made. Raises UserError where it cannot be done, Stopped after a signal."""
    return _WORK[doing.step.kind](doing)


def _prep(doing: Doing) -> list[Path]:
    from dubcli.prep import PrepConfig, prepare

    plan = doing.plan
    config = PrepConfig(languages=plan.films.languages, cache=plan.cache, **plan.prep)
    sources = [plan.place(source) for source in plan.films.sources]
    summary = prepare(sources, config, JobOptions(workers=plan.films.workers or None), doing.progress)
    if summary.failures and not summary.ok + summary.skipped:
        raise UserError(f"no film could be prepared; the first: {_first(summary)}")
    if summary.failures:  # they are left out for good; a film that is put right has another size, and so another recipe
        doing.progress.message(f"{len(summary.failures)} films cannot be used, such as {_first(summary)}")
    return [plan.cache / "cache.json"]


def _separate(doing: Doing) -> list[Path]:
    from dubcli.separate import SeparateConfig, separate

    config = SeparateConfig(cache=doing.plan.cache, **_separate_options(doing))
    _whole(separate(config, JobOptions(), doing.progress), "films have no sound without speech")
    return []


def _nospeech(doing: Doing) -> list[Path]:
    from dubcli.separate import SeparateConfig, separate

    place = data_place(doing.plan, doing.step.task)
    assert place is not None
    out = place.with_name(f"{place.name}-nospeech")
    config = SeparateConfig(files=(place,), out=out, **_separate_options(doing))
    _whole(separate(config, JobOptions(), doing.progress), f"sounds of {place} cannot be separated")
    return [out]


def _separate_options(doing: Doing) -> dict[str, Any]:
    options = dict(doing.plan.separate)
    for name in ("model_repo", "source_root"):
        if name in options:
            options[name] = doing.plan.place(str(options[name]))
    if doing.gpus >= 0:
        options.setdefault("gpus", doing.gpus)
    return options


def _pretrain(doing: Doing) -> list[Path]:
    from dubcli.pretrain import LaunchConfig, launch

    plan, model = doing.plan, doing.step.model
    assert model is not None
    folder = run_folder(plan, model)
    if doing.changed and folder.exists() and doing.nodes.rank == 0:
        _set_aside(plan, folder, doing.progress)
    where = LaunchConfig(
        gpus=None if doing.gpus < 0 else doing.gpus,
        procs=plan.pretrain.procs,
        nnodes=doing.nodes.count,
        node_rank=doing.nodes.rank if doing.nodes.count > 1 else 0,
        rdzv_endpoint=doing.nodes.endpoint,
    )
    summary = launch(training_config(plan, model), where, doing.progress)
    if summary.stopped_by is not None:
        raise Stopped(summary.stopped_by)
    return [folder / "ckpt.pt", *sorted(folder.glob("epoch-*.pt"))]


def _set_aside(plan: Plan, folder: Path, progress: Progress) -> None:
    """A run may have cost days: what a changed plan does not want any more is moved, not removed."""
    place = plan.out / "superseded"
    place.mkdir(parents=True, exist_ok=True)
    number = next(n for n in range(1, 10**6) if not (place / f"{folder.name}-{n}").exists())
    shutil.move(folder, place / f"{folder.name}-{number}")
    progress.message(f"the former run is kept in {place / f'{folder.name}-{number}'}")


def _probe(doing: Doing) -> list[Path]:
    from dubcli.probe import ProbeConfig, probe

    plan, step = doing.plan, doing.step
    assert step.model is not None
    options = dict(plan.probing)
    if doing.gpus >= 0:
        options.setdefault("gpus", doing.gpus)
    config = ProbeConfig(
        data=data_place(plan, step.task),
        out=plan.out / "results",
        protocol={**plan.probe.protocols}.get(step.task),
        data_kind=step.data_kind,
        again=doing.changed,
        **{"preset": str(step.recipe["model"]["preset"]) if step.model.variant == RANDOM and step.recipe else "paper",
           **options},
    )  # fmt: skip
    results = probe(step.task, argument(plan, step.model), config, doing.progress)
    return [result.path for result in results]


def argument(plan: Plan, model: PlannedModel) -> str:
    """The model as ``dubav probe`` takes it."""
    if model.variant == RANDOM:
        return f"{RANDOM}:{model.seed}"
    folder = run_folder(plan, model)
    return str(folder if model.epoch is None else folder / f"epoch-{model.epoch:02d}.pt")


def _whole(summary: JobSummary, what: str) -> None:
    if summary.failures:
        raise UserError(f"{len(summary.failures)} {what}, such as {_first(summary)}")


def _first(summary: JobSummary) -> str:
    failure = summary.failures[0]
    return f"{failure.name}: {failure.reason}"


_WORK: Mapping[str, Callable[[Doing], list[Path]]] = {
    "prep": _prep,
    "separate": _separate,
    "pretrain": _pretrain,
    "nospeech": _nospeech,
    "probe": _probe,
}
