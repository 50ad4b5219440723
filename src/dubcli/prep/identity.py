"""What makes a film the same film: a fingerprint of its content, and the folder name made of it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_ENDS_BYTES = 1 << 20
_SLUG_BYTES = 80


def fingerprint(path: Path) -> str:
    """sha256 over the size and the first and last MiB, in hex: quick on any disk, and another cut gets another one.

    Raises OSError.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        digest.update(str(size).encode())
        for start in (0, max(0, size - _ENDS_BYTES)):
            file.seek(start)
            digest.update(file.read(_ENDS_BYTES))
    return digest.hexdigest()


def slug(name: str) -> str:
    """Letters and digits of any script, in lower case, the rest as hyphens; never empty, at most 80 bytes."""
    text = re.sub(r"[\W_]+", "-", name.casefold()).strip("-")
    return text.encode("utf-8", "ignore")[:_SLUG_BYTES].decode("utf-8", "ignore").strip("-") or "film"


def movie_id(name: str, content_fingerprint: str) -> str:
    """``<slug>-<8 hex digits>``."""
    return f"{slug(name)}-{content_fingerprint[:8]}"
