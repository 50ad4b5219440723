"""What is known of a checkpoint's training, from the run folder that it lies in: films, hours, steps, losses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dubcli.core.atomic import read_json_lines
from dubcli.core.results import modality_of
from dubcli.core.trained import TrainedModel
from dubcli.errors import UserError

_OF_SCORE = {"task", "metric", "mean", "scores", "protocol"}
_OF_RUN = {"train_films": "films", "train_hours": "hours", "languages": "languages", "world_size": "processes"}


def training_facts(ckpt: str | os.PathLike[str], trained: TrainedModel) -> dict[str, Any]:
    """``trained.facts``, and what ``config.json`` and ``metrics.jsonl`` beside the checkpoint say up to its step.

    ``steps``, ``films``, ``hours``, ``languages``, ``processes``, ``held_out_films``; ``loss``, the last training loss;
    ``validation``, numbers of the last validation. What is not known is not there.
    """
    path = Path(ckpt)
    home = path if path.is_dir() else path.parent
    run = _read(home / "config.json")
    facts = dict(trained.facts)
    if "variant" not in run or "train_films" not in run:  # no run folder: an exported one, a file alone
        return facts
    facts |= {name: run[key] for key, name in _OF_RUN.items() if key in run}
    facts["held_out_films"] = len(run.get("held_out_films") or ())
    for line in read_json_lines(home / "metrics.jsonl"):
        if line.get("step", 0) > facts.get("steps", 0):
            break
        if "loss" in line:
            facts["loss"] = line["loss"]
        measured = {name: value for name, value in line.items() if name.startswith("val")}
        facts |= {"validation": measured} if measured else {}
    return facts


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def measured_scores(results: str | os.PathLike[str] | None, trained: TrainedModel) -> list[dict[str, Any]]:
    """The contents of the results files of ``dubav probe`` in a folder that are of this model, by content hash.

    Raises UserError where the folder is not there or holds none of this model.
    """
    if results is None:
        return []
    home = Path(results)
    if not home.exists():
        raise UserError(f"--results {home} is not there; give the folder that dubav probe wrote")
    files = [home] if home.is_file() else sorted(home.rglob("*.json"))
    found = [content for file in files if _is_of(content := _read(file), trained)]
    if not found:
        raise UserError(f"{home} holds no results of {trained.name} ({len(files)} files seen); probe it first")
    # the last checkpoint is the last epoch's too, and may have been probed as both
    same = {json.dumps([c["task"], c["metric"], modality_of(c), c["protocol"], c["scores"]]): c for c in found}
    return list(same.values())


def _is_of(content: dict[str, Any], trained: TrainedModel) -> bool:
    about = content.get("features")
    return isinstance(about, dict) and set(content) >= _OF_SCORE and about.get("content_hash") == trained.content_hash
