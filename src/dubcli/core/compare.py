"""Whether results of ``dubav probe`` differ by more than noise, on the clips that both were tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dubcli.core.atomic import read_json
from dubcli.core.bootstrap import METRICS, class_differences, outputs, score_difference, tested
from dubcli.core.results import format_notice, modality_of, read_predictions
from dubcli.core.sign_flips import LEVEL
from dubcli.errors import UserError

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
class ResultFile:
    """A results file and the arrays beside it (``core.results``)."""

    path: Path
    content: Mapping[str, Any]
    arrays: Mapping[str, Array]

    @property
    def splits(self) -> list[str]:
        """Their names."""
        return [str(split["name"]) for split in self.content["splits"]]

    def named(self, split: str) -> list[str]:
        """The split's test clips: names, or numbers in a file of an earlier version."""
        rows = self.arrays[f"{split}.rows"]
        return list(map(str, self.arrays["clips"][rows] if "clips" in self.arrays else rows))


def compare(first: Path, second: Path) -> Comparison:
    """Compare two results files of one task. Raises UserError where they have no test clip or no metric in common."""
    return compare_files(read_result_file(first), read_result_file(second))


def compare_all(paths: Sequence[Path]) -> list[Comparison]:
    """Of each task and modality, the first file against each of the others, with p corrected for their number (Holm).

    Two files are compared whatever their modality. Raises UserError as ``compare`` does, and for a file that has no
    other to be compared with.
    """
    if len(paths) < 2:
        raise UserError("give two results files or more, as in: dubav probe compare results/esc50/{mono,efj}-ckpt.json")
    files = [read_result_file(path) for path in paths]
    if len(files) == 2:
        return [compare_files(*files)]
    groups: dict[tuple[str, str], list[ResultFile]] = {}
    for file in files:
        groups.setdefault((str(file.content["task"]), modality_of(file.content)), []).append(file)
    alone = [str(group[0].path) for group in groups.values() if len(group) == 1]
    if alone:
        raise UserError(f"{alone[0]} is the only file of its task and modality; give another to compare it with")
    return corrected([compare_files(group[0], other) for group in groups.values() for other in group[1:]])


def corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """The same with ``p_holm`` for as many tests: the chance that any at all of equally good models would be told apart
    stays at 5 %, however many are looked at."""
    adjusted = holm([one.p_value for one in found])
    return [
        replace(one, p_holm=p_holm, more_than_noise=_told(p_holm)) for one, p_holm in zip(found, adjusted, strict=True)
    ]


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(values)
    least = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        least = max(least, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = least
    return adjusted


def _told(p_value: float) -> bool:
    return p_value <= 1 - LEVEL + 1e-12


def read_result_file(path: Path) -> ResultFile:
    """Raises UserError for what is no results file, and where the arrays beside it are damaged or of other splits."""
    content = read_json(path)
    lacks = {"task", "metric", "splits", "identity"} - set(content if isinstance(content, dict) else ())
    if lacks:
        raise UserError(
            f"{path} is no results file, as results/TASK/MODEL.json are: it lacks {', '.join(sorted(lacks))}"
        )
    file = ResultFile(path, content, read_predictions(path))
    for split in _splits_of(file):
        parts = [file.arrays.get(f"{split}.{name}") for name in ("rows", "labels", "scores.0")]
        if any(part is None or len(part) != len(parts[0]) for part in parts):  # type: ignore[arg-type]
            raise UserError(f"the predictions beside {path} are not those of {split}; probe it again with --again")
    return file


def _splits_of(file: ResultFile) -> list[str]:
    """Raises UserError where the names of splits or clips are not as they are written."""
    try:
        splits = file.splits
        if not splits:
            raise ValueError("no splits")
        for split in splits:
            if f"{split}.rows" in file.arrays:
                file.named(split)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{file.path} is damaged ({error}); probe it again with --again") from None
    return splits


@dataclass(frozen=True, kw_only=True)
class ClassDifference:
    """Of one class the second result's score minus the first's, as ``Comparison`` has them.

    Its score is, of top-1, the share of its clips whose answer is right, of mAP its average precision.
    """

    name: str
    clips: int
    scores: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p_holm: float
    more_than_noise: bool


def compare_classes(first: ResultFile, second: ResultFile) -> list[ClassDifference]:
    """Every class that was tested, p corrected for their number. Empty where the answer has several outputs.

    Raises UserError as ``compare`` does.
    """
    classes, metric, kind = first.content.get("classes"), str(first.content["metric"]), str(first.content["kind"])
    if metric not in METRICS or kind == "multioutput" or not isinstance(classes, list):
        return []
    splits = [split for split in first.splits if split in second.splits]
    both, _, _ = _on_the_same_clips(first, second, splits)
    found = class_differences(metric, kind, both, splits, len(classes))
    there = [(number, one) for number, one in enumerate(found) if one is not None]
    adjusted = holm([one.p_value for _, (_, one) in there])
    return [
        ClassDifference(
            name=str(classes[number]),
            clips=_clips_of(both[0], splits, number),
            scores=scores,
            difference=one.value,
            interval=one.interval,
            p_holm=p_holm,
            more_than_noise=_told(p_holm),
        )
        for (number, (scores, one)), p_holm in zip(there, adjusted, strict=True)
    ]


def _clips_of(arrays: Mapping[str, Array], splits: Sequence[str], number: int) -> int:
    """How many distinct test clips are of a class."""
    rows = []
    for split in splits:
        labels = arrays[f"{split}.labels"]
        rows.append(arrays[f"{split}.rows"][(labels == number) if labels.ndim == 1 else labels[:, number].astype(bool)])
    return len(np.unique(np.concatenate(rows)))


def pooled(files: Sequence[ResultFile]) -> ResultFile:
    """Results of models that differ in their seed alone as one, in which every seed has splits of its own.

    Splits of the same test clips are compared as draws of one thing (``core.bootstrap``): the spread over seeds is then
    a part of what is not known. Raises UserError where they were not tested on the same splits.
    """
    first = files[0]
    if len(files) == 1:
        return first
    if any(file.splits != first.splits for file in files):
        raise UserError(f"{first.path} and its other seeds have other splits; probe them on the same data")
    names = sorted({name for file in files for split in file.splits for name in file.named(split)})
    number = {name: row for row, name in enumerate(names)}
    arrays: dict[str, Array] = {"clips": np.array(names, dtype=np.str_)}
    splits = []
    for seed, file in enumerate(files):
        for split in file.splits:
            own = f"seed {seed} {split}"
            splits.append({"name": own})
            arrays[f"{own}.rows"] = np.array([number[name] for name in file.named(split)], dtype=np.int64)
            for name in ("labels", *(f"scores.{output}" for output in range(len(outputs(file.arrays, split))))):
                arrays[f"{own}.{name}"] = file.arrays[f"{split}.{name}"]
    return ResultFile(first.path, {**first.content, "splits": splits}, arrays)


def compare_files(first: ResultFile, second: ResultFile) -> Comparison:
    """As ``compare``."""
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
    found = score_difference(metric, kind, both, splits)
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
        more_than_noise=_told(found.p_value),
        clips=clips,
        notices=(*_differences(one, other), *notices, *_old(first, second)),
    )


def _on_the_same_clips(
    first: ResultFile, second: ResultFile, splits: Sequence[str]
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
    "chunks": "chunk rules (--chunks)",
    "clips_with": "modalities that clips had to have",
}
_SAID_OTHERWISE = ("content_hash", "protocol", "modalities", "splits", "max_steps")
"""Of what a result depends on: the model; and what the notices of protocols, modalities and splits say."""


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
    for name in (name for name in dict.fromkeys((*made[0], *made[1])) if name not in _SAID_OTHERWISE):
        values = [content.get(name) for content in made]
        if values[0] != values[1]:
            notices.append(f"{_NAMES.get(name, name)} differ: {values[0]} and {values[1]}")
    precisions = [(content.get("features") or {}).get("precision") for content in (one, other)]
    if precisions[0] != precisions[1] and all(precisions):
        notices.append(f"precision of the features differs: {precisions[0]} and {precisions[1]}")
    return notices


def _old(*files: ResultFile) -> list[str]:
    return [f"{file.path} {lacks}" for file in files if (lacks := format_notice(file.content)) is not None]
