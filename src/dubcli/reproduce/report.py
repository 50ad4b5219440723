"""The end of a plan: the report over what is done, and the paired tests between its models."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from dubcli.cache.layout import is_cache
from dubcli.core.atomic import read_json
from dubcli.core.compare import Comparison, compare, corrected
from dubcli.core.results import modality_of
from dubcli.errors import UserError
from dubcli.jobs.progress import Progress
from dubcli.report import ReportConfig, report
from dubcli.report.tables import Cell, Table
from dubcli.reproduce.marks import Marks, as_json, digest
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
    if mark is not None and mark.recipe == as_json(recipe) and mark.seconds is not None and page.is_file():
        return page
    began = time.monotonic()
    results = [path for state in done if state.step.kind == "probe" and state.mark for path in state.mark.outputs]
    runs = [run_folder(plan, state.step.model) for state in done if state.step.kind == "pretrain" and state.step.model]
    cache = [plan.cache] if is_cache(plan.cache) else []
    config = ReportConfig(
        paper=plan.report.paper, outside=plan.report.outside, gallery=plan.report.gallery, title=plan.report.title
    )
    tests = comparison_table(plan, done, progress)
    summary = report([*results, *runs, *cache], plan.out / "report", config, progress, more_tables=tests)
    marks.finish(NAME, recipe, [summary.page], time.monotonic() - began)
    return summary.page


def comparison_table(plan: Plan, done: Sequence[State], progress: Progress) -> list[Table]:
    """Every model against those of ``[report] against``, of equal seeds, on the test clips of every task."""
    files: dict[tuple[str, str, str, int], Path] = {}
    for state in done:
        step, model, mark = state.step, state.step.model, state.mark
        last = step.kind == "probe" and step.data_kind == "speech" and model is not None and model.epoch is None
        if last and model is not None and mark is not None:
            for path in mark.outputs:
                files[step.task, modality_of(read_json(path)), model.variant, model.seed] = path
    found, named = [], []
    for task, modality, first, second, seed in _pairs(plan, files):
        try:
            found.append(compare(files[task, modality, first, _seed(first, seed)], files[task, modality, second, seed]))
            named.append((first, second, seed))
        except UserError as error:
            progress.message(f"{task}, {second} against {first}: {error}")
    if not found:
        return []
    title = "Paired tests between the models, on the same test clips"
    columns = (
        "task", "M", "metric", "model", "against", "seed", "difference", "from", "to", "p", "p (Holm)",
        "more than noise",
    )  # fmt: skip
    note = (
        f"Differences with 95 % intervals of one test each. Of {len(found)} tests about {len(found) / 20:.1f} would "
        "have p below 0.05 were all models equal, so p is corrected for their number (Holm), and that decides."
    )
    rows = tuple(_row(one, *names) for one, names in zip(corrected(found), named, strict=True))
    return [Table("comparisons", title, columns, rows, note)]


def _pairs(plan: Plan, files: Iterable[tuple[str, str, str, int]]) -> list[tuple[str, str, str, str, int]]:
    there = list(files)
    return [
        (task, modality, first, second, seed)
        for first in plan.report.against
        for task, modality, second, seed in there
        if second not in (first, RANDOM) and (task, modality, first, _seed(first, seed)) in there
    ]


def _seed(variant: str, seed: int) -> int:
    return 0 if variant == RANDOM else seed


def _row(found: Comparison, first: str, second: str, seed: int) -> tuple[Cell, ...]:
    low, high = found.interval
    return (
        Cell(found.task),
        Cell(found.modality),
        Cell(found.metric),
        Cell(second),
        Cell(first),
        Cell(str(seed), seed),
        Cell(f"{found.difference:+.4f}", found.difference),
        Cell(f"{low:+.4f}", low),
        Cell(f"{high:+.4f}", high),
        Cell(f"{found.p_value:.2g}", found.p_value),
        Cell(f"{found.p_holm:.2g}", found.p_holm),
        Cell("yes" if found.more_than_noise else "no"),
    )
