"""A plan -> the paper's whole study: cache, models, probes, tables; resumable, on one machine or as Slurm jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports
from dubcli.reproduce.plan import Plan, read_plan

if TYPE_CHECKING:
    from dubcli.reproduce.stage import reproduce as reproduce

__all__ = ["Plan", "read_plan", "reproduce"]

__getattr__ = lazy_exports(__name__, {"reproduce": "stage"})
