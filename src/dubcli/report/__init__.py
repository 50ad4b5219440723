"""Runs, results and caches -> tables, plots and one HTML page (the paper's tables 1, 2, B4, D6, figures B1 and C2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dubcli.lazy import lazy_exports
from dubcli.report.config import ReportConfig

if TYPE_CHECKING:
    from dubcli.report.stage import ReportSummary, report

__all__ = ["ReportConfig", "ReportSummary", "report"]

__getattr__ = lazy_exports(__name__, {"ReportSummary": "stage", "report": "stage"})
