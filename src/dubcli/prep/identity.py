"""The folder name of a film, made of its name and the fingerprint of its content."""

from __future__ import annotations

import re

from dubcli.media.kinds import as_read

_SLUG_BYTES = 80


def slug(name: str) -> str:
    """Letters, accents and digits of any script, in lower case, the rest as hyphens; never empty, at most 80 bytes."""
    text = re.sub(r"[\W_]+", "-", as_read(name).casefold()).strip("-")
    return text.encode("utf-8", "ignore")[:_SLUG_BYTES].decode("utf-8", "ignore").strip("-") or "film"


def movie_id(name: str, content_fingerprint: str) -> str:
    """``<slug>-<8 hex digits>``."""
    return f"{slug(name)}-{content_fingerprint[:8]}"
