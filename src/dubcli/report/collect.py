"""Find results, runs and caches under the given paths, by their formats (not by the stages that write them).

What is damaged costs itself and a line in ``Collected.ignored``, never the report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubcli.cache.layout import is_cache
from dubcli.cache.reader import Cache
from dubcli.core.atomic import read_json, read_json_lines
from dubcli.core.results import format_notice, modality_of, number, predictions_beside
from dubcli.errors import UserError

_EPOCH = re.compile(r"(.+)-epoch-(\d+)$")
_NOSPEECH = re.compile(r"-nospeech(-test)?$")
_SEED = re.compile(r"[-_.]?seed(\d+)")
_SHOTS = re.compile(r"-\d+shot$")


@dataclass(frozen=True)
class Result:
    """One results file. ``model`` is its name; ``variant`` what was trained (``random`` for the baseline).

    ``mean`` is infinite where a split is separated perfectly (d'), NaN where it is not defined.
    """

    path: Path
    task: str
    model: str
    variant: str
    metric: str
    mean: float
    std: float | None
    scores: tuple[float, ...]
    protocol: str
    nospeech: bool
    content: dict[str, Any] = field(compare=False, repr=False)

    @property
    def features(self) -> Mapping[str, Any]:
        """What the features come from."""
        return _mapping(self.content.get("features"))

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the result depends on."""
        return _mapping(self.content.get("identity"))

    @property
    def modality(self) -> str:
        """The paper's column M: A, V, AV; empty where an older file does not say."""
        return modality_of(self.content)

    @property
    def name(self) -> str:
        """Of the model that was probed, without modality and shots."""
        return str(self.features.get("name") or _SHOTS.sub("", self.model))

    @property
    def epoch(self) -> int | None:
        """Of a checkpoint ``epoch-NN.pt``; None of the run's last one."""
        match = _EPOCH.fullmatch(self.name)
        return int(match[2]) if match else None

    @property
    def epochs(self) -> int | None:
        """For how many epochs the model was trained: by its name, else as its checkpoint says (figure C2)."""
        said = self.features.get("epochs")
        return self.epoch if self.epoch is not None else said if isinstance(said, int) else None

    @property
    def run(self) -> str:
        """The model's name without the checkpoint's."""
        match = _EPOCH.fullmatch(self.name)
        return match[1] if match else self.name.removesuffix("-ckpt")

    @property
    def label(self) -> str:
        """The run's name without its seed."""
        return _SEED.sub("", self.run) or self.run

    @property
    def training(self) -> Mapping[str, Any]:
        """The options of the model's training; empty where the file does not say them."""
        return _mapping(self.features.get("training"))

    @property
    def seed(self) -> int | None:
        """Of the training, else as the model's name has it; None where nothing says one."""
        said = self.training.get("seed")
        named = _SEED.search(self.run)
        return said if isinstance(said, int) else int(named[1]) if named else None

    @property
    def root(self) -> Path:
        """The folder of results that it lies in, ``<root>/<task>/<model>.json``."""
        return self.path.resolve().parent.parent

    @property
    def task_with_speech(self) -> str:
        """The task that this one is without speech."""
        return _NOSPEECH.sub("", self.task)

    @property
    def predictions(self) -> Path:
        """The raw predictions beside the results file."""
        return predictions_beside(self.path)


@dataclass(frozen=True)
class Run:
    """A run's folder: its config and its lines of metrics."""

    path: Path
    config: dict[str, Any]
    metrics: list[dict[str, Any]] = field(repr=False)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


@dataclass
class Collected:
    """All that was found. ``ignored``: what could not be read, and why; ``notes``: what else is to be known."""

    results: list[Result] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    caches: list[Cache] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set, repr=False)


def collect(paths: Sequence[str | Path]) -> Collected:
    """Search ``paths`` recursively. Raises UserError when a path is missing or nothing is found in all of them."""
    found = Collected()
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path} is not there; give results, runs or cache folders")
        _search(path, found)
    if not (found.results or found.runs or found.caches):
        named = ", ".join(map(str, paths))
        why = f" ({found.ignored[0]})" if found.ignored else ""
        raise UserError(
            f"no results, run folders or caches in {named}{why}; make some with dubav probe or dubav pretrain"
        )
    found.results.sort(key=lambda result: (result.task, result.model, str(result.path)))
    found.runs.sort(key=lambda run: (run.name, str(run.path)))
    found.notes += _said_of_old(found.results)
    return found


