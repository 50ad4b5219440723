"""``dubav reproduce``: parse, call ``dubcli.reproduce``, render."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from dubcli.cli.options import JsonOption, NodeRankOption, NodesOption, QuietOption, RendezvousOption

if TYPE_CHECKING:
    from dubcli.reproduce.plan import Plan
    from dubcli.reproduce.stage import ReproduceSummary
    from dubcli.reproduce.steps import State

EPILOG = (
    "Examples:\n\n"
    "dubav reproduce paper.toml --list   (what is done, what is missing, how long it takes)\n\n"
    "dubav reproduce paper.toml   (do it; the same command goes on after a stop)\n\n"
    "dubav reproduce paper.toml --emit slurm jobs/   (write the jobs of a cluster)"
)


def reproduce(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="The plan, such as examples/paper.toml.")],
    list_steps: Annotated[
        bool, typer.Option("--list", "--dry-run", help="Show what is done, missing and left, and how long; do nothing.")
    ] = False,
    only: Annotated[
        Optional[list[str]], typer.Option("--only", metavar="STEP", help="This step alone. May be repeated.")
    ] = None,
    gpus: Annotated[
        Optional[int],
        typer.Option("--gpus", metavar="N", help="GPUs of this machine, in place of the plan's; 0 is the CPU."),
    ] = None,
    nnodes: NodesOption = None,
    node_rank: NodeRankOption = None,
    rdzv_endpoint: RendezvousOption = None,
    emit: Annotated[
        tuple[str, Path],
        typer.Option(
            "--emit", metavar="slurm DIR", help="Write the jobs of a cluster into DIR; do nothing.", show_default=False
        ),
    ] = ("", Path()),
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Do the whole study of a plan: clip cache, models, probes, tables; again and again until all is done.

    What is done is not done again, whatever stopped it; a changed plan redoes what it changes. What a person has to
    bring (films, data sets) is named with where to get it, and everything that can be done without is done. Everything
    is written below the plan's folder OUT; the tables are in OUT/report.
    """
    from dubcli.cli.console import make_progress
    from dubcli.core.machine import ranks_of
    from dubcli.errors import UserError
    from dubcli.reproduce import read_plan
    from dubcli.reproduce.stage import outline
    from dubcli.reproduce.stage import reproduce as run
    from dubcli.reproduce.work import Nodes

    read = read_plan(plan)
    wanted, folder = emit
    if wanted:
        if wanted != "slurm":
            raise UserError(f"--emit writes jobs for slurm, not {wanted}; give --emit slurm DIR")
        return _emit(read, outline(read), folder)
    if list_steps:
        return _list(read, outline(read), gpus, json)
    nodes = Nodes(count=nnodes or 1, rank=node_rank or 0, endpoint=rdzv_endpoint)
    ranks = ranks_of()
    tells = ranks is None or ranks.rank == 0  # of the processes that do one training together
    summary = run(read, make_progress(quiet=quiet or json or not tells), only=only or (), gpus=gpus, nodes=nodes)
    if tells:
        _show(summary, json)
    return 130 if summary.stopped_by == 2 else summary.exit_status


def _emit(plan: Plan, states: list[State], folder: Path) -> int:
    from dubcli.cli.console import warn
    from dubcli.reproduce.slurm import emit_slurm
    from dubcli.reproduce.stage import lacking, missing_text

    files = emit_slurm(plan, states, folder)
    if not files:
        print(f"all {len(states)} steps are done: there are no jobs to write")
        return 0
    for what, waiting in lacking(states).items():
        warn(missing_text(what, waiting))
    for path in files:
        print(path)
    print(f"submit them with: bash {shlex.quote(str(folder / 'submit.sh'))}")
    return 0


def _list(plan: Any, states: list[State], gpus: int | None, as_json: bool) -> int:
    from dubcli.cli.console import print_json, print_table
    from dubcli.reproduce.estimate import estimate, measured_training
    from dubcli.reproduce.stage import lacking, missing_text

    takes = estimate(plan, states, measured_training(plan, plan.pretrain.gpus if gpus is None else gpus))
    if as_json:
        rows = [{"step": s.step.name, "state": s.state, "why": s.why} for s in states]
        left = {"seconds": takes.seconds, "not_measured": dict(takes.unknown)}
        print_json({"steps": rows, "missing": lacking(states), "left": left})
        return 0
    print_table(str(plan.path), ("step", "state", ""), [_line(state) for state in states])
    for what, steps in lacking(states).items():
        print(missing_text(what, steps))
    counts = ", ".join(
        f"{sum(s.state == name for s in states)} {name}" for name in dict.fromkeys(s.state for s in states)
    )
    print(f"{len(states)} steps: {counts}")
    print(f"left: {takes}")
    return 0


def _line(state: State) -> tuple[str, str, str]:
    why = state.why if state.state != "missing" else state.why.split(";")[0]
    return state.step.name, state.state, why


def _show(summary: ReproduceSummary, as_json: bool) -> None:
    from dubcli.cli.console import print_json, warn
    from dubcli.reproduce.stage import lacking, missing_text

    missing = lacking(summary.states)
    if as_json:
        print_json(
            {
                "ran": summary.ran,
                "failed": summary.failed,
                "missing": missing,
                "steps": {state.step.name: state.state for state in summary.states},
                "page": summary.page,
            }
        )
        return
    for name, reason in summary.failed.items():
        warn(f"failed: {name}: {reason}")
    for what, steps in missing.items():
        warn(missing_text(what, steps))
    for state in summary.left if summary.asked else ():
        if state.step.name not in summary.failed:
            warn(f"not done: {state.step.name}: {state.state} {state.why}")
    print(f"{summary.done} of {len(summary.states)} steps done, {len(summary.ran)} of them now")
    if summary.stopped_by is not None:
        print("stopped; the same command goes on from there")
    if summary.page is not None:
        print(f"tables: {summary.page}")
