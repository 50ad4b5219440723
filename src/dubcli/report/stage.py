"""``report``: find what is there, draw tables and plots, write Markdown, CSV, PNG and one page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dubcli.core.atomic import atomic_write
from dubcli.core.machine import choose_device
from dubcli.jobs.progress import SILENT, Progress
from dubcli.report import plots as drawing
from dubcli.report import tables as making
from dubcli.report.collect import Collected, Run, collect
from dubcli.report.config import ReportConfig
from dubcli.report.film_sets import flagged
from dubcli.report.page import page
from dubcli.report.plots import Plot
from dubcli.report.tables import Table
from dubcli.report.text import comma_separated, markdown

if TYPE_CHECKING:
    from dubcli.report.gallery import Query

Galleries = list[tuple[str, "list[Query]"]]


@dataclass(frozen=True, kw_only=True)
class ReportSummary:
    """What was found and written."""

    page: Path
    tables: tuple[str, ...]
    plots: tuple[str, ...]
    results: int
    runs: int
    caches: int
    ignored: tuple[str, ...]


def report(
    paths: Sequence[str | Path],
    out: str | Path,
    config: ReportConfig = ReportConfig(),  # noqa: B008 - frozen
    progress: Progress = SILENT,
    *,
    more_tables: Sequence[Table] = (),
) -> ReportSummary:
    """Write ``out/index.html``, ``report.md``, one CSV per table and one PNG per plot.

    Args:
        paths: results files, run folders, caches, or folders that hold them.
        out: the folder.
        config: the paper's numbers beside, the gallery's size.
        progress: takes bars and lines.
        more_tables: of the caller, after those of scores.

    Returns:
        What was found and written. Files that look like results and cannot be read are left out and named in it.

    Raises:
        UserError: nothing is found.

    >>> from dubcli.report import ReportConfig, report
    >>> report(["cache"], "page", ReportConfig(gallery=0)).tables
    ('tableB4', 'tableB1')
    """
    if config.device is not None:
        choose_device(config.device)  # refused at once, whether or not there is something to compute
    found = collect(paths)
    tables = _tables(found, config, more_tables)
    progress.start("plots", None, "plots")
    plots = _plots(found)
    progress.finish("plots")
    galleries = _galleries(found, config, progress)
    folder = Path(out)
    for table in tables:
        _write(folder / f"{table.key}.csv", comma_separated(table))
    for plot in plots:
        with atomic_write(folder / f"{_file_name(plot.key)}.png") as file:
            file.write(plot.png)
    summary = _summary(found)
    pictures = [f"![{plot.title}]({_file_name(plot.key)}.png)\n" for plot in plots]
    _write(folder / "report.md", "\n".join([f"# {config.title}\n", f"{summary}\n", *map(markdown, tables), *pictures]))
    _write(folder / "index.html", page(config.title, summary, tables, plots, galleries))
    return ReportSummary(
        page=folder / "index.html",
        tables=tuple(table.key for table in tables),
        plots=tuple(plot.key for plot in plots),
        results=len(found.results),
        runs=len(found.runs),
        caches=len(found.caches),
        ignored=tuple(found.ignored),
    )


def _tables(found: Collected, config: ReportConfig, more: Sequence[Table]) -> list[Table]:
    minutes = making.durations(movie for cache in found.caches for movie in cache.movies)
    tables: list[Table | None] = [
        *flagged(making.score_tables(found.results, with_paper=config.paper), found.results),
        making.table_d6(found.results, with_paper=config.paper),
        *more,
        making.table_b4(found.caches, with_paper=config.paper),
        making.table_b1(minutes, with_paper=config.paper),
        *(making.outside_tables() if config.outside else []),
        making.all_results(found.results),
    ]
    return [table for table in tables if table is not None]


def _plots(found: Collected) -> list[Plot]:
    minutes = making.durations(movie for cache in found.caches for movie in cache.movies)
    return [
        *drawing.training_plots(found.runs),
        *drawing.epoch_plots(found.results),
        *([drawing.duration_plot(minutes)] if minutes else []),
        *drawing.confusion_plots(found.results),
    ]


def _galleries(found: Collected, config: ReportConfig, progress: Progress) -> Galleries:
    """One gallery per run that was trained on a cache at hand; none where there are several caches to choose from."""
    if not config.gallery or len(found.caches) != 1:
        return []
    from dubcli.report.gallery import gallery

    galleries: Galleries = []
    for run in found.runs:
        if _has_model(run):
            queries = gallery(run, found.caches[0], config, progress)
            if queries:
                galleries.append((run.name, queries))
    return galleries


def _has_model(run: Run) -> bool:
    return (run.path / "ckpt.pt").is_file()


def _summary(found: Collected) -> str:
    parts = [(len(found.results), "results"), (len(found.runs), "runs"), (len(found.caches), "caches")]
    text = "From " + ", ".join(f"{count} {what}" for count, what in parts if count) + "."
    return text + (f" {len(found.ignored)} files could not be read." if found.ignored else "")


def _file_name(key: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", key)


def _write(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)
