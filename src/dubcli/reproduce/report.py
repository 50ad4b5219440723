"""The end of a plan: the report over what is done, and the paired tests between its models."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from dubcli.errors import UserError
from dubcli.jobs.progress import Progress
from dubcli.probe.bootstrap import Comparison, compare
from dubcli.report import ReportConfig, report
from dubcli.report.tables import Cell, Table
from dubcli.reproduce.marks import Marks, digest, plain
from dubcli.reproduce.plan import RANDOM, Plan
from dubcli.reproduce.steps import State, run_folder

NAME = "report"


def draw_report(plan: Plan, done: Sequence[State], marks: Marks, progress: Progress) -> Path | None:
    """Draw what is done into ``OUT/report``; the page. None while there is nothing to draw.

    What is there is not drawn again. Raises UserError where results cannot be read.
    """
    if not any(state.step.kind in ("pretrain", "probe") for state in done):
        return None
    recipe = {
        "done": {state.step.name: digest(state.mark.recipe) for state in done if state.mark is not None},
        "report": vars(plan.report),
    }
    mark = marks.read(NAME)
    page = plan.out / "report" / "index.html"
    if mark is not None and mark.recipe == plain(recipe) and mark.seconds is not None and page.is_file():
        return page
    began = time.monotonic()
    results = [path for state in done if state.step.kind == "probe" and state.mark for path in state.mark.outputs]
    runs = [run_folder(plan, state.step.model) for state in done if state.step.kind == "pretrain" and state.step.model]
    cache = [plan.cache] if (plan.cache / "cache.json").is_file() else []
    config = ReportConfig(
        paper=plan.report.paper, outside=plan.report.outside, gallery=plan.report.gallery, title=plan.report.title
    )
    tests = comparison_table(plan, done, progress)
    summary = report([*results, *runs, *cache], plan.out / "report", config, progress, more_tables=tests)
    marks.finish(NAME, recipe, [summary.page], time.monotonic() - began)
    return summary.page


def comparison_table(plan: Plan, done: Sequence[State], progress: Progress) -> list[Table]:
    """Every model against those of ``[report] against``, of equal seeds, on the test clips of every task."""
    files: dict[tuple[str, str, int], Path] = {}
    for state in done:
        step, model, mark = state.step, state.step.model, state.mark
        last = step.kind == "probe" and step.data_kind == "speech" and model is not None and model.epoch is None
        if last and model is not None and mark is not None and mark.outputs:
            files[step.task, model.variant, model.seed] = mark.outputs[0]
    rows = []
    for task, first, second, seed in _pairs(plan, files):
        try:
            found = compare(files[task, first, _seed(first, seed)], files[task, second, seed])
        except UserError as error:
            progress.message(f"{task}, {second} against {first}: {error}")
            continue
        rows.append(_row(found, first, second, seed))
    if not rows:
        return []
    title = "Paired tests between the models, on the same test clips"
    columns = ("task", "metric", "model", "against", "seed", "difference", "from", "to", "more than noise")
    note = (
        f"Differences with 95 % of a paired bootstrap over test clips; {len(rows)} tests, of which about "
        f"{len(rows) / 20:.0f} would show a difference where there is none."
    )
    return [Table("comparisons", title, columns, tuple(rows), note)]


def _pairs(plan: Plan, files: Iterable[tuple[str, str, int]]) -> list[tuple[str, str, str, int]]:
    there = list(files)
    return [
        (task, first, second, seed)
        for first in plan.report.against
        for task, second, seed in there
        if second not in (first, RANDOM) and (task, first, _seed(first, seed)) in there
    ]


def _seed(variant: str, seed: int) -> int:
    return 0 if variant == RANDOM else seed


def _row(found: Comparison, first: str, second: str, seed: int) -> tuple[Cell, ...]:
    low, high = found.interval
    return (
        Cell(found.task),
        Cell(found.metric),
        Cell(second),
        Cell(first),
        Cell(str(seed), seed),
        Cell(f"{found.difference:+.4f}", found.difference),
        Cell(f"{low:+.4f}", low),
        Cell(f"{high:+.4f}", high),
        Cell("yes" if found.more_than_noise else "no"),
    )
