"""Tables of scores: 1 and 2 of the paper, D6, differences by class, and every result in a line.

A column is a model, over its seeds; a row is a task as it was measured (``columns``). Marks are of paired tests
(``belief``).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dubcli.core.compare import ResultFile, compare_classes
from dubcli.core.results import shown
from dubcli.errors import UserError
from dubcli.report import paper
from dubcli.report.belief import Predictions, chance, interval_of, paired, verdicts
from dubcli.report.collect import Result
from dubcli.report.columns import Column, Row, columns_of, names_of, rows_of
from dubcli.report.film_sets import told_film_sets
from dubcli.report.tables import Cell, Table

_ORDER = ("random", *paper.VARIANTS)
MARKS = (
    "Bold: better than every other of the row by paired tests on the test clips, p below 0.05 after correction for "
    "their number (Holm). =: the highest, and those that the tests do not tell from it. Grey: the lowest, where it is "
    "told from the highest. Small: 95 % intervals."
)


@dataclass(frozen=True)
class _Part:
    """A table of the paper: its tasks with their types, and its numbers."""

    key: str
    title: str
    kinds: Mapping[str, str]
    printed: Mapping[str, Mapping[str, paper.Score]]


_PARTS = (
    _Part("table1", "Table 1: evaluation results", paper.KINDS_1, paper.TABLE_1),
    _Part("table2", "Table 2: potential trade-offs", paper.KINDS_2, paper.TABLE_2),
)
_OTHERS = _Part("tasks", "Other tasks", {}, {})


@dataclass(frozen=True)
class _Line:
    """A row of a table with its columns' results."""

    row: Row
    name: str
    results: Mapping[str, Sequence[Result]]

    @property
    def means(self) -> dict[str, float]:
        return {label: mean_of(results) for label, results in self.results.items()}


def mean_of(results: Sequence[Result]) -> float:
    """Over seeds."""
    return statistics.fmean(result.mean for result in results)


def _spread(results: Sequence[Result]) -> float | None:
    """Over seeds where there are several, else over folds."""
    if len(results) == 1:
        return results[0].std
    means = [result.mean for result in results]
    return statistics.stdev(means) if all(map(math.isfinite, means)) else None


def _last(results: Sequence[Result]) -> list[Result]:
    """Of models as they are at the end, with speech: what the score tables show."""
    return [result for result in results if result.epoch is None and not result.nospeech]


def score_tables(results: Sequence[Result], predictions: Predictions, *, with_paper: bool) -> list[Table]:
    """Tables 1 and 2 for the paper's tasks, and one more for all other tasks. Checkpoints of epochs are left out."""
    last = _last(results)
    columns = columns_of(last)
    tables = []
    known = {task for part in _PARTS for task in part.kinds}
    for part in (*_PARTS, _OTHERS):
        wanted = {
            result.task for result in last if (result.task in part.kinds if part.kinds else result.task not in known)
        }
        chosen = _of_tasks(columns, wanted)
        if chosen:
            tables.append(_score_table(part, chosen, predictions, with_paper=with_paper))
    return tables


def _of_tasks(columns: Sequence[Column], tasks: Collection[str]) -> list[Column]:
    cut = [Column(c.label, c.variant, [result for result in c.results if result.task in tasks]) for c in columns]
    return sorted((c for c in cut if c.results), key=lambda column: (_place(column.variant), column.label))


def _place(variant: str) -> int:
    return _ORDER.index(variant) if variant in _ORDER else len(_ORDER)


def _lines(columns: Sequence[Column], order: Sequence[str]) -> list[_Line]:
    by_column = {column.label: rows_of(column.results) for column in columns}
    rows = list(dict.fromkeys(row for found in by_column.values() for row in found))
    lines = [
        _Line(row, row.task + row.told_from(rows), {label: found[row] for label, found in by_column.items()
                                                     if row in found})
        for row in rows
    ]  # fmt: skip
    place = {task: number for number, task in enumerate(order)}
    modalities = {name: number for number, name in enumerate(("A", "V", "AV"))}
    return sorted(
        lines, key=lambda line: (place.get(line.row.task, len(place)), line.row.task,
                                 modalities.get(line.row.modality, len(modalities)), line.name)
    )  # fmt: skip


