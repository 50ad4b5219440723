"""The two figures and the tables of the answer, from ``analysis.json`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from measure import FACTORS

from dubcli.core.atomic import atomic_write
from dubcli.report.paper import TABLE_1, TABLE_2
from dubcli.report.plots import draw

ROWS = {"place": "tut18", "event": "esc50", "voice": "cremad", "count": "libricount", "words": "speechcommands-5h",
        "language": "voxforge"}  # fmt: skip
"""The paper's task that asks for the same kind of thing, where there is one."""


def write_figures(analysis: dict[str, Any], folder: Path, steps_per_epoch: int) -> None:
    """``differences.png`` and ``steps.png``."""
    _save(folder / "differences.png", _differences(analysis))
    _save(folder / "steps.png", _steps(analysis, steps_per_epoch))


def _save(path: Path, plot: Any) -> None:
    with atomic_write(path) as file:
        file.write(plot.png)


def _differences(analysis: dict[str, Any]) -> Any:
    """By factor, every kind of model against the same without dubs, with 90 % intervals."""
    shown = [one for one in analysis["differences"] if one["head"] == "mixed" and one["first"] not in ("random",)]
    kinds = list(dict.fromkeys((one["second"], one["first"]) for one in shown))

    def paint(axes: Any) -> None:
        width = 0.8 / max(1, len(kinds))
        for number, (second, first) in enumerate(kinds):
            rows = {one["factor"]: one for one in shown if (one["second"], one["first"]) == (second, first)}
            at = np.arange(len(rows)) + (number - (len(kinds) - 1) / 2) * width
            means = np.array([one["mean"] for one in rows.values()])
            ends = np.array([one["interval_90"] for one in rows.values()]).T
            axes.errorbar(at, means, np.abs(ends - means), fmt="o", markersize=3, label=f"{second} - {first}")
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_xticks(np.arange(len(FACTORS)), FACTORS)
        axes.set_ylabel("difference of accuracy, 90 % intervals")
        axes.legend(fontsize=6, ncols=3)

    return draw("differences", "What dubs change, by factor", paint, (9.0, 4.5))


def _steps(analysis: dict[str, Any], steps_per_epoch: int) -> Any:
    def paint(axes: Any) -> None:
        for factor, style in (("place", "-"), ("event", "--"), ("voice", ":")):
            for kind, colour in (("mono", "tab:blue"), ("efj", "tab:orange")):
                found = {
                    int(epoch): kinds[kind][f"{factor} mixed"]
                    for epoch, kinds in analysis["epochs"].items()
                    if kind in kinds
                }
                steps = [epoch * steps_per_epoch for epoch in found]
                means = [float(np.mean(values)) for values in found.values()]
                axes.plot(steps, means, style, color=colour, marker="o", markersize=3, label=f"{kind}, {factor}")
        axes.set_xlabel("steps")
        axes.set_ylabel("accuracy, mean of seeds")
        axes.legend(fontsize=7, ncols=3)

    return draw("steps", "Score against steps", paint)


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
