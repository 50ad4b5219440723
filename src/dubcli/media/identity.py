"""What makes a file the same file: a fingerprint of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dubcli.errors import InputError
from dubcli.media.kinds import require_file

_ENDS_BYTES = 1 << 20


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


def content_of(path: Path) -> str:
    """A file's fingerprint. Raises InputError where it cannot be read."""
    try:
        require_file(path)
        return fingerprint(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