def _score_table(part: _Part, columns: Sequence[Column], predictions: Predictions, *, with_paper: bool) -> Table:
    rows = []
    for line in _lines(columns, list(part.kinds)):
        printed = part.printed.get(line.row.task, {}) if with_paper and _as_printed(line.row) else {}
        rows.append(_score_row(line, part.kinds.get(line.row.task, ""), columns, predictions, printed))
    labels = [column.label for column in columns]
    notes = [MARKS, _seeds(columns), told_film_sets(columns), *(["In brackets: the paper's."] * with_paper)]
    return Table(
        part.key, part.title, ("task", "type", "M", "metric", "chance", *labels), tuple(rows),
        " ".join(filter(None, notes)),
    )  # fmt: skip


def _as_printed(row: Row) -> bool:
    """Whether a row is of the modality that the paper has its task in; older results do not say theirs."""
    return row.modality in (paper.MODALITY.get(row.task, "A"), "")


def _score_row(
    line: _Line,
    kind: str,
    columns: Sequence[Column],
    predictions: Predictions,
    printed: Mapping[str, paper.Score],
) -> tuple[Cell, ...]:
    first = next(iter(line.results.values()))[0]
    by_chance = chance(first, predictions)
    marks = verdicts(line.results, line.means, predictions)
    cells = [Cell(line.name), Cell(kind), Cell(line.row.modality), Cell(first.metric)]
    cells.append(Cell("" if by_chance is None else f"{by_chance:.3f}", by_chance))
    for column in columns:
        reference = printed.get(column.variant)
        text = "" if reference is None else _score(*reference)
        results = line.results.get(column.label)
        if results is None:
            cells.append(Cell("-", None, "", text))
        else:
            cells.append(_cell(results, predictions, marks.get(column.label, ""), text))
    return tuple(cells)


def _cell(results: Sequence[Result], predictions: Predictions, mark: str = "", printed: str = "") -> Cell:
    mean = mean_of(results)
    return Cell(_score(mean, _spread(results)), mean, mark, printed, interval_of(results, predictions))


def _score(mean: float, spread: float | None) -> str:
    return shown(mean) + (f"±{spread:.3f}" if spread is not None else "")


def _seeds(columns: Sequence[Column]) -> str:
    """What ± is, and what seeds are."""
    told = []
    for column in columns:
        seeds = sorted({result.seed for result in column.results if result.seed is not None})
        if len(seeds) > 1:
            known = "" if all(result.training for result in column.results) else ", by their names alone"
            told.append(f"{column.label}: {', '.join(map(str, seeds))}{known}")
    if not told:
        return "± is the standard deviation over folds or splits."
    return (
        "± is the standard deviation over seeds where a column has several: models whose training differs in its seed "
        f"alone ({'; '.join(told)}); else over folds or splits."
    )


def table_d6(results: Sequence[Result], predictions: Predictions, *, with_paper: bool) -> Table | None:
    """Each model with and without speech in the data, for every task that was probed both ways."""
    rows = []
    columns = columns_of([result for result in results if result.epoch is None])
    for column in sorted(columns, key=lambda column: (_place(column.variant), column.label)):
        speech = {_asked(row): found for row, found in rows_of(column.results).items() if not found[0].nospeech}
        for row, found in rows_of(column.results).items():
            if found[0].nospeech and (plain := speech.get(_asked(row, found[0].task_with_speech))) is not None:
                fluent = with_paper and found[0].task.startswith("fluent")
                printed = paper.TABLE_D6.get(column.variant) if fluent else None
                which = " (of the test clips)" if row.task.endswith("-test") else ""
                rows.append((
                    Cell(found[0].task_with_speech + which),
                    Cell(row.modality),
                    Cell(column.label),
                    _cell(plain, predictions, "", f"{printed[0]:.3f}" if printed else ""),
                    _cell(found, predictions, "", f"{printed[1]:.3f}" if printed else ""),
                ))  # fmt: skip
    if not rows:
        return None
    title = "Table D6: with and without speech"
    columns_named = ("task", "M", "model", "+Speech", "-Speech")
    note = "Small: 95 % intervals."
    return Table("tableD6", title, columns_named, tuple(sorted(rows, key=lambda row: row[0].text)), note)


