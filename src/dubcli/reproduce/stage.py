"""``reproduce``: do the steps of a plan that are not done, as far as what is there allows, and draw its tables."""

from __future__ import annotations

import time
import traceback
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dubcli.core.atomic import atomic_write
from dubcli.core.machine import ranks_of
from dubcli.errors import UserError, did_you_mean, first_line
from dubcli.jobs.progress import SILENT, Progress
from dubcli.reproduce.marks import Marks
from dubcli.reproduce.plan import Plan
from dubcli.reproduce.report import draw_report
from dubcli.reproduce.steps import CHANGED, DONE, MISSING, TO_DO, State, Step, StepList, step_state
from dubcli.reproduce.work import Doing, Nodes, Stopped, do

REPORT = "report"
_OTHERS_STEPS = ("prep", "separate")  # after these the recipes of the later steps are known


@dataclass
class ReproduceSummary:
    """Where a plan stands. ``asked``: names of the steps that were asked for, none is all. ``ran``: done now.
    ``failed``: why others were not. ``page``: of the report, if any."""

    states: list[State]
    asked: tuple[str, ...] = ()
    ran: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    page: Path | None = None
    stopped_by: int | None = None

    @property
    def done(self) -> int:
        """How many steps are done, before or now."""
        return sum(state.state == DONE for state in self.states)

    @property
    def left(self) -> list[State]:
        """The steps that were asked for and are not done."""
        asked = [state for state in self.states if not self.asked or state.step.name in self.asked]
        return [state for state in asked if state.state != DONE]

    @property
    def exit_status(self) -> int:
        """0 all that was asked for is done; 1 some is not; 2 nothing of the plan is."""
        if not self.left and not self.failed and self.stopped_by is None:
            return 0
        return 1 if self.done else 2


def reproduce(
    plan: Plan,
    progress: Progress = SILENT,
    *,
    only: Sequence[str] = (),
    gpus: int | None = None,
    nodes: Nodes = Nodes(),  # noqa: B008 - frozen
) -> ReproduceSummary:
    """Go through a plan from where it stands to its tables. Killed at any moment, the same call goes on.

    Args:
        plan: of ``read_plan``.
        progress: takes bars and lines.
        only: names of steps; the others are left alone (a cluster's jobs). ``report`` is one of them.
        gpus: of this machine, in place of the plan's; 0 is the CPU.
        nodes: this machine's place among several that train together; then ``only`` names trainings.

    Returns:
        What was done and what failed: a step that cannot be done is named with its reason, and those that do not need
        it go on.

    Raises:
        UserError: a plan or names that make no sense.
        KeyboardInterrupt: after Ctrl-C.

    >>> from dubcli.reproduce import read_plan, reproduce
    >>> reproduce(read_plan("study.toml"), gpus=0)  # doctest: +SKIP
    """
    nodes = _placed(nodes, only)
    return _Study(plan, progress, plan.pretrain.gpus if gpus is None else gpus, nodes).run(only)


def _placed(nodes: Nodes, only: Sequence[str]) -> Nodes:
    """The same with this process's rank where torchrun, srun or mpirun started the ranks of a training.

    Raises UserError where several processes would do the same step beside each other.
    """
    trainings = bool(only) and all(name.startswith("pretrain/") for name in only)
    if nodes.count > 1 and not trainings:
        raise UserError("--nnodes is for trainings: give --only pretrain/NAME, and everything else on one machine")
    ranks = ranks_of()
    if ranks is None or ranks.world_size == 1 or nodes.count > 1:
        return nodes
    if len(only) != 1 or not trainings:
        raise UserError(
            f"{ranks.started_by} started {ranks.world_size} processes, which would all do the whole plan; give them "
            "one training, --only pretrain/NAME, or start one process: it trains on all GPUs of its machine (--gpus)"
        )
    return replace(nodes, rank=ranks.rank)


