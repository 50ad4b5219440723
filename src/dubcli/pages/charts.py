"""Charts in Vega-Lite: drawn by the browser in pages, offline, and as PNG for papers, from one description.

A page holds the library once (``library()``) and each chart's description. Wheel and touch scroll the page: a chart is
zoomed by dragging with the shift key held, or with the wheel and the control key, and reset by a double click.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dubcli.core.atomic import strict

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
PAPER_WIDTH, PAPER_HEIGHT = 520, 300


@dataclass(frozen=True)
class Chart:
    """``key``: its name in files and links. ``description``: what it shows, for those who do not see it."""

    key: str
    title: str
    description: str
    spec: Mapping[str, Any]

    @property
    def json(self) -> str:
        """For a script element of a page: the description as strict JSON that cannot end the element."""
        spec = {"width": "container", **self.spec, "title": None, "description": self.description}
        text = json.dumps(strict({"$schema": _SCHEMA, **spec}), ensure_ascii=False, allow_nan=False)
        return text.replace("<", "\\u003c")

    def png(self) -> bytes:
        """The chart on white, at twice the pixels, with its title."""
        import vl_convert

        spec = {**self.spec, "title": self.title, "background": "white", "width": PAPER_WIDTH, "$schema": _SCHEMA}
        content: bytes = vl_convert.vegalite_to_png(strict(spec), scale=2)
        return content


@functools.cache
def library() -> str:
    """The script that draws: it defines ``vegaEmbed``. The same text for all pages."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script


def zoomable() -> dict[str, Any]:
    """The parameter that lets a chart be moved and zoomed without trapping the wheel."""
    held = "[mousedown[event.shiftKey], window:mouseup] > window:mousemove!"
    select = {"type": "interval", "translate": held, "zoom": "wheel![event.ctrlKey]", "clear": "dblclick"}
    return {"name": "view", "select": select, "bind": "scales"}


def legend_switch(field: str) -> dict[str, Any]:
    """The parameter with which a click in the legend shows one series, and a click with shift held one more."""
    return {"name": "shown", "select": {"type": "point", "fields": [field]}, "bind": "legend"}


SHOWN_OPACITY = {"condition": {"param": "shown", "value": 1}, "value": 0.08}


def quantity(field: str, title: str, **scale: Any) -> dict[str, Any]:
    """An axis of numbers, which need not begin at zero."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False, **scale}}


def rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns of one length -> a list of records, as Vega takes them."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
