"""What a plan says: one TOML file for the whole study. Words that it does not know are refused with near ones.

Its tables are ``films``, ``separate``, ``pretrain``, ``probe``, ``nospeech``, ``report`` and ``slurm``. Beside what is
named here, ``films`` takes the options of ``dubav prep``, ``separate``, ``pretrain`` and ``probe`` those of the
commands of these names. Paths are relative to the plan's own folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from dubcli.core.toml import read_toml
from dubcli.errors import UserError, did_you_mean

PAPER_VARIANTS = ("mono", "sep", "a", "es", "fr", "ja", "efj", "a-efj")
PAPER_LANGUAGES = ("en", "es", "fr", "ja")
PAPER_EPOCHS = (2, 4, 6, 8)
NOSPEECH_TASKS = ("fluent-speech-commands",)
NOSPEECH_VARIANTS = ("random", "mono", "es", "ja", "fr", "efj", "sep")
RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class FilmsPlan:
    """``sources``: films to prepare, none where ``cache`` is there already. ``cache``: default OUT/cache."""

    sources: tuple[str, ...] = ()
    cache: str = ""
    languages: tuple[str, ...] = PAPER_LANGUAGES
    workers: int = 0


@dataclass(frozen=True, kw_only=True)
class PretrainPlan:
    """Which models: every variant with every seed. ``gpus`` (-1: all there are) and ``procs`` as of the command."""

    variants: tuple[str, ...] = PAPER_VARIANTS
    seeds: tuple[int, ...] = (0,)
    gpus: int = -1
    procs: int = 1


@dataclass(frozen=True, kw_only=True)
class ProbePlan:
    """What is measured: every model on every task at its last epoch, and at ``epochs`` (figure C2) on ``epoch_tasks``.

    ``tasks``: all of table B5 where none is named; ``epoch_tasks``: those of them that are HEAR's. ``data``: a folder
    that holds the data sets, or a folder by task. ``protocols``: by task, where not the paper's. ``random``: the
    untrained model too (RP of table D6).
    """

    tasks: tuple[str, ...] = ()
    data: str | Mapping[str, str] = "datasets"
    protocols: Mapping[str, str] = field(default_factory=dict)
    epochs: tuple[int, ...] = PAPER_EPOCHS
    epoch_tasks: tuple[str, ...] = ()
    random: bool = True


@dataclass(frozen=True, kw_only=True)
class NospeechPlan:
    """Table D6: ``tasks`` probed once more without speech. ``variants``: with which models, of those that the plan has.

    ``removed_from``: ``both`` training and test, or the ``test`` alone.
    """

    tasks: tuple[str, ...] = NOSPEECH_TASKS
    variants: tuple[str, ...] = NOSPEECH_VARIANTS
    removed_from: str = "both"


@dataclass(frozen=True, kw_only=True)
class ReportPlan:
    """``paper``: its numbers beside ours; ``outside``: tables A1 to A3. ``against``: variants that the others are
    compared with, pair by pair. ``gallery``: queries for each model, 0 for none."""

    title: str = "The paper's study"
    paper: bool = True
    outside: bool = True
    against: tuple[str, ...] = ("mono",)
    gallery: int = 0


@dataclass(frozen=True, kw_only=True)
class SlurmPlan:
    """What the jobs ask for. ``nodes``: of a pretraining, with ``gpus`` on each; ``lines``: more of ``#SBATCH``;
    ``setup``: shell before."""

    partition: str = ""
    account: str = ""
    time: str = "24:00:00"
    cpus: int = 8
    memory: str = "64G"
    nodes: int = 1
    gpus: int = 4
    probe_gpus: int = 1
    lines: tuple[str, ...] = ()
    setup: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One whole study.

    Attributes:
        path: of the plan's file.
        out: folder of everything that is made.
        films: where they are.
        pretrain: which variants, how long, on what.
        probe: which tasks, of which data.
        nospeech: the part without speech; None where the plan has none.
        report: what the tables hold.
        slurm: what jobs ask for.
        prep: options of the stage, by their names there.
        separate: likewise.
        training: likewise of ``pretrain``.
        probing: likewise of ``probe``.
    """

    path: Path
    out: Path
    films: FilmsPlan
    pretrain: PretrainPlan
    probe: ProbePlan
    nospeech: NospeechPlan | None
    report: ReportPlan
    slurm: SlurmPlan
    prep: Mapping[str, Any]
    separate: Mapping[str, Any]
    training: Mapping[str, Any]
    probing: Mapping[str, Any]

    @property
    def cache(self) -> Path:
        """The clip cache."""
        return self.place(self.films.cache) if self.films.cache else self.out / "cache"

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of tables 1 and 2."""
        from dubcli.probe.tasks.registry import TASKS

        return self.probe.tasks or tuple(TASKS)

    @property
    def epoch_tasks(self) -> tuple[str, ...]:
        """The tasks of figure C2."""
        from dubcli.probe.tasks.registry import find_task

        return self.probe.epoch_tasks or tuple(name for name in self.tasks if find_task(name).hear)

    def place(self, path: str) -> Path:
        """A path of the plan, which is relative to its folder."""
        return (self.path.parent / Path(path).expanduser()).absolute()

    def named(self, path: Path) -> str:
        """A path as recipes hold it: relative where it lies beside the plan, so that a study can be moved."""
        folder = self.path.parent
        return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


_TABLES = ("films", "separate", "pretrain", "probe", "nospeech", "report", "slurm")
_OWN_PREP = ("languages", "cache")
_OWN_SEPARATE = ("cache", "files", "out", "lang", "stems", "file_format")
_OWN_PRETRAIN = ("variant", "cache", "out", "seed")
_OWN_PROBE = ("data", "out", "features", "protocol", "data_kind", "shots", "draws", "modalities", "again")


def read_plan(path: str | Path) -> Plan:
    """The plan in a TOML file.

    Args:
        path: the file.

    Returns:
        The plan, checked.

    Raises:
        UserError: in one line: no such file, no TOML, unknown words, wrong values.

    >>> from dubcli.reproduce import read_plan
    >>> plan = read_plan("study.toml")  # doctest: +SKIP
    """
    from dubcli.prep.config import PrepConfig
    from dubcli.pretrain.config import PARTS
    from dubcli.probe.config import ProbeConfig
    from dubcli.separate.config import SeparateConfig

    path = Path(path)
    content = read_toml(path, "the plan itself, a .toml file such as examples/paper.toml")
    _refuse_unknown(content, ("out", *_TABLES), f"{path}: ")
    tables = {name: _table(content, name, path) for name in _TABLES}

    def own(name: str, kind: type[Any]) -> Any:
        return _made(kind, tables[name], f"{path}, [{name}]: ")

    def rest(name: str, kinds: Sequence[type[Any]], taken: Collection[str], mine: type[Any] | None) -> dict[str, Any]:
        defaults = {f.name: f.default for kind in kinds for f in fields(kind)}
        hints = {option: hint for kind in kinds for option, hint in get_type_hints(kind).items()}
        others = [f.name for f in fields(mine)] if mine is not None else []
        known = {key: value for key, value in defaults.items() if key not in (*taken, *others)}
        _refuse_unknown(tables[name], (*others, *known), f"{path}, [{name}]: ")
        return {
            key: _typed(value, known[key], f"{path}, [{name}]: {key}", hints[key])
            for key, value in tables[name].items()
            if key in known
        }

    for name, kind in {"report": ReportPlan, "slurm": SlurmPlan, "nospeech": NospeechPlan}.items():
        _refuse_unknown(tables[name], [f.name for f in fields(kind)], f"{path}, [{name}]: ")
    plan = Plan(
        path=path.absolute(),
        out=(path.parent / str(content.get("out", path.stem))).absolute(),
        films=own("films", FilmsPlan),
        pretrain=own("pretrain", PretrainPlan),
        probe=own("probe", ProbePlan),
        nospeech=own("nospeech", NospeechPlan) if "nospeech" in content else None,
        report=own("report", ReportPlan),
        slurm=own("slurm", SlurmPlan),
        prep=rest("films", [PrepConfig], _OWN_PREP, FilmsPlan),
        separate=rest("separate", [SeparateConfig], _OWN_SEPARATE, None),
        training=rest("pretrain", [*PARTS.values()], _OWN_PRETRAIN, PretrainPlan),
        probing=rest("probe", [ProbeConfig], _OWN_PROBE, ProbePlan),
    )
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    """Values that would be found wrong only when their step is reached, days later."""
    from dubcli.core.presets import preset_sizes
    from dubcli.pretrain.config import PretrainConfig
    from dubcli.probe.tasks.registry import find_task

    where = f"{plan.path}: "
    for table, check in {"films": _prep_config, "separate": _separate_config, "probe": _probe_configs}.items():
        try:
            check(plan)
        except UserError as error:
            raise UserError(f"{where}[{table}] {error}") from None
    for options in (plan.training, plan.probing):
        preset_sizes(str(options.get("preset", "paper")))
    for name in (*plan.probe.tasks, *plan.probe.epoch_tasks, *plan.probe.protocols, *_by_task(plan.probe.data)):
        find_task(name)
    models = (*plan.pretrain.variants, RANDOM)
    for name in plan.report.against:
        if name not in models:
            raise UserError(f"{where}[report] against names {name}, no variant of the plan{did_you_mean(name, models)}")
    if plan.nospeech is not None:
        for name in plan.nospeech.tasks:
            find_task(name)
        if plan.nospeech.removed_from not in ("both", "test"):
            raise UserError(f"{where}[nospeech] removed_from is {plan.nospeech.removed_from!r}; give both or test")
        if (own := plan.nospeech.variants) != NOSPEECH_VARIANTS and (unknown := [n for n in own if n not in models]):
            near = did_you_mean(unknown[0], models)
            raise UserError(f"{where}[nospeech] variants names {unknown[0]}, no variant of the plan{near}")
    for name, values in (("variants", plan.pretrain.variants), ("seeds", plan.pretrain.seeds)):
        if not values or len(set(values)) != len(values):
            raise UserError(f"{where}[pretrain] {name} is {list(values)}; name some, each once")
    if any(epoch < 1 for epoch in plan.probe.epochs):
        raise UserError(f"{where}[probe] epochs is {list(plan.probe.epochs)}; epochs count from 1")
    last = int(plan.training.get("epochs", PretrainConfig().optimisation.epochs))
    if plan.probe.epochs != PAPER_EPOCHS and (late := [epoch for epoch in plan.probe.epochs if epoch > last]):
        raise UserError(f"{where}[probe] epochs has {late[0]}, but models train for {last} ([pretrain] epochs)")


def _prep_config(plan: Plan) -> None:
    from dubcli.prep.config import PrepConfig

    PrepConfig(languages=plan.films.languages, **plan.prep)


def _separate_config(plan: Plan) -> None:
    from dubcli.separate.config import SeparateConfig

    SeparateConfig(**plan.separate)


def _probe_configs(plan: Plan) -> None:
    from dubcli.probe.config import ProbeConfig

    for protocol in (None, *plan.probe.protocols.values()):
        ProbeConfig(protocol=protocol, **plan.probing)


def _by_task(data: str | Mapping[str, str]) -> tuple[str, ...]:
    return () if isinstance(data, str) else tuple(data)


def _table(content: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise UserError(f"{path}: {name} is {table!r}; it is a table, [{name}] and a line for each of its words")
    return {str(key).replace("-", "_"): value for key, value in table.items()}


def _refuse_unknown(table: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for name in table:
        if name not in known:
            near = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise UserError(f"{where}there is no {name}{near}")


def _made(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    """An instance of a plan's class from its words in the table; a value has the type of its default."""
    defaults = kind()
    values = {}
    for name in (f.name for f in fields(kind) if f.name in table):
        values[name] = _typed(table[name], getattr(defaults, name), f"{where}{name}")
    return kind(**values)


def _typed(value: Any, default: Any, where: str, hint: Any = None) -> Any:
    """``value`` where it has the type of a default, of an option that is None by default one of its ``hint``."""
    if default is None:
        kinds = {list: "a list", str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
        names = {tuple: list, Path: str}
        allowed = {names.get(origin, origin) for kind in get_args(hint) if (origin := get_origin(kind) or kind)}
        if type(value) not in allowed:
            words = [text for kind, text in kinds.items() if kind in allowed]
            raise UserError(f"{where} is {value!r}; give {' or '.join(words)}")
        return tuple(value) if isinstance(value, list) else value
    if isinstance(default, tuple):
        item = default[0] if default else ""
        if not isinstance(value, list):
            raise UserError(f"{where} is {value!r}; give a list, such as {list(default) or ['a', 'b']}")
        return tuple(_typed(entry, item, where) for entry in value)
    if isinstance(value, dict) and (isinstance(default, Mapping) or where.endswith("data")):
        return {str(name): _typed(entry, "", f"{where}, {name}") for name, entry in value.items()}
    if type(value) is not type(default):
        raise UserError(f"{where} is {value!r}; give a value such as {default!r}")
    return value
