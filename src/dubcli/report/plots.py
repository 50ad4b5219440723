"""Plots: curves over training, probe scores by epoch (figure C2), durations (B1), confusion matrices.

Each is one description that the page draws, and of which the PNG for papers is made (``pages.charts``).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from dubcli.pages.charts import SERIES, SHOWN_SERIES, SWITCHES, Chart, quantity, series_colour, zoomable
from dubcli.report.belief import Predictions
from dubcli.report.collect import Result, Run
from dubcli.report.columns import Row, columns_of, names_of

BASELINES = ("random", "mono", "sep", "a")
MOST_POINTS = 400
"""Of a line: more than a screen tells apart. Longer logs are drawn as means of lines that follow each other."""

_FEWEST_TO_SMOOTH = 20
_MARKED_POINTS = 40
_MOST_CLASSES_NAMED = 60
_MOST_CLASSES_COUNTED = 15
_LONGEST_NAME = 36
_DASHED = {"condition": {"test": "datum.baseline", "value": [6, 3]}, "value": [1, 0]}


@dataclass(frozen=True)
class Line:
    """A line of a plot. ``baseline``: it is drawn dashed. ``mean_of``: so many lines of a log are one point."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    baseline: bool = False
    mean_of: int = 1


def training_plots(runs: Sequence[Run]) -> list[Chart]:
    """Loss of every run; validation loss, retrieval and dub alignment where films were held out."""
    plots = []
    names = run_names(runs)
    for key, title, unit, wanted in (
        ("loss", "Training loss", "loss", r"loss"),
        ("val-loss", "Loss on held-out films", "loss", r"val/loss/(.+)"),
        ("retrieval", "Retrieval on held-out films, R@1", "share", r"val/(.+)/r@1"),
        ("alignment", "Dub alignment on held-out films", "mean cosine", r"val/alignment/(.+)"),
    ):
        lines = [
            _thinned(f"{name} {label}".strip(), x, y, baseline=run.config.get("variant") in BASELINES)
            for name, run in zip(names, runs, strict=True)
            for label, x, y in _series(run, wanted)
        ]
        if lines:
            plots.append(_curves(key, title, unit, lines))
    return plots


def run_names(runs: Sequence[Run]) -> list[str]:
    """The runs' names; of those that are the same with the folders before them."""
    alike = Counter(run.name for run in runs)
    return [
        run.name if alike[run.name] == 1 else f"{run.name} ({run.path.resolve().parent.parent.name})" for run in runs
    ]


def _series(run: Run, wanted: str) -> list[tuple[str, list[float], list[float]]]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in run.metrics:
        for name, value in line.items():
            match = re.fullmatch(wanted, name)
            if match and _finite(value):
                label = match[1] if match.groups() else ""
                xs, ys = found.setdefault(label, ([], []))
                place = line.get("epoch", line.get("step"))
                xs.append(float(place) if _finite(place) else float(len(xs)))
                ys.append(float(value))
    return [(label, xs, ys) for label, (xs, ys) in found.items()]


