"""The paper's tables as rows of cells: 1 and 2 (tasks x models), D6, B4, A1 to A3, and a list of all results."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dubcli.cache.reader import Cache, Movie
from dubcli.core.subsets import language_subsets
from dubcli.report import paper
from dubcli.report.collect import Result

BEST, WORST = "best", "worst"


@dataclass(frozen=True)
class Cell:
    """Text, the number it sorts by, and whether it is the best or the worst of its row or column."""

    text: str
    value: float | None = None
    mark: str = ""
    paper: str = ""


@dataclass(frozen=True)
class Table:
    """``key`` is the name of its files."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass
class _Group:
    """Results of one task, protocol and column: one run, or runs that differ in the seed only."""

    results: list[Result] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return statistics.fmean(result.mean for result in self.results)

    @property
    def spread(self) -> float | None:
        """Over seeds where there are several, else over folds."""
        if len(self.results) > 1:
            return statistics.stdev(result.mean for result in self.results)
        return self.results[0].std


_ORDER = ("random", *paper.VARIANTS)


def score_tables(results: Sequence[Result], *, with_paper: bool) -> list[Table]:
    """Tables 1 and 2 for the paper's tasks, and one more for all other tasks. Checkpoints of epochs are left out."""
    last = [result for result in results if result.epoch is None and not result.nospeech]
    tables = []
    for key, title, kinds, printed in (
        ("table1", "Table 1: evaluation results", paper.KINDS_1, paper.TABLE_1),
        ("table2", "Table 2: potential trade-offs", paper.KINDS_2, paper.TABLE_2),
    ):
        chosen = [result for result in last if result.task in kinds]
        if chosen:
            tables.append(_score_table(key, title, chosen, kinds, printed if with_paper else {}))
    others = [result for result in last if result.task not in paper.KINDS_1 and result.task not in paper.KINDS_2]
    if others:
        tables.append(_score_table("tasks", "Other tasks", others, {}, {}))
    return tables


def _score_table(
    key: str,
    title: str,
    results: Sequence[Result],
    kinds: dict[str, str],
    printed: dict[str, dict[str, paper.Score]],
) -> Table:
    groups: dict[tuple[str, str, str], _Group] = {}
    variants: dict[str, str] = {}
    for result in results:
        groups.setdefault((result.task, result.protocol, result.label), _Group()).results.append(result)
        variants[result.label] = result.variant
    labels = sorted(variants, key=lambda label: (_place(variants[label]), label))
    protocols: dict[str, set[str]] = {}
    for task, protocol, _ in groups:
        protocols.setdefault(task, set()).add(protocol)
    rows = []
    for task in sorted(protocols, key=lambda task: (list(kinds).index(task) if kinds else 0, task)):
        for protocol in sorted(protocols[task]):
            row = {label: groups[at] for label in labels if (at := (task, protocol, label)) in groups}
            name = f"{task} ({protocol})" if len(protocols[task]) > 1 else task
            reference = {label: printed.get(task, {}).get(variants[label]) for label in labels}
            rows.append(_score_row((name, kinds.get(task, "")), row, reference))
    return Table(key, title, ("task", "type", "metric", *labels), tuple(rows), _note(groups.values(), bool(printed)))


def _score_row(
    named: tuple[str, str], row: dict[str, _Group], printed: dict[str, paper.Score | None]
) -> tuple[Cell, ...]:
    marks = mark({label: group.mean for label, group in row.items()})
    cells = [*map(Cell, named), Cell(next(iter(row.values())).results[0].metric)]
    for label, reference in printed.items():
        text = "" if reference is None else _score(*reference)
        group = row.get(label)
        if group is None:
            cells.append(Cell("-", None, "", text))
        else:
            cells.append(Cell(_score(group.mean, group.spread), group.mean, marks.get(label, ""), text))
    return tuple(cells)


def _note(groups: Iterable[_Group], with_paper: bool) -> str:
    seeds = max(len(group.results) for group in groups)
    spread = f"± is the standard deviation over up to {seeds} seeds." if seeds > 1 else "± is over folds."
    return f"Bold: best, grey: worst of the row. {spread}" + (" In brackets: the paper's." if with_paper else "")


def _place(variant: str) -> int:
    return _ORDER.index(variant) if variant in _ORDER else len(_ORDER)


def mark(values: dict[str, float]) -> dict[str, str]:
    """Best and worst of a row; nothing where all are equal or there is only one."""
    if len(values) < 2 or max(values.values()) == min(values.values()):
        return {}
    best, worst = max(values.values()), min(values.values())
    return {name: BEST if value == best else WORST for name, value in values.items() if value in (best, worst)}


def _score(mean: float, spread: float | None) -> str:
    return f"{mean:.3f}" + (f"±{spread:.3f}" if spread is not None else "")


def table_d6(results: Sequence[Result], *, with_paper: bool) -> Table | None:
    """Each model with and without speech in the data, for every task that was probed both ways."""
    last = [result for result in results if result.epoch is None]
    plain = {(result.task, result.model): result for result in last if not result.nospeech}
    pairs = [
        (plain[key], result)
        for result in last
        if result.nospeech and (key := (result.task_with_speech, result.model)) in plain
    ]
    if not pairs:
        return None
    rows = []
    for speech, nospeech in pairs:
        printed = paper.TABLE_D6.get(speech.variant) if with_paper and speech.task.startswith("fluent") else None
        rows.append(
            (
                Cell(speech.task + (" (of the test clips)" if nospeech.task.endswith("-test") else "")),
                Cell(speech.label),
                Cell(f"{speech.mean:.3f}", speech.mean, "", f"{printed[0]:.3f}" if printed else ""),
                Cell(f"{nospeech.mean:.3f}", nospeech.mean, "", f"{printed[1]:.3f}" if printed else ""),
            )
        )
    title = "Table D6: with and without speech"
    return Table("tableD6", title, ("task", "model", "+Speech", "-Speech"), tuple(rows))


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


def outside_tables() -> list[Table]:
    """Tables A1 to A3: other people's results as the paper prints them."""
    one_metric = [
        Table(key, title, ("method", "accuracy", "architecture"), tuple(
            (Cell(method), Cell(f"{score:.3f}", score), Cell(architecture)) for method, score, architecture in rows
        ))
        for key, title, rows in (
            ("tableA1", "Table A1 (from the paper): VGGSound", paper.TABLE_A1),
            ("tableA2", "Table A2 (from the paper): TUT18", paper.TABLE_A2),
        )
    ]  # fmt: skip
    rows = tuple(
        (Cell(method), *(Cell(f"{score:.3f}", score) for score in scores), Cell(architecture))
        for method, scores, architecture in paper.TABLE_A3
    )
    columns = ("method", *paper.A3_TASKS, "architecture")
    return [*one_metric, Table("tableA3", "Table A3 (from the paper): HEAR tasks", columns, rows)]


def all_results(results: Sequence[Result]) -> Table | None:
    """Every results file in a line, sortable on the page."""
    if not results:
        return None
    rows = tuple(
        (
            Cell(result.task),
            Cell(result.model),
            Cell(result.variant),
            Cell(result.protocol),
            Cell(result.metric),
            Cell(f"{result.mean:.4f}", result.mean),
            Cell("-" if result.std is None else f"{result.std:.4f}", result.std),
            Cell(str(len(result.scores)), len(result.scores)),
        )
        for result in results
    )
    columns = ("task", "model", "variant", "protocol", "metric", "mean", "std", "splits")
    return Table("results", "All results", columns, rows)
