"""Clip cache -> checkpoints: contrastive training of the paper's variants, resumable to the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.pretrain.config import LaunchConfig, PretrainConfig

if TYPE_CHECKING:
    from dubcli.pretrain.launcher import launch as launch
    from dubcli.pretrain.trainer import RunSummary as RunSummary
    from dubcli.pretrain.trainer import train as train

__all__ = ["LaunchConfig", "PretrainConfig", "RunSummary", "launch", "train"]


def __getattr__(name: str) -> Any:
    if name == "launch":
        from dubcli.pretrain.launcher import launch

        return launch
    if name in ("train", "RunSummary"):
        from dubcli.pretrain import trainer

        return getattr(trainer, name)
    raise AttributeError(name)
