"""The block of metadata on top of a model card, as the hub reads it (hf.co/docs/hub/model-cards)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from dubcli.core.results import modality_of, number
from dubcli.core.trained import TrainedModel
from dubcli.export.config import ExportConfig

_TAGS = ("audio", "video", "self-supervised", "contrastive", "dubbing", "feature-extraction")
_METRICS = {"top1_acc": "accuracy"}  # as hubs name them
_TASK_TYPES = {"A": "audio-classification", "V": "video-classification"}


def metadata(trained: TrainedModel, config: ExportConfig, scores: Sequence[dict[str, Any]]) -> str:
    """YAML. ``scores``: contents of results files of ``dubav probe``, which become the hub's ``model-index``."""
    block: dict[str, Any] = {
        "library_name": "dubcli",
        "license": config.license,
        "language": list(trained.variant.languages),
        "pipeline_tag": "feature-extraction",
        "tags": [tag for tag in _TAGS if tag != "video" or trained.variant.uses_video],
    }
    if config.datasets:
        block["datasets"] = list(config.datasets)
    if scores:
        block["model-index"] = [{"name": trained.name, "results": [_result(content) for content in scores]}]
    return yaml.safe_dump(block, sort_keys=False, allow_unicode=True)


def _result(content: dict[str, Any]) -> dict[str, Any]:
    """One score as the hub has it; the bounds of its interval are arguments of the metric."""
    task = str(content["task"])
    metric = str(content["metric"])
    arguments: dict[str, Any] = {"protocol": str(content["protocol"]["name"]), "splits": len(content["scores"])}
    if content.get("interval"):
        low, high = content["interval"][:2]
        arguments |= {"interval_95_low": float(low), "interval_95_high": float(high)}
    if content.get("std") is not None:
        arguments["std"] = float(content["std"])
    kind = _METRICS.get(metric, metric)
    return {
        "task": {"type": _TASK_TYPES.get(modality_of(content), "feature-extraction"), "name": f"probe {task}"},
        "dataset": {"type": task, "name": task},
        "metrics": [{"type": kind, "name": metric, "value": number(content["mean"]), "args": arguments}],
    }
