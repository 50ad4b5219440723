"""Plots: curves over training, probe scores by epoch (figure C2), durations (B1), confusion matrices.

Each is drawn once by matplotlib and saved as PNG for papers and as SVG for the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dubcli.errors import UserError
from dubcli.report.collect import Result, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BASELINES = ("random", "mono", "sep", "a")
_MOST_CLASSES_NAMED = 60


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

    with matplotlib.rc_context({"svg.hashsalt": key, "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(title)
        paint(axes)
        png, svg = io.BytesIO(), io.StringIO()
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None})
    text = svg.getvalue()
    return Plot(key, title, png.getvalue(), _unlike_others(text[text.index("<svg") :], key))


def _unlike_others(svg: str, key: str) -> str:
    """Identifiers of several pictures in one page must not meet."""
    prefix = re.sub(r"\W", "_", key)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{prefix}-\2"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)


def training_plots(runs: Sequence[Run]) -> list[Plot]:
    """Loss of every run; validation loss, retrieval and dub alignment where films were held out."""
    plots = []
    for key, title, unit, wanted in (
        ("loss", "Training loss", "loss", r"loss"),
        ("val-loss", "Loss on held-out films", "loss", r"val/loss/(.+)"),
        ("retrieval", "Retrieval on held-out films, R@1", "share", r"val/(.+)/r@1"),
        ("alignment", "Dub alignment on held-out films", "mean cosine", r"val/alignment/(.+)"),
    ):
        lines = [(f"{run.name} {label}".strip(), x, y) for run in runs for label, x, y in _series(run, wanted)]
        if lines:
            plots.append(draw(key, title, _painter(lines, unit), (7.0, 4.2)))
    return plots


def _series(run: Run, wanted: str) -> list[tuple[str, list[float], list[float]]]:
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in run.metrics:
        for name, value in line.items():
            match = re.fullmatch(wanted, name)
            if match and isinstance(value, (int, float)):
                label = match[1] if match.groups() else ""
                xs, ys = found.setdefault(label, ([], []))
                xs.append(float(line.get("epoch", line.get("step", len(xs)))))
                ys.append(float(value))
    return [(label, xs, ys) for label, (xs, ys) in found.items()]


def _painter(lines: Sequence[tuple[str, list[float], list[float]]], unit: str) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        for label, xs, ys in lines:
            variant = label.split(" ")[0]
            axes.plot(xs, ys, marker="." if len(xs) < 40 else "", label=label,
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
    plots = []
    by_task: dict[str, dict[str, dict[int, Result]]] = {}
    for result in sorted(results, key=lambda result: result.epoch is not None):  # epoch-10.pt over the same ckpt.pt
        if result.epochs is not None and not result.nospeech:
            by_task.setdefault(result.task, {}).setdefault(result.run, {})[result.epochs] = result
    for task, runs in sorted(by_task.items()):
        if any(len(points) > 1 for points in runs.values()):
            painter = _epoch_painter({run: list(points.values()) for run, points in runs.items()})
            plots.append(draw(f"epochs-{task}", f"{task}: score by pretraining epoch", painter))
    return plots


def _epoch_painter(runs: dict[str, list[Result]]) -> Callable[[Axes], None]:
    def paint(axes: Axes) -> None:
        best: tuple[float, float] | None = None
        for name, found in sorted(runs.items()):
            points = sorted(found, key=lambda result: result.epochs or 0)
            xs, ys = [float(p.epochs or 0) for p in points], [p.mean for p in points]
            axes.errorbar(xs, ys, yerr=[p.std or 0.0 for p in points], marker=".", capsize=2, label=name,
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


def confusion_plots(results: Sequence[Result]) -> list[Plot]:
    """A confusion matrix per results file that says what was predicted; checkpoints of epochs are left out."""
    plots = []
    for result in results:
        if result.epoch is None and (found := confusion(result)) is not None:
            matrix, classes = found
            side = min(9.0, 2.4 + 0.22 * len(classes))
            title = f"{result.task}: {result.model}"
            painter = _confusion_painter(matrix, classes)
            plots.append(draw(f"confusion-{result.task}-{result.model}", title, painter, (side + 0.6, side)))
    return plots


def confusion(result: Result) -> tuple[np.ndarray[Any, Any], list[str]] | None:
    """(classes, classes) counts over all splits, rows true, columns predicted, and the classes' names.

    None for results that are not multiclass, or whose predictions are not beside them.
    """
    classes = result.content.get("classes")
    if result.content.get("kind") != "multiclass" or not isinstance(classes, list) or not result.predictions.is_file():
        return None
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    try:
        with np.load(result.predictions, allow_pickle=False) as arrays:
            for name in arrays.files:
                if name.endswith(".labels"):
                    guesses = arrays[name.removesuffix("labels") + "scores.0"].argmax(axis=1)
                    np.add.at(matrix, (arrays[name], guesses), 1)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"{result.predictions} cannot be read ({error}); probe it again with --again") from None
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
