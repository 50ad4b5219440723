"""Runs, results and caches -> tables, plots and one HTML page (the paper's tables 1, 2, B4, D6, figures B1 and C2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dubcli.report.config import ReportConfig

if TYPE_CHECKING:
    from dubcli.report.stage import ReportSummary, report

__all__ = ["ReportConfig", "ReportSummary", "report"]


def __getattr__(name: str) -> Any:
    if name in ("report", "ReportSummary"):
        from dubcli.report import stage

        return getattr(stage, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
