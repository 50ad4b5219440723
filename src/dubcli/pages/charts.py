"""Charts in Vega-Lite: drawn by the browser in pages, offline, and as PNG for papers, from one description.

A page holds the library once (``library()``) and each chart's description. Wheel and touch scroll the page: a chart is
zoomed and moved by its buttons and keys, by a drag with the shift key held, or by the wheel with the control key; a
double click shows all of it. Beside a chart with several series stand switches for them in place of a legend.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dubcli.core.atomic import strict
from dubcli.pages.shell import data

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
PAPER_WIDTH, PAPER_HEIGHT = 520, 300
SERIES = "series"
"""The field that names what a point belongs to."""
_SVG_MARKS = 4000


@dataclass(frozen=True)
class Chart:
    """``key``: its name in files and links. ``description``: what it shows, for those who do not see it.

    ``folded``: under which heading a page shows it when it is asked for; "" where it is always shown.
    """

    key: str
    title: str
    description: str
    spec: Mapping[str, Any]
    folded: str = ""

    @property
    def json(self) -> Markup:
        """For a script element of a page."""
        spec = {**self.spec, "width": "container", "description": self.description}
        if len(self.spec.get("data", {}).get("values", ())) > _SVG_MARKS:  # as elements of a page they are slow
            spec["usermeta"] = {"embedOptions": {"renderer": "canvas"}}
        return data({"$schema": _SCHEMA, **spec})

    @property
    def height(self) -> int:
        """Pixels of its plot, for the room that a page leaves."""
        height = self.spec.get("height", PAPER_HEIGHT)
        return height if isinstance(height, int) else PAPER_HEIGHT

    def png(self) -> bytes:
        """The chart on white, at twice the pixels, with its title."""
        import vl_convert

        given = {"width": PAPER_WIDTH, "height": PAPER_HEIGHT, **self.spec}
        title = textwrap.wrap(self.title, max(24, given["width"] // 8), break_on_hyphens=False)
        names = {str(row[SERIES]) for row in given.get("data", {}).get("values", ()) if SERIES in row}
        spec = {**given, "title": title, "background": "white", "$schema": _SCHEMA, "config": _paper_config(names)}
        content: bytes = vl_convert.vegalite_to_png(strict(spec), scale=2)
        return content


def _paper_config(names: Iterable[str]) -> dict[str, Any]:
    """Below a chart of a paper as many columns of names as have room."""
    longest = min(48, max(map(len, names), default=0))
    columns = max(1, PAPER_WIDTH // (40 + 7 * longest))
    return {"legend": {"orient": "bottom", "columns": columns, "labelLimit": 340}, "title": {"anchor": "start"}}


@functools.cache
def library() -> str:
    """The script that draws: it defines ``vegaEmbed``. The same text for all pages."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return f"(() => {{{script}\n}})();"  # its many short names are no globals of the page


def zoomable() -> dict[str, Any]:
    """The parameter that lets a chart be moved and zoomed without trapping the wheel."""
    held = "[mousedown[event.shiftKey], window:mouseup] > window:mousemove!"
    select = {"type": "interval", "translate": held, "zoom": "wheel![event.ctrlKey]", "clear": "dblclick"}
    return {"name": "view", "select": select, "bind": "scales"}


SWITCHES: dict[str, Any] = {"name": "hidden", "value": []}
"""The parameter that a page's switches set: the series that are not shown. It goes with ``SHOWN_SERIES``."""

SHOWN_SERIES: dict[str, Any] = {"filter": f"indexof(hidden, datum.{SERIES}) < 0"}


def series_colour(names: Sequence[str]) -> dict[str, Any]:
    """A colour for each series, the same whichever are shown."""
    scale = {"domain": list(names), "scheme": "tableau10" if len(names) <= 10 else "tableau20"}
    return {"field": SERIES, "type": "nominal", "title": None, "scale": scale}


def quantity(field: str, title: str, **scale: Any) -> dict[str, Any]:
    """An axis of numbers, which need not begin at zero."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False, **scale}}