def _said_of_old(results: Sequence[Result]) -> list[str]:
    """A line for results of an earlier format."""
    old = [result for result in results if format_notice(result.content) is not None]
    if not old:
        return []
    first = old[0]
    many = f"{len(old)} results are of an earlier version, such as " if len(old) > 1 else ""
    return [f"{many}{first.path}{', which' if many else ''} {format_notice(first.content)}; probe again with --again"]


def _search(path: Path, found: Collected) -> None:
    real = path.resolve()
    if real in found.seen:  # a path within another, or a link: a result counted twice would look like two seeds
        return
    found.seen.add(real)
    try:
        if path.is_file():
            if (result := read_result(path)) is not None:
                found.results.append(result)
        elif is_cache(path):
            found.caches.append(Cache(path, found.ignored))
        elif (path / "metrics.jsonl").is_file() and (path / "config.json").is_file():
            found.runs.append(read_run(path, found.notes))
        else:
            if (path / "ckpt.pt").is_file() and (path / "config.json").is_file():
                found.notes.append(f"{path} is a run without metrics.jsonl; its curves are not shown")
            for entry in sorted(path.iterdir()):
                if (entry.is_dir() and not entry.name.startswith(".")) or entry.suffix == ".json":
                    _search(entry, found)
    except UserError as error:
        found.ignored.append(str(error))
    except OSError as error:
        found.ignored.append(f"{path} cannot be read: {error.strerror or error}")


def read_result(path: Path) -> Result | None:
    """A results file of ``dubav probe``; None for other JSON. Raises UserError where it is damaged."""
    content = read_json(path)
    if not isinstance(content, dict) or not {"task", "model", "mean"} <= set(content):
        if predictions_beside(path).is_file():
            raise UserError(f"{path} holds no result, though predictions are beside it; probe it again with --again")
        return None
    parts = [content.get(name) for name in ("identity", "features", "data")]
    whole = all(part is None or isinstance(part, dict) for part in parts)
    if not whole or not isinstance(content.get("format", 1), int):
        raise UserError(f"{path} is damaged; probe it again with --again")
    mean = content["mean"]
    if isinstance(mean, (list, dict, bool)) or (isinstance(mean, str) and "Infinity" not in mean):
        raise UserError(f"{path} has no mean score; probe it again with --again")
    model = str(content["model"])
    protocol = content.get("protocol")
    scores = content.get("scores")
    return Result(
        path=path,
        task=str(content["task"]),
        model=model,
        variant=variant_of(model, _mapping(content.get("features"))),
        metric=str(content.get("metric", "")),
        mean=number(mean),
        std=_std(content.get("std")),
        scores=tuple(map(number, scores)) if isinstance(scores, list) else (),
        protocol=str(protocol.get("name", "") if isinstance(protocol, dict) else protocol or ""),
        nospeech=str(_mapping(content.get("identity")).get("data_variant")).startswith("nospeech")
        or _NOSPEECH.search(str(content["task"])) is not None,
        content=content,
    )


def variant_of(model: str, about: Mapping[str, Any]) -> str:
    """``random`` for the baseline, what the features' identity says, else the model's name up to its first dash."""
    if model.startswith("random"):
        return "random"
    return str(about.get("variant") or _SEED.sub("", model.removesuffix("-ckpt")))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _std(value: Any) -> float | None:
    found = number(value)
    return found if 0 <= found < float("inf") else None


def read_run(path: Path, notes: list[str]) -> Run:
    """A run's config and metrics. Lines that are none are left out and noted, but half a last one: the run was killed.

    Raises UserError where the config is damaged.
    """
    config = read_json(path / "config.json")
    if not isinstance(config, dict):
        raise UserError(f"{path / 'config.json'} is no run's config")
    return Run(path, config, read_json_lines(path / "metrics.jsonl", notes))
