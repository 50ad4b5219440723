"""Clip cache -> checkpoints: contrastive training of the paper's variants, resumable to the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports
from dubcli.pretrain.config import LaunchConfig, PretrainConfig

if TYPE_CHECKING:
    from dubcli.pretrain.launcher import launch as launch
    from dubcli.pretrain.summary import RunSummary as RunSummary
    from dubcli.pretrain.trainer import train as train

__all__ = ["LaunchConfig", "PretrainConfig", "RunSummary", "launch", "train"]

__getattr__ = lazy_exports(__name__, {"RunSummary": "summary", "launch": "launcher", "train": "trainer"})
