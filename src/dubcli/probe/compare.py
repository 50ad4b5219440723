"""``dubav probe compare``: whether results differ by more than noise, on the clips that both were tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.core.atomic import read_json
from dubcli.core.results import lacking, modality_of, read_predictions
from dubcli.errors import UserError
from dubcli.probe.bootstrap import LEVEL, METRICS, difference, outputs, tested

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The second result's score minus the first's. ``interval``: 95 %. ``p_value``: two-sided, of ``test``.

    ``p_holm``: the same where it is one of several, by Holm (1979); ``more_than_noise``: it is at most 0.05.
    ``notices``: what else than the model differs between the two.
    """

    task: str
    modality: str
    metric: str
    models: tuple[str, str]
    scores: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p_value: float
    p_holm: float
    test: str
    more_than_noise: bool
    clips: int
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    """A results file and the arrays beside it."""

    path: Path
    content: Mapping[str, Any]
    arrays: Mapping[str, Array]

    @property
    def splits(self) -> list[str]:
        return [str(split["name"]) for split in self.content["splits"]]

    def named(self, split: str) -> list[str]:
        """The split's test clips: names, or numbers in a file of an earlier version."""
        rows = self.arrays[f"{split}.rows"]
        return list(map(str, self.arrays["clips"][rows] if "clips" in self.arrays else rows))


def compare(first: Path, second: Path) -> Comparison:
    """Compare two results files of one task. Raises UserError where they have no test clip or no metric in common."""
    return _compare(_read(first), _read(second))


def compare_all(paths: Sequence[Path]) -> list[Comparison]:
    """Of each task and modality, the first file against each of the others, with p corrected for their number (Holm).

    Two files are compared whatever their modality. Raises UserError as ``compare`` does, and for a file that has no
    other to be compared with.
    """
    if len(paths) < 2:
        raise UserError("give two results files or more, as in: dubav probe compare results/esc50/{mono,efj}-ckpt.json")
    files = [_read(path) for path in paths]
    if len(files) == 2:
        return [_compare(*files)]
    groups: dict[tuple[str, str], list[_File]] = {}
    for file in files:
        groups.setdefault((str(file.content["task"]), modality_of(file.content)), []).append(file)
    alone = [str(group[0].path) for group in groups.values() if len(group) == 1]
    if alone:
        raise UserError(f"{alone[0]} is the only file of its task and modality; give another to compare it with")
    return corrected([_compare(group[0], other) for group in groups.values() for other in group[1:]])


def corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """The same with ``p_holm`` for as many tests: the chance that any at all of equally good models would be told apart
    stays at 5 %, however many are looked at."""
    adjusted = [0.0] * len(found)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(found)), key=lambda number: found[number].p_value)):
        least = max(least, min(1.0, (len(found) - rank) * found[place].p_value))
        adjusted[place] = least
    return [
        replace(one, p_holm=p_holm, more_than_noise=p_holm <= 1 - LEVEL + 1e-12)
        for one, p_holm in zip(found, adjusted, strict=True)
    ]


def _read(path: Path) -> _File:
    content = read_json(path)
    if not isinstance(content, dict) or not {"task", "metric", "splits", "identity"} <= set(content):
        raise UserError(f"{path} is no results file; give two of results/TASK/MODEL.json")
    file = _File(path, content, read_predictions(path))
    for split in file.splits:
        parts = [file.arrays.get(f"{split}.{name}") for name in ("rows", "labels", "scores.0")]
        if any(part is None or len(part) != len(parts[0]) for part in parts):  # type: ignore[arg-type]
            raise UserError(f"the predictions beside {path} are not those of {split}; probe it again with --again")
    return file


