"""The frame of every page: style for light and dark, narrow and wide; tables that sort; charts; no network."""

from __future__ import annotations

import json
from typing import Any

import jinja2
from markupsafe import Markup

from dubcli.core.atomic import strict


def render(package: str, template: str, **values: Any) -> str:
    """A template of ``package`` (a folder ``templates`` in it), which may extend ``shell.html``.

    Names come from files of anybody: all text is escaped but for ``Markup``. Raises jinja2's errors for our own slips.
    """
    return _environment(package).get_template(template).render(**values)


def _environment(package: str) -> jinja2.Environment:
    loader = jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("dubcli.pages")])
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def script(text: str) -> Markup:
    """A script of ours, or a library's, to stand in a page as it is."""
    return Markup(text.replace("</script", "<\\/script"))


def data(content: Any) -> Markup:
    """Content of a script element of the kind ``application/json``: strict JSON that cannot end the element."""
    return Markup(json.dumps(strict(content), ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"))
