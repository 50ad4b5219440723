"""Find results, runs and caches under the given paths, by their formats (not by the stages that write them)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubcli.cache.layout import is_cache
from dubcli.cache.reader import Cache
from dubcli.core.atomic import read_json
from dubcli.errors import UserError

_EPOCH = re.compile(r"(.+)-epoch-(\d+)$")
_NOSPEECH = re.compile(r"-nospeech(-test)?$")
_SEED = re.compile(r"[-_.]?seed\d+")
_LAST = re.compile(r"-ckpt(?=$|-\d+shot$)")


@dataclass(frozen=True)
class Result:
    """One results file. ``model`` is its name; ``variant`` what was trained (``random`` for the baseline)."""

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
    def epoch(self) -> int | None:
        """Of a checkpoint ``epoch-NN.pt``; None of the run's last one."""
        match = _EPOCH.fullmatch(self.model)
        return int(match[2]) if match else None

    @property
    def epochs(self) -> int | None:
        """For how many epochs the model was trained: by its name, else as its checkpoint says (figure C2)."""
        about = self.content.get("features")
        said = about.get("epochs") if isinstance(about, dict) else None
        return self.epoch if self.epoch is not None else said if isinstance(said, int) else None

    @property
    def run(self) -> str:
        """The model's name without the checkpoint's."""
        match = _EPOCH.fullmatch(self.model)
        return match[1] if match else _LAST.sub("", self.model)

    @property
    def label(self) -> str:
        """The run's name without its seed: runs that differ in nothing else stand in one column."""
        return _SEED.sub("", self.run) or self.run

    @property
    def task_with_speech(self) -> str:
        """The task that this one is without speech."""
        return _NOSPEECH.sub("", self.task)

    @property
    def predictions(self) -> Path:
        """The raw predictions beside the results file."""
        return self.path.with_name(self.path.name.removesuffix(".json") + ".predictions.npz")


@dataclass(frozen=True)
class Run:
    """A run's folder: its config and its lines of metrics."""

    path: Path
    config: dict[str, Any]
    metrics: list[dict[str, Any]] = field(repr=False)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name


@dataclass
class Collected:
    """All that was found."""

    results: list[Result] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    caches: list[Cache] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
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
        raise UserError(f"no results, run folders or caches in {named}; make some with dubav probe or dubav pretrain")
    found.results.sort(key=lambda result: (result.task, result.model))
    found.runs.sort(key=lambda run: run.name)
    return found


def _search(path: Path, found: Collected) -> None:
    real = path.resolve()
    if real in found.seen:  # a path within another, or a link: a result counted twice would look like two seeds
        return
    found.seen.add(real)
    if path.is_file():
        _take_result(path, found)
        return
    if is_cache(path):
        found.caches.append(Cache(path))
        return
    if (path / "metrics.jsonl").is_file() and (path / "config.json").is_file():
        found.runs.append(read_run(path))
        return
    for entry in sorted(path.iterdir()):
        if (entry.is_dir() and not entry.name.startswith(".")) or entry.suffix == ".json":
            _search(entry, found)


def _take_result(path: Path, found: Collected) -> None:
    try:
        result = read_result(path)
    except UserError as error:
        found.ignored.append(str(error))
        return
    if result is not None:
        found.results.append(result)


def read_result(path: Path) -> Result | None:
    """A results file of ``dubav probe``; None for other JSON. Raises UserError where it is damaged."""
    content = read_json(path)
    if not isinstance(content, dict) or not {"task", "model", "mean"} <= set(content):
        return None
    if not isinstance(content["mean"], (int, float)):
        raise UserError(f"{path} has no mean score; probe it again with --again")
    identity = content.get("identity") or {}
    about = content.get("features") or {}
    model = str(content["model"])
    protocol = content.get("protocol")
    return Result(
        path=path,
        task=str(content["task"]),
        model=model,
        variant=variant_of(model, about if isinstance(about, dict) else {}),
        metric=str(content.get("metric", "")),
        mean=float(content["mean"]),
        std=_number(content.get("std")),
        scores=tuple(score for value in content.get("scores") or () if (score := _number(value)) is not None),
        protocol=str(protocol.get("name", "") if isinstance(protocol, dict) else protocol or ""),
        nospeech=str(identity.get("data_variant")).startswith("nospeech")
        or _NOSPEECH.search(str(content["task"])) is not None,
        content=content,
    )


def variant_of(model: str, about: dict[str, Any]) -> str:
    """``random`` for the baseline, what the features' identity says, else the model's name up to its first dash."""
    if model.startswith("random"):
        return "random"
    return str(about.get("variant") or _SEED.sub("", model.removesuffix("-ckpt")))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def read_run(path: Path) -> Run:
    """A run's config and metrics; half a last line (a run that was killed) is left out."""
    lines = []
    for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return Run(path, read_json(path / "config.json"), lines)
