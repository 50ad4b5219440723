"""A plan -> the paper's whole study: cache, models, probes, tables; resumable, on one machine or as Slurm jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.reproduce.plan import Plan, read_plan

if TYPE_CHECKING:
    from dubcli.reproduce.stage import reproduce as reproduce

__all__ = ["Plan", "read_plan", "reproduce"]


def __getattr__(name: str) -> Any:
    if name == "reproduce":
        from dubcli.reproduce.stage import reproduce

        return reproduce
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