def _finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _thinned(label: str, xs: Sequence[float], ys: Sequence[float], *, baseline: bool) -> Line:
    count = -(-len(xs) // MOST_POINTS)
    starts = range(0, len(xs), count)
    x_means, y_means = ([float(np.mean(values[at : at + count])) for at in starts] for values in (xs, ys))
    return Line(label, x_means, y_means, baseline=baseline, mean_of=count)


def _curves(key: str, title: str, unit: str, lines: Sequence[Line]) -> Chart:
    """Lines over epochs; long ones with a slider for the points of which the mean is drawn, the points pale behind."""
    values = [
        {"epoch": x, "value": y, SERIES: line.label, "baseline": line.baseline}
        for line in lines
        for x, y in zip(line.xs, line.ys, strict=True)
    ]
    longest = max(len(line.xs) for line in lines)
    most = min(50, longest // 4) if longest >= _FEWEST_TO_SMOOTH else 0
    slider = {"input": "range", "min": 0, "max": most, "step": 1, "name": "smoothing"}
    reach = [{"signal": "-smoothing"}, {"signal": "smoothing"}]
    mean = {"window": [{"op": "mean", "field": "value", "as": "smooth"}], "frame": reach,
            "groupby": [SERIES], "sort": [{"field": "epoch"}]}  # fmt: skip
    pale = {"type": "line", "strokeWidth": 1, "opacity": {"expr": "smoothing > 0 ? 0.3 : 0"}}
    smooth = quantity("smooth", unit)
    spec = {
        "data": {"values": values},
        "height": 300,
        "params": [SWITCHES, {"name": "smoothing", "value": 0, **({"bind": slider} if most else {})}],
        "transform": [SHOWN_SERIES, mean],
        "encoding": {
            "x": quantity("epoch", "epoch"),
            "color": series_colour([line.label for line in lines]),
            "strokeDash": _DASHED,
        },
        "layer": [
            *([{"mark": pale, "encoding": {"y": quantity("value", unit)}}] if most else []),
            {"mark": {"type": "line", "point": longest < _MARKED_POINTS}, "encoding": {"y": smooth}},
            _under_the_pointer(smooth, ("series", "epoch", "value")),
        ],
    }
    return Chart(key, title, _told(unit, lines), spec)


def _under_the_pointer(y: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The nearest point, with its numbers. What is moved and zoomed is here: this layer lies above the others."""
    nearest = {"type": "point", "nearest": True, "on": "pointermove, click", "clear": "pointerout"}
    shown = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    kinds = {"series": {"type": "nominal"}}
    numbers = {"type": "quantitative", "format": ".5~g"}
    return {
        "params": [{"name": "near", "select": nearest}, zoomable()],
        "mark": {"type": "point", "filled": True, "size": 70},
        "encoding": {
            "y": y,
            "opacity": shown,
            "tooltip": [{"field": name, "title": name, **kinds.get(name, numbers)} for name in names],
        },
    }


def _told(unit: str, lines: Sequence[Line], most: int = 6) -> str:
    """What a plot of lines shows, in words."""
    ends = [f"{line.label} {line.ys[-1]:.3g}" for line in lines[:most]]
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    parts = [f"{unit} by epoch; at the end: {', '.join(ends)}{more}"]
    if any(line.baseline for line in lines):
        parts.append("baselines are dashed")
    if (count := max(line.mean_of for line in lines)) > 1:
        parts.append(f"a point is the mean of up to {count} lines of the log")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def epoch_plots(results: Sequence[Result]) -> list[Chart]:
    """Figure C2: probe score by pretraining epoch, one plot per task; baselines dashed, the best point circled.

    A run's last checkpoint is a point too, at the epoch that it says.
    """
    known = [result for result in results if result.epochs is not None and not result.nospeech]
    usable = [result for result in known if math.isfinite(result.mean)]
    names = names_of(Row.of(result) for result in usable)
    runs: dict[Row, dict[str, dict[int, Result]]] = {row: {} for row in names}
    for column in columns_of(usable, any_epoch=True):
        several = len({result.seed for result in column.results}) > 1
        for result in sorted(column.results, key=lambda result: result.epoch is not None):  # epoch-10.pt over ckpt.pt
            run = f"{column.label} seed {result.seed}" if several else column.label
            runs[Row.of(result)].setdefault(run, {})[result.epochs or 0] = result
    plots = []
    for row, name in sorted(names.items(), key=lambda item: item[1]):
        if any(len(points) > 1 for points in runs[row].values()):
            found = {run: sorted(points.values(), key=lambda one: one.epochs or 0) for run, points in runs[row].items()}
            plots.append(_by_epoch(name, dict(sorted(found.items()))))
    return plots


def _by_epoch(name: str, runs: Mapping[str, Sequence[Result]]) -> Chart:
    """``runs``: the results of each line by epoch."""
    metric = next(iter(runs.values()))[0].metric
    lines = [
        Line(run, [float(one.epochs or 0) for one in found], [one.mean for one in found],
             baseline=found[0].variant in BASELINES)
        for run, found in runs.items()
    ]  # fmt: skip
    values: list[dict[str, Any]] = [
        {"epoch": one.epochs or 0, "score": one.mean, "low": one.mean - (one.std or 0.0),
         "high": one.mean + (one.std or 0.0), SERIES: run, "baseline": found[0].variant in BASELINES, "best": False}
        for run, found in runs.items()
        for one in found
    ]  # fmt: skip
    max(values, key=lambda value: value["score"])["best"] = True
    ring = {"type": "point", "size": 260, "filled": False, "strokeWidth": 2}
    score = quantity("score", metric)
    spec = {
        "data": {"values": values},
        "height": 300,
        "params": [SWITCHES],
        "transform": [SHOWN_SERIES],
        "encoding": {
            # ticks at the epochs that were probed, and these off the frame
            "x": quantity("epoch", "epoch", padding=16)
            | {"axis": {"values": sorted({one["epoch"] for one in values})}},
            "color": series_colour(list(runs)),
        },
        "layer": [
            {"mark": {"type": "rule"}, "encoding": {"y": quantity("low", metric), "y2": {"field": "high"}}},
            {"mark": {"type": "line", "point": True}, "encoding": {"y": score, "strokeDash": _DASHED}},
            {"transform": [{"filter": "datum.best"}], "mark": ring, "encoding": {"y": score}},
            _under_the_pointer(score, ("series", "epoch", "score", "low", "high")),
        ],
    }
    best = max(lines, key=lambda line: max(line.ys))
    description = f"{_told(metric, lines)} The best, {max(best.ys):.3g} of {best.label}, is circled; bars: ± std."
    return Chart(f"epochs-{name}", f"{name}: score by pretraining epoch", description, spec)


def duration_plot(minutes: Sequence[float]) -> Chart:
    """Figure B1c: histogram of the titles' durations."""
    bins = {"maxbins": min(40, max(5, len(minutes) // 2))}
    spec = {
        "data": {"values": [{"minutes": value} for value in minutes]},
        "height": 240,
        "mark": {"type": "bar", "tooltip": True, "color": "#4c78a8"},
        "encoding": {
            "x": {"field": "minutes", "type": "quantitative", "bin": bins, "title": "minutes"},
            "y": {"aggregate": "count", "title": "titles", "axis": {"tickMinStep": 1}},
        },
    }
    told = f"{len(minutes)} titles of {min(minutes):.3g} to {max(minutes):.3g} minutes."
    return Chart("durations", "Durations of the titles", told, spec)


def confusion_plots(results: Sequence[Result], predictions: Predictions) -> list[Chart]:
    """A confusion matrix per results file that says what was predicted; checkpoints of epochs are left out."""
    last = [result for result in results if result.epoch is None]
    tasks = names_of(Row.of(result) for result in last)
    alike = Counter((result.task, result.model) for result in last)
    plots = []
    for column in columns_of(last):
        for result in column.results:
            if (found := confusion(result, predictions)) is not None:
                name = result.model if alike[result.task, result.model] == 1 else f"{column.label} {result.model}"
                title = f"{tasks[Row.of(result)]}: {name}"
                plots.append(_matrix(f"confusion-{result.task}-{name}", title, *found))
    return sorted(plots, key=lambda plot: plot.key)


def confusion(result: Result, predictions: Predictions) -> tuple[np.ndarray[Any, Any], list[str]] | None:
    """(classes, classes) counts over all splits, rows true, columns predicted, and the classes' names.

    None for results that are not multiclass, or whose predictions cannot be had.
    """
    classes = result.content.get("classes")
    if result.content.get("kind") != "multiclass" or not isinstance(classes, list):
        return None
    file = predictions.of(result)
    if file is None:
        return None
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    try:
        for split in file.splits:
            guesses = file.arrays[f"{split}.scores.0"].argmax(axis=1)
            np.add.at(matrix, (file.arrays[f"{split}.labels"], guesses), 1)
    except (IndexError, ValueError, TypeError) as error:
        predictions.damaged.append(f"{result.predictions} does not fit its results file ({error}); probe it again")
        return None
    return matrix, [str(name) for name in classes]


def _matrix(key: str, title: str, matrix: np.ndarray[Any, Any], classes: Sequence[str]) -> Chart:
    """Shares of each true class in colours; what nothing was predicted as is left blank."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shown = _distinct_names(classes)
    values = [
        {"true": shown[row], "predicted": shown[column], "clips": int(matrix[row, column]),
         "share": round(float(share[row, column]), 4)}
        for row, column in zip(*np.nonzero(matrix), strict=True)
    ]  # fmt: skip
    axis = {"labelLimit": 160, "labelOverlap": True} if len(classes) <= _MOST_CLASSES_NAMED else {"labels": False}
    place = {"type": "nominal", "scale": {"domain": shown, "paddingInner": 0.02}}
    side = min(640, max(160, 22 * len(classes)))
    colour = {"field": "share", "type": "quantitative", "title": "share", "legend": None,
              "scale": {"scheme": "blues", "domain": [0, 1]}}  # fmt: skip
    count: dict[str, Any] = {
        "mark": {"type": "text", "fontSize": 10},
        "encoding": {
            "text": {"field": "clips"},
            "color": {"condition": {"test": "datum.share > 0.5", "value": "white"}, "value": "black"},
        },
    }
    fields = [{"field": name, "type": "nominal"} for name in ("true", "predicted", "clips", "share")]
    spec = {
        "data": {"values": values},
        "width": side,
        "height": side,
        "encoding": {
            "x": {"field": "predicted", **place, "axis": {**axis, "labelAngle": -90}},
            "y": {"field": "true", **place, "axis": axis},
            "tooltip": fields,
        },
        "layer": [
            {"mark": "rect", "encoding": {"color": colour}},
            *([count] if len(classes) <= _MOST_CLASSES_COUNTED else []),
        ],
    }
    right, every = int(matrix.trace()), int(matrix.sum())
    told = f"Of each of {len(classes)} classes the share by what was predicted; {right} of {every} clips are right."
    return Chart(key, title, told, spec, folded="Confusion matrices")


def _distinct_names(classes: Sequence[str]) -> list[str]:
    """As short as a chart's axis has room for, none like another's."""
    short = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in classes]
    alike = Counter(short)
    return [name if alike[name] == 1 else f"{name} ({place})" for place, name in enumerate(short)]
