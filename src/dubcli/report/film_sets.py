"""Whether the models of a table were trained on the same films: else their columns tell of the films as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dubcli.report.collect import Result
from dubcli.report.tables import Table


def film_set(result: Result) -> str:
    """The digits of the clips that a result's model was trained on, as its checkpoint says; "" where it says none."""
    about = result.content.get("features")
    return str(about.get("film_set") or "") if isinstance(about, dict) else ""


def flagged(tables: Sequence[Table], results: Sequence[Result]) -> list[Table]:
    """The tables, with a line in the note of each that holds models of different films."""
    return [replace(table, note=f"{table.note} {_flag(table, results)}".strip()) for table in tables]


def _flag(table: Table, results: Sequence[Result]) -> str:
    sets: dict[str, list[str]] = {}
    for result in results:
        if (own := film_set(result)) and result.label in table.columns and result.label not in sets.get(own, ()):
            sets.setdefault(own, []).append(result.label)
    if len(sets) < 2:
        return ""
    told = "; ".join(f"{', '.join(labels)}: {own}" for own, labels in sets.items())
    return f"NOT TRAINED ON THE SAME FILMS, so that columns differ by more than their variant ({told})."
