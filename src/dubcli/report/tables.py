"""The paper's tables as rows of cells: 1 and 2 (tasks x models), D6, B4, A1 to A3, and a list of all results."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dubcli.cache.reader import Cache, Movie
from dubcli.core.results import named, shown
from dubcli.core.subsets import language_subsets
from dubcli.report import paper


@dataclass(frozen=True)
class Cell:
    """Text, the number it sorts by, its mark (``belief``), the paper's value and a 95 % interval."""

    text: str
    value: float | None = None
    mark: str = ""
    paper: str = ""
    interval: tuple[float, float] | None = None

    @property
    def sort_key(self) -> str | None:
        """The number as a page's script reads it; None where there is none to sort by."""
        if self.value is None or math.isnan(self.value):
            return None
        return str(named(self.value))

    @property
    def between(self) -> str:
        """The interval in words; "" where there is none."""
        return "" if self.interval is None else "{:.3f} to {:.3f}".format(*self.interval)


@dataclass(frozen=True)
class Table:
    """``key`` is the name of its files. ``folded``: the page shows it when it is asked for."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False


def table_b4(caches: Sequence[Cache], *, with_paper: bool) -> Table | None:
    """Titles and hours of the primary language with each set of others that some title has."""
    movies = [movie for cache in caches for movie in cache.movies]
    if not movies:
        return None
    subsets = language_subsets([(movie.languages, movie.hours) for movie in movies], movies[0].primary)
    rows = []
    for row in subsets.rows:
        if len(row.languages) > 1:
            printed = paper.TABLE_B4.get(row.languages) if with_paper else None
            rows.append(
                (
                    Cell("+".join(row.languages).upper()),
                    Cell(str(row.titles), row.titles, "", str(printed[0]) if printed else ""),
                    Cell(f"{row.hours:.2f}", row.hours, "", f"{printed[1]:g}k" if printed else ""),
                )
            )
    columns = ("languages", "titles", "video-hours")
    return Table("tableB4", "Table B4: language subsets", columns, tuple(rows), subsets.note)


def durations(movies: Iterable[Movie]) -> list[float]:
    """Minutes of each title (figure B1c)."""
    return [float(movie.meta.get("duration_seconds") or movie.hours * 3600) / 60 for movie in movies]


def table_b1(minutes: Sequence[float], *, with_paper: bool) -> Table | None:
    """Smallest, largest, mean and standard deviation of the titles' durations."""
    if not minutes:
        return None
    found = {
        "min_minutes": min(minutes),
        "max_minutes": max(minutes),
        "mean_minutes": statistics.fmean(minutes),
        "std_minutes": statistics.stdev(minutes) if len(minutes) > 1 else 0.0,
    }
    row = tuple(
        Cell(f"{value:.2f}", value, "", f"{paper.FIGURE_B1[name]:g}" if with_paper else "")
        for name, value in found.items()
    )
    columns = ("titles", *(name.replace("_", " ") for name in found))
    return Table("tableB1", "Figure B1: durations", columns, ((Cell(str(len(minutes)), len(minutes)), *row),))


def outside_tables(own: Mapping[str, tuple[str, float]]) -> list[Table]:
    """Tables A1 to A3: other people's results as the paper prints them, below this report's own.

    ``own``: by task the column that scores highest and its score. As in the paper, of table A3 one for each task.
    """
    tables = []
    for key, title, task, rows in (
        ("tableA1", "Table A1: VGGSound, beside what the paper prints", "vggsound", paper.TABLE_A1),
        ("tableA2", "Table A2: TUT18, beside what the paper prints", "tut18", paper.TABLE_A2),
    ):
        mine = [(f"This report: {own[task][0]}", own[task][1], "")] if task in own else []
        cells = tuple(
            (Cell(method), Cell(shown(score), score), Cell(architecture))
            for method, score, architecture in (*mine, *rows)
        )
        tables.append(Table(key, title, ("method", "accuracy", "architecture"), cells))
    lines = [(name, [Cell(f"{score:.3f}", score) for score in scores], kind) for name, scores, kind in paper.TABLE_A3]
    tasks = paper.A3_TASKS.values()
    if any(task in own for task in tasks):
        best = [
            Cell(f"{shown(own[task][1])} {own[task][0]}", own[task][1]) if task in own else Cell("-") for task in tasks
        ]
        lines.insert(0, ("This report", best, ""))
    every = tuple((Cell(name), *scores, Cell(kind)) for name, scores, kind in lines)
    title = "Table A3: HEAR tasks, beside what the paper prints"
    return [*tables, Table("tableA3", title, ("method", *paper.A3_TASKS, "architecture"), every)]
