"""The one HTML page: everything inline, no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

import jinja2

from dubcli.report.plots import Plot
from dubcli.report.tables import Table

if TYPE_CHECKING:
    from dubcli.report.gallery import GalleryQuery


def page(
    title: str,
    summary: str,
    notes: Sequence[str],
    tables: Sequence[Table],
    plots: Sequence[Plot],
    galleries: Sequence[tuple[str, Sequence[GalleryQuery]]],
) -> str:
    """Names and labels come from folders and files of anybody: all text is escaped; only our own SVG is not."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string((resources.files("dubcli.report") / "page.html").read_text(encoding="utf-8"))
    has_audio = any(shown.audio for _, queries in galleries for query in queries for shown in query.nearest)
    return template.render(
        title=title, summary=summary, notes=notes, tables=tables, plots=plots, galleries=galleries, has_audio=has_audio
    )
