"""The one HTML page: everything inline, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dubcli.pages.charts import Chart, library
from dubcli.pages.shell import render, script
from dubcli.report.tables import Table

if TYPE_CHECKING:
    from dubcli.report.gallery import GalleryQuery


def page(
    title: str,
    summary: str,
    notes: Sequence[str],
    tables: Sequence[Table],
    charts: Sequence[Chart],
    galleries: Sequence[tuple[str, Sequence[GalleryQuery]]],
) -> str:
    """Names and labels come from folders and files of anybody: all text is escaped."""
    has_audio = any(shown.audio for _, queries in galleries for query in queries for shown in query.nearest)
    return render(
        "dubcli.report",
        "page.html",
        title=title,
        summary=summary,
        notes=notes,
        tables=tables,
        charts=charts,
        galleries=galleries,
        has_audio=has_audio,
        library=script(library()) if charts else "",
    )
