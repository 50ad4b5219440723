"""What was predicted of each comparison, in ``preregistration.md``, and what came, by the 90 % intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models import MAIN_FACTORS

ABOVE, NONE, AT_MOST_NONE, BELOW = "above 0", "0", "0 or below", "below 0"


@dataclass(frozen=True)
class Prediction:
    """Of ``second`` less ``first``, kinds of models, on these factors."""

    first: str
    second: str
    factors: tuple[str, ...]
    expected: str


PREDICTIONS = (
    Prediction("mono", "efj", MAIN_FACTORS, ABOVE),
    Prediction("mono", "efj", ("language", "words"), AT_MOST_NONE),
    Prediction("mono", "sep", ("voice",), BELOW),
    Prediction("mono@unlinked", "efj@unlinked", MAIN_FACTORS, NONE),
    Prediction("mono@silent", "efj@silent", MAIN_FACTORS, NONE),
    Prediction("mono", "efj@same", MAIN_FACTORS, NONE),
    Prediction("mono", "efj@wrong", ("place", "event"), BELOW),
)


def where(interval: tuple[float, float]) -> str:
    """Where a difference lies that has this interval."""
    low, high = interval
    if low > 0:
        return ABOVE
    return BELOW if high < 0 else NONE


def came_true(expected: str, interval: tuple[float, float]) -> bool:
    """Whether an interval is where it was expected; one that includes 0 is not told apart from it."""
    found = where(interval)
    return found in (NONE, BELOW) if expected == AT_MOST_NONE else found == expected


def prediction_table(analysis: Mapping[str, Any]) -> str:
    """Markdown: a row for each comparison and factor of which something was predicted."""
    found = {(one["first"], one["second"], one["factor"]): one
             for one in analysis["differences"] if one["head"] == "mixed"}  # fmt: skip
    lines = ["| comparison | factor | predicted | came | 90 % interval | above in | as predicted |"]
    lines.append("| --- |" + " --- |" * 6)
    for prediction in PREDICTIONS:
        for factor in prediction.factors:
            row = [f"`{prediction.second}` - `{prediction.first}`", factor, prediction.expected]
            one = found.get((prediction.first, prediction.second, factor))
            if one is None:
                lines.append(f"| {' | '.join(row)} | - | - | - | - |")
                continue
            low, high = one["interval_90"]
            verdict = "yes" if came_true(prediction.expected, (low, high)) else f"no, {where((low, high))}"
            row += [f"{one['mean']:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{one['above']} of {len(one['seeds'])}"]
            lines.append(f"| {' | '.join(row)} | {verdict} |")
    return "\n".join(lines)
