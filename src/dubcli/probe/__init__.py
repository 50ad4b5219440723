"""Measure a model with linear heads on frozen features (paper section 3.5, appendices B.2 and D).

``probe`` runs one task, or all that are there, for one model or several. ``Protocol`` and what it is given (a
``Problem`` of features, labels and ``Split``s, and the ``Training`` settings) are what one's own protocol is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports
from dubcli.probe.config import ProbeConfig

if TYPE_CHECKING:
    from dubcli.probe.listing import list_tasks
    from dubcli.probe.problem import Problem, Split
    from dubcli.probe.protocols import Protocol
    from dubcli.probe.results import ProbeResult
    from dubcli.probe.stage import probe
    from dubcli.probe.training import Fitted, Predictions, Training

__all__ = [
    "Fitted",
    "Predictions",
    "ProbeConfig",
    "ProbeResult",
    "Problem",
    "Protocol",
    "Split",
    "Training",
    "list_tasks",
    "probe",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "probe": "stage",
        "list_tasks": "listing",
        "ProbeResult": "results",
        "Protocol": "protocols",
        "Problem": "problem",
        "Split": "problem",
        "Training": "training",
        "Fitted": "training",
        "Predictions": "training",
    },
)
