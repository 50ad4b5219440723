"""``report``: find what is there, draw tables and plots, write Markdown, CSV, PNG and one page."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dubcli.core.atomic import atomic_write, writing
from dubcli.core.machine import choose_device
from dubcli.errors import one_of
from dubcli.jobs.progress import SILENT, Progress
from dubcli.pages.charts import Chart
from dubcli.report import plots as drawing
from dubcli.report import scores as scoring
from dubcli.report import tables as making
from dubcli.report.belief import Predictions
from dubcli.report.collect import Collected, collect
from dubcli.report.columns import without_copies
from dubcli.report.config import ReportConfig
from dubcli.report.page import page
from dubcli.report.tables import Table
from dubcli.report.text import comma_separated, markdown

if TYPE_CHECKING:
    from dubcli.report.gallery import Gallery

_Keyed = TypeVar("_Keyed", Table, Chart)


@dataclass(frozen=True, kw_only=True)
class ReportSummary:
    """What was found and written.

    Attributes:
        page: the HTML file.
        tables: names of those written.
        plots: likewise.
        results: how many of ``dubav probe`` were read.
        runs: how many.
        caches: how many.
        ignored: what could not be read, and why.
        notes: what else is to be known.
    """

    page: Path
    tables: tuple[str, ...]
    plots: tuple[str, ...]
    results: int
    runs: int
    caches: int
    ignored: tuple[str, ...]
    notes: tuple[str, ...] = ()


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
        What was found and written. What cannot be read is left out and named in it.

    Raises:
        UserError: nothing is found, no column has the name to be held against, or the folder cannot be written.

    >>> from dubcli.report import ReportConfig, report
    >>> report(["cache"], "page", ReportConfig(gallery=0)).tables
    ('tableB4', 'tableB1')
    """
    if config.device is not None:
        choose_device(config.device)  # refused at once, whether or not there is something to compute
    folder = Path(out)
    _require_folder(folder)
    found = collect(paths)
    found.results, copies = without_copies(found.results)
    found.notes += copies
    if config.against is not None:
        one_of("--against", config.against, scoring.column_names(found.results))
    predictions = Predictions()
    galleries = _galleries(found, config, progress)
    progress.start("tables", None, "tables")
    own = [*(one.scores for one in galleries), *more_tables]
    tables = _distinct(_tables(found, config, predictions, own))
    progress.finish("tables")
    progress.start("plots", None, "plots")
    plots = _distinct(_plots(found, predictions))
    progress.finish("plots")
    found.ignored += predictions.damaged
    found.notes += predictions.notes
    with writing(folder):
        _write_all(folder, config.title, found, tables, plots, galleries)
    return ReportSummary(
        page=folder / "index.html",
        tables=tuple(table.key for table in tables),
        plots=tuple(plot.key for plot in plots),
        results=len(found.results),
        runs=len(found.runs),
        caches=len(found.caches),
        ignored=tuple(found.ignored),
        notes=tuple(found.notes),
    )


def _write_all(
    folder: Path,
    title: str,
    found: Collected,
    tables: Sequence[Table],
    plots: Sequence[Chart],
    galleries: Sequence[Gallery],
) -> None:
    for table in tables:
        _write(folder / f"{table.key}.csv", comma_separated(table))
    for plot in plots:
        with atomic_write(folder / f"{plot.key}.png") as file:
            file.write(plot.png())
    summary = _summary(found)
    said = [*(f"Left out: {reason}" for reason in found.ignored), *found.notes]
    lines = [f"# {title}\n", f"{summary}\n", *(f"* {line}" for line in said), *([""] if said else [])]
    pictures = [f"![{plot.title}. {plot.description}]({plot.key}.png)\n" for plot in plots]
    _write(folder / "report.md", "\n".join([*lines, *map(markdown, tables), *pictures]))
    _write(folder / "index.html", page(title, summary, said, tables, plots, galleries))


def _require_folder(folder: Path) -> None:
    """Raises UserError at once where nothing can be written into it."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _tables(found: Collected, config: ReportConfig, predictions: Predictions, more: Sequence[Table]) -> list[Table]:
    minutes = making.durations(movie for cache in found.caches for movie in cache.movies)
    tables: list[Table | None] = [
        *scoring.score_tables(found.results, predictions, with_paper=config.paper),
        scoring.table_d6(found.results, predictions, with_paper=config.paper),
        *more,
        making.table_b4(found.caches, with_paper=config.paper),
        making.table_b1(minutes, with_paper=config.paper),
        *(making.outside_tables(scoring.highest(found.results)) if config.outside else []),
        *scoring.class_tables(found.results, predictions, config.against or "mono"),
        scoring.all_results(found.results),
    ]
    return [table for table in tables if table is not None]


def _plots(found: Collected, predictions: Predictions) -> list[Chart]:
    minutes = making.durations(movie for cache in found.caches for movie in cache.movies)
    return [
        *drawing.training_plots(found.runs),
        *drawing.epoch_plots(found.results),
        *([drawing.duration_plot(minutes)] if minutes else []),
        *drawing.confusion_plots(found.results, predictions),
    ]


def _galleries(found: Collected, config: ReportConfig, progress: Progress) -> list[Gallery]:
    """A gallery of each cache, with every run that has a checkpoint; what is left out of it is noted."""
    if not config.gallery or not found.caches or not found.runs:
        return []
    from dubcli.report.gallery import galleries

    named = list(zip(drawing.run_names(found.runs), found.runs, strict=True))
    without = [name for name, run in named if not (run.path / "ckpt.pt").is_file()]
    found.notes += [f"no retrieval gallery of {run.path}: it has no ckpt.pt" for name, run in named if name in without]
    made = galleries([(name, run) for name, run in named if name not in without], found.caches, config, progress)
    for one in made:
        found.ignored += [f"of the retrieval gallery of {one.name}, {reason}" for reason in one.left_out]
        found.notes += [f"not in the retrieval gallery of {one.name}: {reason}" for reason in one.not_asked]
    return [one for one in made if one.queries]


def _summary(found: Collected) -> str:
    parts = [(len(found.results), "results"), (len(found.runs), "runs"), (len(found.caches), "caches")]
    text = "From " + ", ".join(f"{count} {what}" for count, what in parts if count) + "."
    return text + (f" {len(found.ignored)} could not be read or shown and are named." if found.ignored else "")


def _distinct(found: Sequence[_Keyed]) -> list[_Keyed]:
    """The same under keys that are names of files, none like another's, on disks too that do not tell case."""
    taken: set[str] = set()
    named = []
    for one in found:
        name = re.sub(r"[^\w.+-]+", "-", one.key).strip("-")
        # a disk's names have 255 bytes, of which a temporary one takes some sixty
        key = base = name.encode()[:150].decode(errors="ignore")
        number = 1
        while key.casefold() in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key.casefold())
        named.append(replace(one, key=key))
    return named


def _write(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)
