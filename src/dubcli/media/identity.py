"""What makes a file the same file: a fingerprint of its content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from dubcli.errors import InputError
from dubcli.media.joined import files_of, is_joined
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
    """A film's fingerprint: of its file, or of all files that it is in. Raises InputError where it cannot be read."""
    try:
        if is_joined(path):
            parts = [fingerprint(file) for file in files_of(path)]
            return hashlib.sha256("".join(parts).encode()).hexdigest()
        require_file(path)
        return fingerprint(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None


def size_of(path: Path) -> int:
    """Bytes of a film, in all its files. Raises OSError, InputError."""
    return sum(file.stat().st_size for file in files_of(path))
