"""Which results stand in one column (a model, over its seeds) and which in one row (measured in the same way).

Two results are of one column when their models' training differs in nothing but the seed. Results of earlier versions
do not say how their models were trained: there only a name with ``-seedN`` tells. Whatever else would be two values in
one place is two models, in columns of their own. In one row are results of the same task, modality, protocol with all
its parameters, data, head seed and shots.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubcli.report.collect import Result

WHERE_ONLY = frozenset(
    (
        "cache",
        "loader_workers",
        "out",
        "compile",
        "save_every",
        "save_minutes",
        "keep",
        "log_every",
        "show_every",
        "wandb",
    )
)
"""Options of a training that change where or how fast it runs, not what is learnt."""

_OF_THE_HEADS = ("protocol", "shots", "draws", "splits", "chunks", "seed", "fast_heads", "max_steps", "data_variant")
_MACHINE_ONLY = ("seed", "fast_products", "name")
_SHOWN_DIFFERENCES = 2
_OPTION = {"seed": "head seed", "data": "data", "data_variant": "data variant", "shots": "shots"}


@dataclass
class Column:
    """Results of one model, or of models that differ in the training's seed only. ``label`` is like no other's."""

    label: str
    variant: str
    results: list[Result] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """What was measured and how. ``details``: (name, text) of all that results in it share."""

    task: str
    modality: str
    protocol: str
    details: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, result: Result) -> Row:
        """The row that a result stands in."""
        identity = {"splits": "all", "chunks": "half", **result.identity}  # of earlier versions, which had no choice
        parameters = result.content.get("protocol")
        protocol = parameters if isinstance(parameters, dict) else {}
        said = {name: identity.get(name) for name in _OF_THE_HEADS}
        said |= {f"protocol's {name}": value for name, value in protocol.items() if name not in _MACHINE_ONLY}
        said["protocol"] = result.protocol
        said["clips"] = "+".join(map(str, identity.get("clips_with") or ()))
        said["data"] = (result.content.get("data") or {}).get("fingerprint") or identity.get("data")
        return cls(result.task, result.modality, result.protocol, tuple((name, _text(v)) for name, v in said.items()))

    def told_from(self, others: Iterable[Row]) -> str:
        """What this row has that others of its task and modality have not: ``" (knn, shots 5)"``; "" where it is alone.

        The data's fingerprint is told where nothing else differs.
        """
        alike = [row for row in others if (row.task, row.modality) == (self.task, self.modality)]
        values: dict[str, set[str]] = defaultdict(set)
        for row in alike:
            for name, text in row.details:
                values[name].add(text)
        own = dict(self.details)
        names = [name for name in own if len({*values[name], own[name]}) > 1 or any(name not in dict(row.details)
                 for row in alike)]  # fmt: skip
        if "protocol" in names:  # its parameters follow from it
            names = [name for name in names if not name.startswith("protocol's")]
        if len(names) > 1:
            names = [name for name in names if name != "data"]
        told = [text if name == "protocol" else f"{_OPTION.get(name, name)} {text}" for name in names
                if (text := own[name])]  # fmt: skip
        return f" ({', '.join(told)})" if told else ""


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def names_of(rows: Iterable[Row]) -> dict[Row, str]:
    """A name for each row that no other has: its task, its modality where the task has several, what else tells it."""
    every = list(dict.fromkeys(rows))
    modalities: dict[str, set[str]] = defaultdict(set)
    for row in every:
        modalities[row.task].add(row.modality)
    return {
        row: row.task + (f" {row.modality}" if len(modalities[row.task]) > 1 else "") + row.told_from(every)
        for row in every
    }


def rows_of(results: Iterable[Result]) -> dict[Row, list[Result]]:
    """The results by their rows."""
    found: dict[Row, list[Result]] = defaultdict(list)
    for result in results:
        found[Row.of(result)].append(result)
    return found


def without_copies(results: Sequence[Result]) -> tuple[list[Result], list[str]]:
    """The results without those that are a copy of another, and a line for each of them."""
    first: dict[str, Result] = {}
    notes = []
    for result in results:
        about = {name: value for name, value in result.content.items() if name not in ("config", "seconds", "versions")}
        key = json.dumps(about, sort_keys=True, default=str)
        if key in first:
            notes.append(f"{result.path} is a copy of {first[key].path}; it counts once")
        else:
            first[key] = result
    return list(first.values()), notes


def columns_of(results: Sequence[Result], *, any_epoch: bool = False) -> list[Column]:
    """The results by their models, with labels that are like no other's.

    ``any_epoch``: the checkpoints of a run are one model.
    """
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[_model(result, any_epoch=any_epoch)].append(result)
    columns = [
        Column(_label(part), part[0].variant, part)
        for group in groups.values()
        for part in _consistent(group, any_epoch=any_epoch)
    ]
    _tell_apart(columns)
    return columns


def _model(result: Result, *, any_epoch: bool) -> str:
    """Equal for models that may be the same but for the seed."""
    about = result.features
    if result.training:
        known = {name: about.get(name) for name in ("kind", "variant", "preset", "film_set")}
        known["epochs"] = None if any_epoch else about.get("epochs")
        return json.dumps([known, _training(result)], sort_keys=True, default=str)
    if about.get("kind", "checkpoint") in ("checkpoint", "random"):
        return json.dumps(["named", result.label, result.variant, about.get("preset"), about.get("film_set")])
    return json.dumps(["foreign", about.get("kind"), about.get("argument"), result.name])


def _training(result: Result) -> dict[str, Any]:
    return {name: value for name, value in result.training.items() if name not in WHERE_ONLY and name != "seed"}


def _consistent(results: Sequence[Result], *, any_epoch: bool) -> list[list[Result]]:
    """In as few parts as hold one value in each place, cut by names, then by folders, then one by one."""
    cuts: tuple[Callable[[Result], Any], ...] = (
        lambda result: None,
        _precision,
        lambda result: result.label,
        lambda result: result.root,
        lambda result: (result.root, result.label),
        lambda result: (result.root, result.name, _hash(result)),
    )
    for cut in cuts:
        parts: dict[Any, list[Result]] = defaultdict(list)
        for result in results:
            parts[cut(result)].append(result)
        if all(_one_in_each_place(part, any_epoch=any_epoch) for part in parts.values()):
            return list(parts.values())
    return [[result] for result in results]


def _one_in_each_place(results: Sequence[Result], *, any_epoch: bool) -> bool:
    places: set[Any] = set()
    hashes: dict[Any, str] = {}
    precisions: dict[Row, str] = {}
    for result in results:
        epoch = result.epoch if any_epoch else None
        row = Row.of(result)
        if (row, result.seed, epoch) in places:
            return False
        places.add((row, result.seed, epoch))
        if precisions.setdefault(row, _precision(result)) != _precision(result):
            return False
        # a model of known training is one file for all tasks; that of others may be of their features
        if result.training and hashes.setdefault((result.seed, epoch), _hash(result)) != _hash(result):
            return False
    return True


def _hash(result: Result) -> str:
    return str(result.features.get("content_hash") or result.identity.get("content_hash") or "")


def _precision(result: Result) -> str:
    return str(result.features.get("precision") or "")


def _label(results: Sequence[Result]) -> str:
    labels = {result.label for result in results}
    return labels.pop() if len(labels) == 1 else results[0].variant


def _tell_apart(columns: Sequence[Column]) -> None:
    """Give columns of equal labels what tells them: a difference in training, else folders, else digits of the hash."""
    named: dict[str, list[Column]] = defaultdict(list)
    for column in columns:
        named[column.label].append(column)
    for label, alike in named.items():
        if len(alike) > 1:
            for column, told in zip(alike, _differences(alike), strict=True):
                column.label = f"{label} ({told})"


def _differences(columns: Sequence[Column]) -> list[str]:
    numbers = [str(place + 1) for place in range(len(columns))]
    candidates = (_trainings(columns), _folders(columns), [_hash(c.results[0])[:6] for c in columns], numbers)
    return next(told for told in candidates if len({*told}) == len(columns) and all(told))


def _trainings(columns: Sequence[Column]) -> list[str]:
    said: list[Mapping[str, Any]] = [
        {
            "epochs": c.results[0].epochs,
            "films": c.results[0].features.get("film_set"),
            "precision": _precision(c.results[0]),
            **_training(c.results[0]),
        }
        for c in columns
    ]
    names = dict.fromkeys(name for one in said for name in one)
    differing = [name for name in names if len({_text(one.get(name)) for one in said}) > 1][:_SHOWN_DIFFERENCES]
    return [", ".join(f"{name} {_text(one.get(name)) or 'unknown'}" for name in differing) for one in said]


def _folders(columns: Sequence[Column]) -> list[str]:
    """The shortest ends of their paths that differ, without the parts that all share."""
    paths: list[Path] = [column.results[0].root for column in columns]
    for depth in range(1, 1 + max(len(path.parts) for path in paths)):
        ends = [path.parts[-depth:] for path in paths]
        if len({*ends}) == len(ends):
            return [_without_common_end(end, ends) for end in ends]
    return ["" for _ in paths]


def _without_common_end(own: tuple[str, ...], ends: Sequence[tuple[str, ...]]) -> str:
    common = 0
    while common + 1 < len(own) and len({end[-1 - common :] for end in ends if len(end) > common}) == 1:
        common += 1
    return "/".join(own[: len(own) - common])
