"""Folds and seeded splits. Everything here is a pure function of names and a seed, so that it is the same anywhere."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence

from dubcli.errors import UserError
from dubcli.probe.tasks.data import Clip, ClipSplit, drawing_name, sorted_classes

SPLIT_SEED = 0
PARTS = ("train", "valid", "test")


def by_part(clips: Sequence[Clip], name: str = "test") -> tuple[ClipSplit, ...]:
    """The one split of a dataset whose clips say whether they train, validate or test.

    Args:
        clips: whose ``part`` is train, valid or test.
        name: of the split.

    Returns:
        One split.

    Raises:
        UserError: a clip says something else.

    >>> from pathlib import Path
    >>> clips = [Clip(path=Path(f"{part}.wav"), labels=("a",), part=part) for part in PARTS]
    >>> by_part(clips)[0].test
    (2,)
    """
    strange = next((clip for clip in clips if clip.part not in PARTS), None)
    if strange is not None:
        raise UserError(f"{strange.path} is in {strange.part!r}, which is none of {', '.join(PARTS)}")
    train, valid, test = (tuple(i for i, clip in enumerate(clips) if clip.part == part) for part in PARTS)
    return (ClipSplit(name=name, train=train, valid=valid, test=test),)


def by_fold(clips: Sequence[Clip]) -> tuple[ClipSplit, ...]:
    """``kfold`` over the folds that the clips name, in the order of their names.

    Args:
        clips: whose ``part`` is the name of a fold.

    Returns:
        A split per fold: it tests, the next one validates, the others train.

    Raises:
        UserError: there are fewer than three folds.

    >>> from pathlib import Path
    >>> clips = [Clip(path=Path(f"{number}.wav"), labels=("a",), part=str(number % 3)) for number in range(6)]
    >>> [split.test for split in by_fold(clips)]
    [(0, 3), (1, 4), (2, 5)]
    """
    names = sorted_classes(clip.part for clip in clips)
    if len(names) < 3:
        raise UserError(f"there are {len(names)} folds ({', '.join(names)}); k-fold probing needs at least 3")
    return kfold([[i for i, clip in enumerate(clips) if clip.part == name] for name in names], names)


def by_seed(count: int, key: Callable[[Clip], str] = drawing_name) -> Callable[..., tuple[ClipSplit, ...]]:
    """For clips without published parts: ``seeded_kfold`` of folds by the clips' keys and labels.

    Args:
        count: folds.
        key: what a clip is drawn by: those of one key stay together.

    Returns:
        A function from clips to splits, as ``labelled_task`` takes it.

    >>> from pathlib import Path
    >>> clips = [Clip(path=Path(f"{number}.wav"), labels=("a",)) for number in range(20)]
    >>> [len(split.test) for split in by_seed(5)(clips)]
    [4, 4, 4, 4, 4]
    """

    def split(clips: Sequence[Clip]) -> tuple[ClipSplit, ...]:
        return seeded_kfold([key(clip) for clip in clips], [" ".join(clip.labels) for clip in clips], count)

    return split


def kfold(folds: Sequence[Sequence[int]], names: Sequence[str]) -> tuple[ClipSplit, ...]:
    """k splits as hear-eval-kit makes them: fold i tests, fold i+1 (mod k) validates, the rest train in their order."""
    count = len(folds)
    return tuple(
        ClipSplit(
            name=names[test],
            train=tuple(i for fold in range(count) if fold not in (test, (test + 1) % count) for i in folds[fold]),
            valid=tuple(folds[(test + 1) % count]),
            test=tuple(folds[test]),
        )
        for test in range(count)
    )


def seeded_folds(keys: Sequence[str], labels: Sequence[str], count: int, seed: int = SPLIT_SEED) -> list[list[int]]:
    """``count`` folds with the labels spread evenly over them.

    Within a label the clips are ordered by a hash of seed and key and dealt out in turn, so that adding a file moves
    few others. The folds keep the clips' order.
    """
    by_label: dict[str, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        by_label[label].append(index)
    fold_of = [0] * len(keys)
    dealt = 0
    for label in sorted(by_label):
        for index in sorted(by_label[label], key=lambda i: hashed(keys[i], seed)):
            fold_of[index] = dealt % count
            dealt += 1
    return [[index for index, fold in enumerate(fold_of) if fold == chosen] for chosen in range(count)]


def seeded_kfold(
    keys: Sequence[str], labels: Sequence[str], count: int, seed: int = SPLIT_SEED
) -> tuple[ClipSplit, ...]:
    """``kfold`` over ``seeded_folds``, named fold00, fold01, ..."""
    return kfold(seeded_folds(keys, labels, count, seed), [f"fold{fold:02}" for fold in range(count)])


def seeded_parts(groups: Sequence[str], labels: Sequence[str], seed: int = SPLIT_SEED) -> list[str]:
    """80 % train, 10 % valid, 10 % test of each label's groups (speakers): no group is in two parts.

    Per label the groups are ordered by hash; test and valid take a tenth of the label's clips each, at least one group.
    """
    part_of: dict[str, str] = {}
    clips_of: dict[str, int] = defaultdict(int)
    for group in groups:
        clips_of[group] += 1
    for label in sorted(set(labels)):
        own = {group for group, other in zip(groups, labels, strict=True) if other == label and group not in part_of}
        ordered = sorted(own, key=lambda group: hashed(group, seed))
        total = sum(clips_of[group] for group in ordered)
        filled = {"test": 0, "valid": 0}
        for position, group in enumerate(ordered):
            part = next((p for p in ("test", "valid") if filled[p] == 0 or filled[p] < total / 10), "train")
            # the last group of a label always trains: a label that nobody learns cannot be tested
            part = "train" if position == len(ordered) - 1 else part
            part_of[group] = part
            if part != "train":
                filled[part] += clips_of[group]
    return [part_of[group] for group in groups]


def carve_validation(
    train: Sequence[int], keys: Sequence[str], labels: Sequence[str], seed: int = SPLIT_SEED
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(train, valid): a tenth of ``train``, spread over the labels, for datasets without a validation set."""
    held = seeded_folds([keys[i] for i in train], [labels[i] for i in train], 10, seed)[0]
    chosen = set(held)
    return (
        tuple(index for position, index in enumerate(train) if position not in chosen),
        tuple(train[position] for position in held),
    )


def hashed(key: str, seed: int) -> str:
    """A hash of seed and key to sort by."""
    return hashlib.sha256(f"{seed}:{key}".encode()).hexdigest()
