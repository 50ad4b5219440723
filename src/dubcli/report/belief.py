"""How far scores can be believed: intervals, chance, and which differences are more than noise.

All of it is of the predictions beside results files. Where these are missing or damaged a score stands alone, and a
line says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.core.bootstrap import METRICS, interval
from dubcli.core.compare import Comparison, ResultFile, compare_files, corrected, pooled, read_result_file
from dubcli.errors import UserError
from dubcli.report.collect import Result

BEST, TIED, WORST = "best", "tied", "worst"

Array = np.ndarray[Any, Any]


@dataclass
class Predictions:
    """The predictions of results, each file read once. ``damaged``: a line for each that cannot be read."""

    damaged: list[str] = field(default_factory=list)
    without: list[Path] = field(default_factory=list)
    _files: dict[Path, ResultFile | None] = field(default_factory=dict)

    def of(self, result: Result) -> ResultFile | None:
        """None where there are none, or none that can be read."""
        if result.path not in self._files:
            self._files[result.path] = self._read(result)
        return self._files[result.path]

    def _read(self, result: Result) -> ResultFile | None:
        if not result.predictions.is_file():
            self.without.append(result.path)
            return None
        try:
            return read_result_file(result.path)
        except UserError as error:
            self.damaged.append(str(error))
            return None

    def all_of(self, results: Sequence[Result]) -> list[ResultFile] | None:
        """None where one has none."""
        files = [self.of(result) for result in results]
        return [file for file in files if file is not None] if None not in files else None

    @property
    def notes(self) -> list[str]:
        """A line where there are results without predictions."""
        if not self.without:
            return []
        more = f" and {len(self.without) - 1} more" if len(self.without) > 1 else ""
        return [f"no predictions are beside {self.without[0]}{more}: their scores are not tested against others"]


def interval_of(results: Sequence[Result], predictions: Predictions) -> tuple[float, float] | None:
    """95 % of the mean over a column's seeds; as the results file says where there is one."""
    if len(results) == 1:
        said = results[0].content.get("interval")
        whole = isinstance(said, list) and len(said) == 2 and all(isinstance(end, (int, float)) for end in said)
        return (float(said[0]), float(said[1])) if whole and said is not None else None
    files = predictions.all_of(results)
    if files is None:
        return None
    try:
        one = pooled(files)
        return interval(results[0].metric, str(one.content.get("kind")), one.arrays, one.splits)
    except (UserError, ValueError, IndexError, KeyError):
        return None


def chance(result: Result, predictions: Predictions) -> float | None:
    """What the best answer that does not look at the clips scores: of top-1 the share of the most frequent label, of
    mAP the classes' mean share. Mean over splits; None for other metrics, and without predictions."""
    file = predictions.of(result)
    if file is None or result.metric not in METRICS:
        return None
    found = []
    for split in file.splits:
        labels = file.arrays[f"{split}.labels"]
        if result.metric != "mAP" and file.content.get("kind") != "multilabel":
            _, counts = np.unique(labels, axis=0, return_counts=True)
            found.append(float(counts.max() / len(labels)))
        else:
            one_hot = labels if labels.ndim == 2 else np.eye(int(labels.max()) + 1)[labels]
            shares = one_hot[:, one_hot.any(axis=0)].mean(axis=0)
            found.append(float(shares.max() if result.metric != "mAP" else shares.mean()))
    return float(np.mean(found))


def paired(
    first: Sequence[Result], second: Sequence[Result], predictions: Predictions
) -> tuple[ResultFile, ResultFile] | None:
    """Two columns of one row, each as one result, seed beside seed; None where they cannot be compared.

    Seeds that both have are paired, else the seeds in order; a single result is paired with every one of the other's.
    """
    sides = [sorted(side, key=lambda result: (result.seed is None, result.seed)) for side in (first, second)]
    common = {result.seed for result in sides[0]} & {result.seed for result in sides[1]}
    count = max(map(len, sides)) if 1 in map(len, sides) else len(common) or min(map(len, sides))
    chosen = []
    for side in sides:
        if len(side) == 1:
            own = side * count
        else:
            own = [result for result in side if not common or len(sides[0]) == 1 or len(sides[1]) == 1
                   or result.seed in common][:count]  # fmt: skip
        files = predictions.all_of(own)
        if files is None:
            return None
        chosen.append(files)
    try:
        return pooled(chosen[0]), pooled(chosen[1])
    except UserError:
        return None


def verdicts(
    row: Mapping[str, Sequence[Result]], means: Mapping[str, float], predictions: Predictions
) -> dict[str, str]:
    """Marks of a row's columns by paired tests on the test clips, p corrected for their number (Holm).

    The highest is BEST where the test tells it from every other column, else it and those that it is not told from are
    TIED. The lowest is WORST where the test tells it from the highest. Nothing is marked where a test cannot be made.
    """
    known = {label: mean for label, mean in means.items() if np.isfinite(mean)}
    if len(known) < 2 or len(known) < len(row):
        return {}
    best, worst = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    others = [label for label in known if label != best]
    tests = [_test(row[best], row[label], predictions) for label in others]
    found = [test for test in tests if test is not None]
    if len(found) < len(others):
        return {}
    told = {label: test.more_than_noise for label, test in zip(others, corrected(found), strict=True)}
    tied = [label for label in others if not told[label]]
    marks = dict.fromkeys((best, *tied), TIED) if tied else {best: BEST}
    return marks | ({worst: WORST} if told.get(worst) else {})


def _test(first: Sequence[Result], second: Sequence[Result], predictions: Predictions) -> Comparison | None:
    sides = paired(first, second, predictions)
    if sides is None:
        return None
    try:
        return compare_files(*sides)
    except (UserError, ValueError, IndexError):
        return None
