"""The one HTML page: everything inline, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dubcli.pages.charts import Chart, library
from dubcli.pages.shell import data, render, script
from dubcli.report.tables import Table

if TYPE_CHECKING:
    from dubcli.report.gallery import Gallery

MODELS_SHOWN = 4
"""Side by side at first; the gallery has a switch for each."""


def page(
    title: str,
    summary: str,
    notes: Sequence[str],
    tables: Sequence[Table],
    charts: Sequence[Chart],
    galleries: Sequence[Gallery],
) -> str:
    """Names and labels come from folders and files of anybody: all text is escaped."""
    return render(
        "dubcli.report",
        "page.html",
        title=title,
        summary=summary,
        notes=notes,
        tables=tables,
        charts=charts,
        galleries=galleries,
        data=data,
        most_models=MODELS_SHOWN,
        library=script(library()) if charts else "",
    )