class _Study:
    def __init__(self, plan: Plan, progress: Progress, gpus: int, nodes: Nodes = Nodes()) -> None:  # noqa: B008
        self.plan, self.progress, self.gpus, self.nodes = plan, progress, gpus, nodes
        self.marks = Marks(plan.out / "steps", writes=nodes.rank == 0)
        self.summary = ReproduceSummary([])

    def run(self, only: Sequence[str]) -> ReproduceSummary:
        steps = StepList(self.plan).build()
        _check_names(only, [step.name for step in steps])
        self.summary.asked = tuple(only)
        for what, waiting in lacking(self._standing(steps)).items():  # said before days of work, not only after
            self.progress.message(missing_text(what, waiting))
        found: dict[str, State] = {}
        for number in range(len(steps)):
            step = steps[number]
            state = step_state(step, self.marks.read(step.name), found)
            found[step.name] = state
            if state.state in (TO_DO, CHANGED) and (not only or step.name in only) and self._done(state):
                found[step.name] = State(step, DONE, mark=self.marks.read(step.name))
                if step.kind in _OTHERS_STEPS:
                    steps = StepList(self.plan).build()
            if self.summary.stopped_by is not None:
                break
        for step in steps:  # those after one that was stopped stand as they stood
            if step.name not in found:
                found[step.name] = step_state(step, self.marks.read(step.name), found)
        self.summary.states = [found[step.name] for step in steps]
        if self.summary.stopped_by is None and (not only or REPORT in only):
            self._report()
        return self.summary

    def _standing(self, steps: Sequence[Step]) -> list[State]:
        found: dict[str, State] = {}
        for step in steps:
            found[step.name] = step_state(step, self.marks.read(step.name), found)
        return list(found.values())

    def _done(self, state: State) -> bool:
        """Do a step; whether that went well. What a step of days has taken is kept when it is interrupted."""
        step = state.step
        self._tell(state)
        recipe = step.recipe or {}
        spent = self.marks.begin(step.name, recipe)
        began = time.monotonic()
        doing = Doing(
            plan=self.plan,
            step=step,
            changed=state.state == CHANGED,
            gpus=self.gpus,
            nodes=self.nodes,
            progress=self.progress,
        )
        try:
            outputs = do(doing)
        except UserError as error:
            self._failed(step, str(error))
            return False
        except Stopped as stopped:
            self.marks.pause(step.name, recipe, spent + time.monotonic() - began)
            self.summary.stopped_by = stopped.number
            return False
        except Exception as error:  # a bug in one step is no reason to lose a night's others
            self._failed(step, self._kept(step.name, error))
            return False
        except KeyboardInterrupt:
            self.marks.pause(step.name, recipe, spent + time.monotonic() - began)
            raise
        self.marks.finish(step.name, recipe, outputs, spent + time.monotonic() - began)
        self.summary.ran.append(step.name)
        return True

    def _tell(self, state: State) -> None:
        if state.state == CHANGED:
            self.progress.message(f"{state.step.name}: {state.why}; it is done again")
        else:
            self.progress.message(f"{state.step.name} ...")

    def _failed(self, step: Step, reason: str) -> None:
        self.summary.failed[step.name] = reason
        self.progress.message(f"failed: {step.name}: {reason}")

    def _kept(self, name: str, error: Exception) -> str:
        path = self.marks.folder / f"{name.replace('/', '--')}.traceback.txt"
        with atomic_write(path, "w") as file:
            file.write("".join(traceback.format_exception(error)))
        return f"unexpected {type(error).__name__}: {first_line(error)} (its traceback is in {path}; please report it)"

    def _report(self) -> None:
        done = [state for state in self.summary.states if state.state == DONE]
        try:
            self.summary.page = draw_report(self.plan, done, self.marks, self.progress)
        except UserError as error:
            self.summary.failed[REPORT] = str(error)
        except Exception as error:
            self.summary.failed[REPORT] = self._kept(REPORT, error)


def _check_names(only: Collection[str], known: Collection[str]) -> None:
    for name in only:
        if name != REPORT and name not in known:
            raise UserError(f"the plan has no step {name}{did_you_mean(name, [*known, REPORT])}; --list names them")


def outline(plan: Plan) -> list[State]:
    """Where every step of a plan stands; nothing is done."""
    return _Study(plan, SILENT, plan.pretrain.gpus)._standing(StepList(plan).build())


def missing_text(what: str, steps: Sequence[str]) -> str:
    """One line for what is missing."""
    return f"missing: {what} ({len(steps)} steps wait for it)"


def lacking(states: Sequence[State]) -> dict[str, list[str]]:
    """{what a person has to bring, and where to get it: the steps that wait for it}."""
    found: dict[str, list[str]] = {}
    for state in states:
        if state.state == MISSING:
            found.setdefault(state.why, []).append(state.step.name)
    return found