def _compare(first: _File, second: _File) -> Comparison:
    one, other = first.content, second.content
    for name in ("task", "metric", "kind", "classes"):
        if one.get(name) != other.get(name):
            says = "has other classes than" if name == "classes" else f"has {name} {one[name]}, not {other[name]} as"
            raise UserError(f"{first.path} {says} {second.path}; compare two models on one task")
    metric, kind = str(one["metric"]), str(one["kind"])
    if metric not in METRICS:
        raise UserError(f"{metric} cannot be compared clip by clip; {', '.join(METRICS)} can")
    splits = [split for split in first.splits if split in second.splits]
    if not splits:
        raise UserError(f"{first.path} and {second.path} have no split in common; probe both on the same data")
    both, clips, notices = _on_the_same_clips(first, second, splits)
    scores = [float(tested(metric, kind, arrays, splits).scores.mean()) for arrays in both]
    if not np.isfinite(scores).all():
        raise UserError(f"{metric} is not defined on every split of {first.path} and {second.path}: a class is lacking")
    found = difference(metric, kind, both, splits)
    return Comparison(
        task=str(one["task"]),
        modality=modality_of(one),
        metric=metric,
        models=(str(one["model"]), str(other["model"])),
        scores=(scores[0], scores[1]),
        difference=found.value,
        interval=found.interval,
        p_value=found.p_value,
        p_holm=found.p_value,
        test=found.test,
        more_than_noise=found.p_value <= 1 - LEVEL + 1e-12,
        clips=clips,
        notices=(*_differences(one, other), *notices, *_old(first, second)),
    )


def _on_the_same_clips(
    first: _File, second: _File, splits: Sequence[str]
) -> tuple[list[dict[str, Array]], int, list[str]]:
    """Both files' arrays of the clips that both were tested on, in one order; how many clips; what was left out.

    Raises UserError where they share none, or know a clip under different labels.
    """
    both: list[dict[str, Array]] = [{}, {}]
    numbers: dict[str, int] = {}
    left_out: set[str] = set()
    for split in splits:
        names = [file.named(split) for file in (first, second)]
        shared = sorted(set(names[0]) & set(names[1]))
        left_out |= set(names[0]) ^ set(names[1])
        if not shared:
            raise UserError(
                f"{first.path} and {second.path} were tested on different clips of {split}; nothing to pair"
            )
        for file, own, into in zip((first, second), names, both, strict=True):
            place = {name: row for row, name in enumerate(own)}
            order = np.array([place[name] for name in shared], dtype=np.int64)
            into[f"{split}.rows"] = np.array([numbers.setdefault(name, len(numbers)) for name in shared])
            into[f"{split}.labels"] = file.arrays[f"{split}.labels"][order]
            for number, part in enumerate(outputs(file.arrays, split)):
                into[f"{split}.scores.{number}"] = part[order]
        if not np.array_equal(both[0][f"{split}.labels"], both[1][f"{split}.labels"]):
            raise UserError(
                f"{first.path} and {second.path} were tested on different clips, or with other labels, in {split}; "
                "probe both on the same data"
            )
    notices = []
    if left_out:
        notices.append(f"clips differ: the {len(numbers)} that both were tested on count, {len(left_out)} are left out")
    lacking_splits = sorted(set(first.splits) ^ set(second.splits))
    if lacking_splits:
        notices.append(f"splits differ: {', '.join(lacking_splits)} of one alone left out")
    return both, len(numbers), notices


_NAMES = {
    "data": "data (their fingerprints)",
    "data_variant": "data variant",
    "seed": "seed of the heads",
    "fast_heads": "--fast-heads",
}


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What the two were made with that is not the same, apart from the model."""
    notices = []
    protocols = [content.get("protocol") or {} for content in (one, other)]
    for name in dict.fromkeys(("name", *protocols[0], *protocols[1])):
        values = [protocol.get(name) for protocol in protocols]
        if values[0] != values[1] and name not in ("seed", "fast_products"):
            called = "protocol differs" if name == "name" else f"protocol differs in {name}"
            notices.append(f"{called}: {values[0]} and {values[1]}")
    if modality_of(one) != modality_of(other):
        notices.append(f"modality differs: {modality_of(one) or 'unknown'} and {modality_of(other) or 'unknown'}")
    made = [content.get("identity") or {} for content in (one, other)]
    for name in ("data", "data_variant", "shots", "draws", "seed", "fast_heads"):
        values = [content.get(name) for content in made]
        if values[0] != values[1]:
            notices.append(f"{_NAMES.get(name, name)} differ: {values[0]} and {values[1]}")
    precisions = [(content.get("features") or {}).get("precision") for content in (one, other)]
    if precisions[0] != precisions[1] and all(precisions):
        notices.append(f"precision of the features differs: {precisions[0]} and {precisions[1]}")
    return notices


def _old(*files: _File) -> list[str]:
    return [f"{file.path} {lacks}" for file in files if (lacks := lacking(file.content)) is not None]
