"""The steps of a plan, in the order in which they can be done, and where each stands by what is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubcli.cache.layout import is_cache
from dubcli.cache.reader import Cache
from dubcli.core.tracks import FULL
from dubcli.core.variants import parse_variant
from dubcli.errors import UserError
from dubcli.pretrain.config import PretrainConfig, resolve
from dubcli.probe.tasks.find import places_under
from dubcli.probe.tasks.registry import find_task
from dubcli.reproduce.marks import Mark, digest, what_changed
from dubcli.reproduce.plan import RANDOM, Plan

DONE, TO_DO, CHANGED, WAITS, MISSING = "done", "to do", "changed", "waits", "missing"
_SPEED_ONLY = ("device", "gpus", "batch_size", "check_leakage")


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """What is probed. ``name``: of the run's folder, or random; ``epoch``: None is the last."""

    variant: str
    seed: int
    epoch: int | None = None

    @property
    def run(self) -> str:
        """The run's folder: the variant, and the seed where it is not 0."""
        name = self.variant.replace(":", "-").replace(",", "-")
        return name if self.seed == 0 else f"{name}-seed{self.seed}"

    @property
    def label(self) -> str:
        """For steps' names."""
        return self.run if self.epoch is None else f"{self.run}-epoch-{self.epoch:02d}"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One piece of work: ``name`` is ``<kind>/<what>``, ``recipe`` what its result depends on (None: not known yet).

    ``needs``: names of the steps before it. ``missing``: what a person has to bring first.
    """

    name: str
    recipe: Mapping[str, Any] | None
    needs: tuple[str, ...] = ()
    missing: str = ""
    model: PlannedModel | None = None
    task: str = ""
    data_kind: str = "speech"

    @property
    def kind(self) -> str:
        """prep, separate, pretrain, nospeech, probe or report."""
        return self.name.split("/", 1)[0]


@dataclass
class State:
    """Where a step stands. ``why``: what changed, what it waits for, what is missing."""

    step: Step
    state: str
    why: str = ""
    mark: Mark | None = field(default=None, repr=False)


def training_config(plan: Plan, model: PlannedModel) -> PretrainConfig:
    """The options of a model's run. Raises UserError where they make no sense."""
    own = {"variant": model.variant, "seed": model.seed, "cache": str(plan.cache), "out": str(run_folder(plan, model))}
    return resolve(None, {**plan.training, **own})[0]


def run_folder(plan: Plan, model: PlannedModel) -> Path:
    """Where a model is trained."""
    return plan.out / "runs" / model.run


def models_of(plan: Plan) -> list[PlannedModel]:
    """Every variant with every seed."""
    return [
        PlannedModel(variant=variant, seed=seed) for seed in plan.pretrain.seeds for variant in plan.pretrain.variants
    ]


def data_place(plan: Plan, task: str) -> Path | None:
    """Where a task's data is, by the plan; None where it is not there."""
    found = find_task(task)
    data = plan.probe.data
    if isinstance(data, str):
        return next(iter(places_under(found, plan.place(data))), None)
    named = {find_task(name).name: plan.place(folder) for name, folder in data.items()}
    if found.name in named:  # the data set's own folder: the task looks in it by itself
        return named[found.name] if places_under(found, named[found.name]) else None
    return next(iter(places_under(found, None)), None)


