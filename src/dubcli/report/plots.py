"""Plots: curves over training, probe scores by epoch (figure C2), durations (B1), confusion matrices.

Each is drawn once by matplotlib and saved as PNG for papers and as SVG for the page.
"""

from __future__ import annotations

import functools
import hashlib
import io
import math
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from dubcli.report.belief import Predictions
from dubcli.report.collect import Result, Run
from dubcli.report.columns import Row, columns_of, names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASELINES = ("random", "mono", "sep", "a")
_LONGEST_LABEL = 48
_MOST_CLASSES_NAMED = 60
_LONGEST_NAME = 36
_WIDE_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans JP",
    "IPAexGothic",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
)


@dataclass(frozen=True)
class Plot:
    """``key`` is the name of its file; ``png`` and ``svg`` the same picture."""

    key: str
    title: str
    png: bytes
    svg: str


def draw(key: str, title: str, paint: Callable[[Axes], None], size: tuple[float, float] = (6.4, 4.0)) -> Plot:
    """Let ``paint`` draw into one pair of axes. The same content gives the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # names of runs and tasks are anybody's: a $ in them is no formula
    style: dict[str, Any] = {"svg.hashsalt": key, "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}
    with matplotlib.rc_context(cast("Any", style | {"font.family": _families()})), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's text is the browser's
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(textwrap.fill(title, max(16, int(13 * size[0])), break_on_hyphens=False), fontsize=9)
        paint(axes)
        png, svg = io.BytesIO(), io.StringIO()
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None})
    text = svg.getvalue()
    return Plot(key, title, png.getvalue(), _unlike_others(text[text.index("<svg") :], key))


@functools.cache
def _families() -> list[str]:
    """Matplotlib's own font, and those of this machine for what it lacks."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _WIDE_FONTS if name in there)]


def _unlike_others(svg: str, key: str) -> str:
    """Identifiers of several pictures in one page must not meet."""
    prefix = f"p{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{prefix}-\2"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)


def training_plots(runs: Sequence[Run]) -> list[Plot]:
    """Loss of every run; validation loss, retrieval and dub alignment where films were held out."""
    plots = []
    names = _names(runs)
    for key, title, unit, wanted in (
        ("loss", "Training loss", "loss", r"loss"),
        ("val-loss", "Loss on held-out films", "loss", r"val/loss/(.+)"),
        ("retrieval", "Retrieval on held-out films, R@1", "share", r"val/(.+)/r@1"),
        ("alignment", "Dub alignment on held-out films", "mean cosine", r"val/alignment/(.+)"),
    ):
        lines = [
            (f"{name} {label}".strip(), x, y)
            for name, run in zip(names, runs, strict=True)
            for label, x, y in _series(run, wanted)
        ]
        if lines:
            plots.append(draw(key, title, _painter(lines, unit), (7.0, 4.2)))
    return plots


def _names(runs: Sequence[Run]) -> list[str]:
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


def _in_legend(label: str) -> str:
    """Matplotlib leaves labels out that begin with an underscore, and the axes where a label is as wide as they are."""
    if len(label) > _LONGEST_LABEL:
        label = f"{label[: _LONGEST_LABEL - 16]}…{label[-15:]}"
    return f" {label}" if label.startswith("_") else label


def _painter(lines: Sequence[tuple[str, list[float], list[float]]], unit: str) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        for label, xs, ys in lines:
            variant = label.split(" ")[0]
            axes.plot(xs, ys, marker="." if len(xs) < 40 else "", label=_in_legend(label),
                      linestyle="--" if variant in BASELINES else "-", linewidth=1.2)  # fmt: skip
        axes.set_xlabel("epoch")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8 if len(lines) < 9 else 6, ncols=1 + len(lines) // 12)

    return paint


def epoch_plots(results: Sequence[Result]) -> list[Plot]:
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
            painter = _epoch_painter({run: list(points.values()) for run, points in runs[row].items()})
            plots.append(draw(f"epochs-{name}", f"{name}: score by pretraining epoch", painter))
    return plots


def _epoch_painter(runs: dict[str, list[Result]]) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        best: tuple[float, float] | None = None
        for name, found in sorted(runs.items()):
            points = sorted(found, key=lambda result: result.epochs or 0)
            xs, ys = [float(p.epochs or 0) for p in points], [p.mean for p in points]
            axes.errorbar(xs, ys, yerr=[p.std or 0.0 for p in points], marker=".", capsize=2, label=_in_legend(name),
                          linestyle="--" if points[0].variant in BASELINES else "-")  # fmt: skip
            top = int(np.argmax(ys))
            if best is None or ys[top] > best[1]:
                best = (xs[top], ys[top])
        if best is not None:
            axes.plot(*best, marker="o", markersize=13, fillstyle="none", color="black")
        axes.set_xlabel("epoch")
        axes.set_ylabel(next(iter(runs.values()))[0].metric)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)

    return paint


def duration_plot(minutes: Sequence[float]) -> Plot:
    """Figure B1c: histogram of the titles' durations."""

    def paint(axes: Axes) -> None:
        axes.hist(minutes, bins=min(40, max(5, len(minutes) // 2)), color="#4477aa")
        axes.set_xlabel("minutes")
        axes.set_ylabel("titles")

    return draw("durations", "Durations of the titles", paint, (5.0, 3.2))


def confusion_plots(results: Sequence[Result], predictions: Predictions) -> list[Plot]:
    """A confusion matrix per results file that says what was predicted; checkpoints of epochs are left out."""
    last = [result for result in results if result.epoch is None]
    alike = Counter((result.task, result.model) for result in last)
    plots = []
    for column in columns_of(last):
        for result in column.results:
            if (found := confusion(result, predictions)) is None:
                continue
            matrix, classes = found
            name = result.model if alike[result.task, result.model] == 1 else f"{column.label} {result.model}"
            classes = [label if len(label) <= _LONGEST_NAME else label[: _LONGEST_NAME - 1] + "…" for label in classes]
            side = min(9.0, 2.4 + 0.22 * len(classes))
            margin = 0.8 + (0.06 * max(map(len, classes), default=0) if len(classes) <= _MOST_CLASSES_NAMED else 0.0)
            painter = _confusion_painter(matrix, classes)
            plots.append(
                draw(f"confusion-{result.task}-{name}", f"{result.task}: {name}", painter, (side + margin,) * 2)
            )
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


def _confusion_painter(matrix: np.ndarray[Any, Any], classes: list[str]) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if len(classes) <= _MOST_CLASSES_NAMED:
            ticks = range(len(classes))
            axes.set_xticks(ticks, classes, rotation=90, fontsize=6)
            axes.set_yticks(ticks, classes, fontsize=6)
        if len(classes) <= 15:
            for (row, column), count in np.ndenumerate(matrix):
                if count:
                    colour = "white" if share[row, column] > 0.5 else "black"
                    axes.text(column, row, f"{int(count)}", ha="center", va="center", fontsize=6, color=colour)

    return paint
