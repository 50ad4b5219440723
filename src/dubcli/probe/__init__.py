"""Measure a model with linear heads on frozen features (paper section 3.5, appendices B.2 and D).

``probe`` runs one task, or all that are there, for one model or several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.probe.config import ProbeConfig

if TYPE_CHECKING:
    from dubcli.probe.stage import list_tasks, probe

__all__ = ["ProbeConfig", "list_tasks", "probe"]


def __getattr__(name: str) -> Any:
    if name not in ("probe", "list_tasks"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.stage"), name)