class StepList:
    """Builds the steps of a plan; what is on disk is looked at once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.places = {find_task(name).name: data_place(plan, name) for name in self._all_tasks()}
        self.cache = Cache(plan.cache) if is_cache(plan.cache) else None

    def _all_tasks(self) -> list[str]:
        nospeech = self.plan.nospeech.tasks if self.plan.nospeech is not None else ()
        return list(dict.fromkeys((*self.plan.tasks, *self.plan.epoch_tasks, *nospeech)))

    def build(self) -> list[Step]:
        """Raises UserError where options of the plan make no sense."""
        self.training = {model: self._pretrain(model) for model in models_of(self.plan)}
        found = [*self._films(), *self.training.values()]
        found += self._probes()
        return found

    def _films(self) -> list[Step]:
        plan = self.plan
        found = []
        if plan.films.sources:
            found.append(self._prep())
        if any(self._needs_separation(variant) for variant in plan.pretrain.variants):
            films = None if self.cache is None else sorted(movie.id for movie in self.cache.movies)
            recipe = None if films is None else {"films": films, **_lasting(plan.separate)}
            needs = ("prep",) if plan.films.sources else ()
            found.append(Step(name="separate", recipe=recipe, needs=needs))
        return found

    def _prep(self) -> Step:
        from dubcli.media.library import find_films

        sources = [self.plan.place(source) for source in self.plan.films.sources]
        absent = [str(path) for path in sources if not path.exists()]
        if absent:
            return Step(
                name="prep", recipe=None, missing=f"{', '.join(absent)}: the films, [films] sources of the plan"
            )
        films = sorted(self.plan.named(film.video) for film in find_films(sources))
        recipe = {"films": films, "languages": list(self.plan.films.languages), **self.plan.prep}
        return Step(name="prep", recipe=recipe)

    def _needs_separation(self, variant: str) -> bool:
        languages = list(self.plan.films.languages)
        if self.cache is not None:
            languages = [*dict.fromkeys([*languages, *(name for m in self.cache.movies for name in m.languages)])]
        tracks = parse_variant(variant, languages[0], languages).tracks
        return any(track.kind != FULL for track in tracks)

    def _pretrain(self, model: PlannedModel) -> Step:
        plan = self.plan
        needs = ["prep"] if plan.films.sources else []
        if self._needs_separation(model.variant):
            needs.append("separate")
        config = training_config(plan, model)
        missing = ""
        recipe: dict[str, Any] | None = None
        if self.cache is not None:
            recipe = {
                **config.results(),
                "gpus": plan.pretrain.gpus,
                "procs": plan.pretrain.procs,
                "cache_parameters": self.cache.info.get("parameters"),
                "film_set": self._film_set(config),
            }
        elif not needs:
            missing = f"{plan.cache}: the clip cache; say [films] sources to have it made, or cache where it is"
        return Step(name=f"pretrain/{model.run}", recipe=recipe, needs=tuple(needs), missing=missing, model=model)

    def _film_set(self, config: PretrainConfig) -> str | None:
        from dubcli.pretrain.training_films import read_training_films

        options = config.to_dict()
        names = ("cache", "variant", "val_fraction", "films_with")
        try:
            return read_training_films(*(options[name] for name in names)).film_set
        except UserError:
            return None  # no film has its tracks yet; the step itself says so

    def _probes(self) -> list[Step]:
        plan = self.plan
        last = models_of(plan)
        if plan.probe.random:
            last = [PlannedModel(variant=RANDOM, seed=0), *last]
        final = self._option("epochs")
        early = [
            PlannedModel(variant=model.variant, seed=model.seed, epoch=epoch)
            for model in models_of(plan)
            for epoch in plan.probe.epochs
            if epoch < final
        ]
        found = [self._probe(task, model) for task in plan.tasks for model in last if self._can(model, task)]
        found += [self._probe(task, model) for task in plan.epoch_tasks for model in early if self._can(model, task)]
        if plan.nospeech is not None:
            for task in plan.nospeech.tasks:
                found.append(self._nospeech(find_task(task).name))
                chosen = [model for model in last if model.variant in plan.nospeech.variants]
                found += [self._probe(task, model, nospeech=True) for model in chosen]
        return found

    def _can(self, model: PlannedModel, task: str) -> bool:
        """Whether a model has what a task looks at: an audio-only one sees nothing (the dashes of tables 1 and 2)."""
        if model.variant == RANDOM or "video" not in find_task(task).modalities:
            return True
        languages = list(self.plan.films.languages)
        return parse_variant(model.variant, languages[0], languages).uses_video

    def _nospeech(self, task: str) -> Step:
        recipe = {"data": self._named(task), **_lasting(self.plan.separate)}
        return Step(name=f"nospeech/{task}", recipe=recipe, missing=self._lacking(task), task=task)

    def _probe(self, task: str, model: PlannedModel, *, nospeech: bool = False) -> Step:
        task = find_task(task).name
        plan = self.plan
        kind = "speech"
        if nospeech and plan.nospeech is not None:
            kind = "nospeech" if plan.nospeech.removed_from == "both" else "nospeech-test"
        needs = [f"nospeech/{task}"] if nospeech else []
        trained: Any = {"seed": model.seed, "preset": plan.probing.get("preset") or self._option("preset")}
        known = True
        if model.variant != RANDOM:
            run = self.training[PlannedModel(variant=model.variant, seed=model.seed)]
            needs.append(run.name)
            known = run.recipe is not None
            trained = digest(run.recipe or {})
        recipe = {
            "model": trained,
            "epoch": model.epoch,
            "task": task,
            "data": self._named(task),
            "data_kind": kind,
            "protocol": self._protocol(task),
            **{name: value for name, value in plan.probing.items() if name not in _SPEED_ONLY},
        }
        name = f"probe/{task}{'' if kind == 'speech' else f'-{kind}'}/{model.label}"
        return Step(name=name, recipe=recipe if known else None, needs=tuple(needs), missing=self._lacking(task),
                    model=model, task=task, data_kind=kind)  # fmt: skip

    def _option(self, name: str) -> Any:
        """Of pretraining, the same for all models."""
        return training_config(self.plan, models_of(self.plan)[0]).to_dict()[name]

    def _protocol(self, task: str) -> str | None:
        return {find_task(name).name: value for name, value in self.plan.probe.protocols.items()}.get(task)

    def _named(self, task: str) -> str | None:
        place = self.places[task]
        return None if place is None else self.plan.named(place)

    def _lacking(self, task: str) -> str:
        if self.places[task] is not None:
            return ""
        data = self.plan.probe.data
        absent = isinstance(data, str) and not self.plan.place(data).is_dir()
        looked = f" ([probe] data, {self.plan.place(str(data))}, is not there)" if absent else ""
        return f"the data of {find_task(task).title}{looked}: {find_task(task).where}"


def _lasting(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that change a result, as they stand in the plan."""
    return {name: value for name, value in options.items() if name not in _SPEED_ONLY}


def step_state(step: Step, mark: Mark | None, before: Mapping[str, State]) -> State:
    """Where a step stands by its mark, its outputs and the steps before it."""
    changed = what_changed(mark.recipe, step.recipe) if mark is not None and step.recipe is not None else ""
    whole = mark is not None and mark.seconds is not None and all(path.exists() for path in mark.outputs)
    waiting = [name for name in step.needs if name in before and before[name].state != DONE]
    if mark is not None and whole and not changed and not waiting:
        return State(step, DONE, mark=mark)
    if step.missing:
        return State(step, MISSING, step.missing, mark)
    if waiting:
        return State(step, WAITS, f"for {waiting[0]}", mark)
    if changed:
        return State(step, CHANGED, changed, mark)
    return State(step, TO_DO, "", mark)
