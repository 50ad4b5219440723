"""The figures and the tables of the answer, from ``analysis.json`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from measure import FACTORS
from models import MAIN_FACTORS
from study import RANDOM

from dubcli.core.atomic import atomic_write
from dubcli.pages.charts import SERIES, Chart, quantity, series_colour
from dubcli.report.paper import TABLE_1, TABLE_2

ROWS = {"place": "tut18", "event": "esc50", "voice": "cremad", "count": "libricount", "words": "speechcommands-5h",
        "language": "voxforge"}  # fmt: skip
"""The paper's task that asks for the same kind of thing, where there is one."""


def write_figures(analysis: dict[str, Any], folder: Path, steps_per_epoch: float) -> None:
    """``differences.png`` and ``steps.png``, and ``controls.png`` where controls were measured."""
    compared = [one for one in analysis["differences"] if one["head"] == "mixed" and one["first"] != RANDOM]
    variants = [one for one in compared if "@" not in one["second"]]
    controls = [one for one in compared if "@" in one["second"]]
    charts = [_differences("differences", "What dubs change, by factor", variants), _steps(analysis, steps_per_epoch)]
    if controls:
        charts.append(_differences("controls", "The controls, by factor", controls))
    for chart in charts:
        with atomic_write(folder / f"{chart.key}.png") as file:
            file.write(chart.png())


def _differences(key: str, heading: str, differences: list[dict[str, Any]]) -> Chart:
    """By factor, every kind of model against the same without dubs, with 90 % intervals."""
    values = [
        {"factor": one["factor"], SERIES: f"{one['second']} - {one['first']}", "difference": one["mean"],
         "low": one["interval_90"][0], "high": one["interval_90"][1]}
        for one in differences
    ]  # fmt: skip
    names = list(dict.fromkeys(value[SERIES] for value in values))
    title = "difference of accuracy, 90 % interval"
    zero = {"y": {"datum": 0}, "x": None, "xOffset": None, "color": None}
    spec = {
        "data": {"values": values},
        "encoding": {
            "x": {
                "field": "factor",
                "type": "nominal",
                "sort": list(FACTORS),
                "title": None,
                "axis": {"labelAngle": 0},
            },
            "xOffset": {"field": SERIES, "type": "nominal", "sort": names},
            "color": series_colour(names),
        },
        "layer": [
            {"data": {"values": [{}]}, "mark": {"type": "rule", "color": "grey"}, "encoding": zero},
            {"mark": "rule", "encoding": {"y": quantity("low", title), "y2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True}, "encoding": {"y": quantity("difference", title)}},
        ],
    }
    return Chart(key, heading, "Differences of accuracy with intervals.", spec)


def _steps(analysis: dict[str, Any], steps_per_epoch: float) -> Chart:
    """Mean of seeds of mono and efj on the three main factors."""
    values = [
        {SERIES: f"{kind}, {factor}", "factor": factor, "steps": round(int(epoch) * steps_per_epoch),
         "accuracy": float(np.mean(kinds[kind][f"{factor} mixed"]))}
        for epoch, kinds in analysis["epochs"].items()
        for kind in ("mono", "efj")
        if kind in kinds
        for factor in MAIN_FACTORS
    ]  # fmt: skip
    names = list(dict.fromkeys(value[SERIES] for value in values))
    spec = {
        "data": {"values": values},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": quantity("steps", "steps"),
            "y": quantity("accuracy", "accuracy, mean of seeds"),
            "color": series_colour(names),
            "strokeDash": {"field": "factor", "type": "nominal", "legend": None},
        },
    }
    return Chart("steps", "Score against steps", "Accuracies on place, event and voice by steps of training.", spec)


def difference_table(analysis: dict[str, Any], head: str = "mixed") -> str:
    """Markdown: mono, efj and what lies between them, over the pairs of seeds that are there, beside the untrained."""
    lines = ["| factor | untrained | mono | efj | efj - mono | 90 % interval | by seed | efj above in |"]
    lines.append("| --- |" + " --- |" * 7)
    for one in analysis["differences"]:
        if (one["first"], one["second"], one["head"]) != ("mono", "efj", head):
            continue
        seeds, key = len(one["seeds"]), f"{one['factor']} {head}"
        means = [analysis["scores"].get(kind, {}).get(key, [])[:seeds] for kind in (RANDOM, "mono", "efj")]
        low, high = one["interval_90"]
        cells = [one["factor"], *(f"{np.mean(mean):.3f}" if mean else "-" for mean in means), f"{one['mean']:+.3f}"]
        cells += [f"{low:+.3f} to {high:+.3f}", ", ".join(f"{gain:+.2f}" for gain in one["by_seed"])]
        lines.append(f"| {' | '.join(cells)} | {one['above']} of {seeds} |")
    return "\n".join(lines)


def score_table(analysis: dict[str, Any], head: str = "mixed") -> str:
    """Markdown: mean and standard deviation over seeds of each kind of model on each factor."""
    kinds = list(analysis["scores"])
    lines = ["| factor | " + " | ".join(kinds) + " |", "| --- |" + " --- |" * len(kinds)]
    for factor in FACTORS:
        key = f"{factor} {head}"
        if any(key in analysis["scores"][kind] for kind in kinds):
            cells = [_cell(analysis["scores"][kind].get(key, [])) for kind in kinds]
            lines.append(f"| {factor} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def paper_table(analysis: dict[str, Any]) -> str:
    """Markdown: what each variant changes against mono, here and in the paper's task of the same kind."""
    variants = ("es", "fr", "ja", "efj", "sep")
    found = {(one["factor"], one["second"]): one for one in analysis["differences"]
             if one["first"] == "mono" and one["head"] == "mixed"}  # fmt: skip
    lines = ["| factor | the paper's task | " + " | ".join(f"{v}: here, paper" for v in variants) + " |"]
    lines.append("| --- | --- |" + " --- |" * len(variants))
    printed = {**TABLE_1, **TABLE_2}
    for factor, task in ROWS.items():
        cells = []
        for variant in variants:
            theirs = printed[task][variant][0] - printed[task]["mono"][0]
            ours = found.get((factor, variant))
            cells.append(f"{'-' if ours is None else format(ours['mean'], '+.3f')}, {theirs:+.3f}")
        lines.append(f"| {factor} | {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return "-"
    spread = f"±{np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"