def _asked(row: Row, task: str | None = None) -> tuple[object, ...]:
    """What a row shares with the row of the same task without speech."""
    kept = tuple((name, text) for name, text in row.details if name not in ("data", "data_variant"))
    return (task or row.task, row.modality, kept)


def column_names(results: Sequence[Result]) -> list[str]:
    """The score tables' columns, by which ``class_tables`` is asked."""
    return [column.label for column in columns_of(_last(results))]


def class_tables(results: Sequence[Result], predictions: Predictions, against: str) -> list[Table]:
    """Of each row of the score tables the differences by class between its highest column and the one ``against``, or
    the next highest where that is the highest itself or not there."""
    last = _last(results)
    tables = []
    names = names_of(rows_of(last))
    for line in _lines(columns_of(last), [*paper.KINDS_1, *paper.KINDS_2]):
        ranked = sorted(
            (label for label, mean in line.means.items() if math.isfinite(mean)), key=lambda label: -line.means[label]
        )
        if len(ranked) < 2:
            continue
        first, second = (against if against in ranked[1:] else ranked[1]), ranked[0]
        sides = paired(line.results[first], line.results[second], predictions)
        try:
            rows = [] if sides is None else _class_rows(*sides)
        except (UserError, ValueError, IndexError):
            rows = []
        if rows:
            name = names[line.row]
            title = f"{name} by class: {second} against {first}"
            columns = ("class", "test clips", first, second, "difference", "from", "to", "p (Holm)", "more than noise")
            note = (
                f"{second} minus {first}, 95 % intervals of one test each; p is corrected for the {len(rows)} classes."
            )
            tables.append(Table(f"classes-{name}", title, columns, tuple(rows), note, folded=True))
    return tables


def _class_rows(first: ResultFile, second: ResultFile) -> list[tuple[Cell, ...]]:
    found = sorted(compare_classes(first, second), key=lambda one: -one.difference)
    return [
        (
            Cell(one.name),
            Cell(str(one.clips), one.clips),
            Cell(f"{one.scores[0]:.3f}", one.scores[0]),
            Cell(f"{one.scores[1]:.3f}", one.scores[1]),
            *(Cell(f"{value:+.3f}", value) for value in (one.difference, *one.interval)),
            Cell(f"{one.p_holm:.2g}", one.p_holm),
            Cell("yes" if one.more_than_noise else "no"),
        )
        for one in found
    ]


def highest(results: Sequence[Result]) -> dict[str, tuple[str, float]]:
    """Of each task, on the modality that the paper has it in, the highest column of any row and its mean."""
    found: dict[str, tuple[str, float]] = {}
    for line in _lines(columns_of(_last(results)), ()):
        if _as_printed(line.row):
            for label, mean in line.means.items():
                if math.isfinite(mean) and mean > found.get(line.row.task, ("", -math.inf))[1]:
                    found[line.row.task] = (label, mean)
    return found


def all_results(results: Sequence[Result]) -> Table | None:
    """Every results file in a line, sortable on the page."""
    if not results:
        return None
    rows = []
    for column in columns_of(results):
        for result in column.results:
            said = result.content.get("interval")
            low, high = said if isinstance(said, list) and len(said) == 2 else (None, None)
            rows.append((
                Cell(result.task),
                Cell(result.modality),
                Cell(result.model),
                Cell(column.label),
                Cell("" if result.seed is None else str(result.seed), result.seed),
                Cell(result.protocol),
                Cell(result.metric),
                Cell(shown(result.mean, ".4f"), result.mean),
                Cell("-" if result.std is None else f"{result.std:.4f}", result.std),
                *(Cell("-" if end is None else f"{end:.4f}", end) for end in (low, high)),
                Cell(str(len(result.scores)), len(result.scores)),
            ))  # fmt: skip
    rows.sort(key=lambda row: (row[0].text, row[2].text))
    columns = ("task", "M", "model", "column", "seed", "protocol", "metric", "mean", "std", "from", "to", "splits")
    return Table("results", "All results", columns, tuple(rows))
