"""Whether the models of a table were trained on the same films: else their columns tell of the films as well."""

from __future__ import annotations

from collections.abc import Sequence

from dubcli.report.collect import Result
from dubcli.report.columns import Column


def film_set(result: Result) -> str:
    """The digits of the clips that a result's model was trained on, as its checkpoint says; "" where it says none."""
    return str(result.features.get("film_set") or "")


def told_film_sets(columns: Sequence[Column]) -> str:
    """A line where the columns' models were trained on different films; "" where they were not, or nothing says it."""
    sets: dict[str, list[str]] = {}
    for column in columns:
        for own in dict.fromkeys(filter(None, map(film_set, column.results))):
            sets.setdefault(own, []).append(column.label)
    if len(sets) < 2:
        return ""
    told = "; ".join(f"{', '.join(labels)}: {own}" for own, labels in sets.items())
    return f"NOT TRAINED ON THE SAME FILMS, so that columns differ by more than their variant ({told})."
