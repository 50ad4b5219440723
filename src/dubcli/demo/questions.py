"""What the models are asked, and whether the last two differ by more than noise: by the rule of ``probe compare``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from dubcli.core.bootstrap import interval, tested
from dubcli.core.compare import Comparison, ResultFile, compare, compare_files, corrected
from dubcli.core.languages import language_name
from dubcli.core.results import FORMAT
from dubcli.demo.likeness import PlacedClips

if TYPE_CHECKING:
    from dubcli.probe.results import ProbeResult

_METRIC, _KIND, _SPLITS = "top1_acc", "multiclass", ("clips",)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question to all models.

    key: a name for files. text: what is asked. chance: of always giving the commonest answer. scores, intervals:
    {model: share of right answers, and its 95 %}. compared: the last model's less the one's before.
    """

    key: str
    text: str
    chance: float
    scores: dict[str, float]
    intervals: dict[str, tuple[float, float] | None]
    compared: Comparison


def of_results(factor: str, results: Mapping[str, ProbeResult], test: Path) -> Question:
    """What heads say of a factor. ``results``: by model; ``test``: the folder of the test sounds."""
    before, last = list(results.values())[-2:]
    counts = [sum(1 for _ in label.iterdir()) for label in test.iterdir() if label.is_dir()]
    return Question(
        key=factor,
        text=f"{factor} heard by a linear head",
        chance=max(counts) / sum(counts),
        scores={name: result.mean for name, result in results.items()},
        intervals={name: result.interval for name, result in results.items()},
        compared=compare(before.path, last.path),
    )


def of_dub(original: str, dub: str, placed: Mapping[str, PlacedClips]) -> Question:
    """Whether a clip's original sound finds its dub among all clips', by features. ``placed``: by model."""
    cosines = {name: clips.by_sound(original, dub) for name, clips in placed.items()}
    return _of_cosines(f"{dub}-by-{original}", f"{language_name(dub)} found by its {language_name(original)}", cosines)


def of_pictures(language: str, placed: Mapping[str, PlacedClips]) -> Question:
    """Whether a clip's pictures find its sound in a language among all clips'. ``placed``: by model."""
    cosines = {name: clips.by_pictures(language) for name, clips in placed.items()}
    return _of_cosines(f"{language}-by-pictures", f"{language_name(language)} found by its pictures", cosines)


def _of_cosines(key: str, text: str, cosines: Mapping[str, Tensor]) -> Question:
    """Of (clips, clips): whether the likest of a row is its own, asked as a task whose classes are the clips."""
    answers = {name: _answers(key, name, likest) for name, likest in cosines.items()}
    arrays = {name: file.arrays for name, file in answers.items()}
    compared = compare_files(*list(answers.values())[-2:])
    return Question(
        key=key,
        text=text,
        chance=1 / compared.clips,
        scores={name: float(tested(_METRIC, _KIND, one, _SPLITS).scores[0]) for name, one in arrays.items()},
        intervals={name: interval(_METRIC, _KIND, one, _SPLITS) for name, one in arrays.items()},
        compared=compared,
    )


def _answers(key: str, model: str, cosines: Tensor) -> ResultFile:
    """As a probe would have written them: one split, ``clips``, whose labels are the clips' numbers."""
    number = np.arange(len(cosines))
    content = {"task": key, "metric": _METRIC, "kind": _KIND, "model": model, "format": FORMAT,
               "splits": [{"name": split} for split in _SPLITS]}  # fmt: skip
    arrays = {"clips": np.array([f"{one:09}" for one in number]), "clips.rows": number, "clips.labels": number,
              "clips.scores.0": cosines.numpy()}  # fmt: skip
    return ResultFile(Path(model), content, arrays)


def judged(questions: Sequence[Question]) -> tuple[Question, ...]:
    """The same with p corrected for their number."""
    compared = corrected([one.compared for one in questions])
    return tuple(dataclasses.replace(one, compared=own) for one, own in zip(questions, compared, strict=True))


def verdict(questions: Sequence[Question]) -> str:
    """One line: which differences are more than noise."""
    first, second = questions[0].compared.models
    outside = [one for one in questions if one.compared.more_than_noise]
    if not outside:
        return f"No difference between {first} and {second} is more than noise: the films and steps are too few."
    told = "; ".join(f"{one.text} ({one.compared.difference:+.2f})" for one in outside)
    return f"{second} less {first}, more than noise: {told}. The other {len(questions) - len(outside)} may be chance."
