"""Measure a model with linear heads on frozen features (paper section 3.5, appendices B.2 and D).

``probe`` runs one task, or all that are there, for one model or several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.probe.config import ProbeConfig

if TYPE_CHECKING:
    from dubcli.probe.listing import list_tasks
    from dubcli.probe.results import ProbeResult
    from dubcli.probe.stage import probe

__all__ = ["ProbeConfig", "ProbeResult", "list_tasks", "probe"]

_HOMES = {"probe": "stage", "list_tasks": "listing", "ProbeResult": "results"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
