"""Few-shot splits: a number of training clips per class, drawn several times."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from dubcli.errors import UserError
from dubcli.probe.tasks.data import ClipSplit, TaskData
from dubcli.probe.tasks.splits import hashed


def few_shot(data: TaskData, shots: int, draws: int, seed: int) -> TaskData:
    """The task with each split replaced by ``draws`` splits that train on ``shots`` clips per class.

    Validation and test stay whole. A clip with several labels counts for each of them. Draws are functions of the seed
    and the clips' paths in the folder, so that every model gets the same ones. Raises UserError when a class has fewer
    clips.
    """
    splits = tuple(
        replace(split, name=f"{split.name}-draw{draw}", train=_draw(data, split, shots, f"{seed}-{shots}-{draw}"))
        for split in data.splits
        for draw in range(draws)
    )
    return replace(data, splits=splits).with_notes(f"{shots} training clips per class, {draws} draws")


def _draw(data: TaskData, split: ClipSplit, shots: int, draw: str) -> tuple[int, ...]:
    by_class: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number in split.train:
        labels = data.clips[number].labels
        classes = [labels] if data.kind == "multioutput" else [(label,) for label in labels]
        for own in classes:
            by_class[own].append(number)
    chosen: set[int] = set()
    for label, numbers in sorted(by_class.items()):
        if len(numbers) < shots:
            raise UserError(
                f"--shots {shots}: {split.name} of {data.name} has {len(numbers)} training clips of "
                f"{' '.join(label)!r}; ask for fewer"
            )
        ordered = sorted(numbers, key=lambda number: hashed(f"{draw} {data.key(data.clips[number])}", 0))
        chosen.update(ordered[:shots])
    return tuple(number for number in split.train if number in chosen)
