"""Files and folders that appear whole or not at all: a temporary name beside the target, fsync, rename.

It lives below the cache and the checkpoints because both write with it. No torch here.
"""

from __future__ import annotations

import json
import math
import numbers
import os
import re
import shutil
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from dubcli.errors import UserError

_HOST = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:24] or "host"
_LEFTOVER = re.compile(rf"\.tmp-{_HOST}-(\d+)-[0-9a-f]{{8}}-.*", re.DOTALL)


def temporary_beside(path: Path) -> Path:
    """A name in ``path``'s folder that no other process uses and ``remove_leftovers`` recognises.

    The target's name is cut so that the temporary one fits into a file system's 255 bytes.
    """
    tail = os.fsdecode(os.fsencode(path.name)[:80])
    return path.with_name(f".tmp-{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}-{tail}")


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that takes ``path``'s place when the block ends without an exception.

    ``mode`` is ``"wb"`` or ``"w"`` (UTF-8). The parent folder is made when it is missing. Raises OSError.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(target)
    try:
        with open(temporary, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty temporary folder that is renamed to ``path`` when the block ends without an exception.

    An existing folder at ``path`` is replaced: it is moved aside first, so for an instant there is neither, but never
    a mixture. Where another process put its folder there first meanwhile, that one stays and ours is dropped.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    replacing = target.exists()
    temporary = temporary_beside(target)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            sync_path(file)
        sync_path(temporary)
        aside = temporary_beside(target)
        if replacing:
            with suppress(FileNotFoundError):
                os.rename(target, aside)
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():
                raise
        _sync_folder(target.parent)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def strict(content: Any) -> Any:
    """``content`` as strict JSON can hold it: numbers that are none (NaN, infinite) become null, numpy's become
    Python's, and what JSON has no word for becomes text."""
    if isinstance(content, Mapping):
        return {str(key): strict(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [strict(value) for value in content]
    if content is None or isinstance(content, (bool, str)):
        return content
    if isinstance(content, numbers.Integral):
        return int(content)
    if isinstance(content, numbers.Real):
        return float(content) if math.isfinite(content) else None
    return str(content)


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write strict JSON (no NaN, no Infinity) atomically, with indentation and a final newline."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_write(path) as file:
        file.write(json_bytes(text))


def json_bytes(text: str) -> bytes:
    """JSON as UTF-8. File names that are none (Python holds them as lone surrogates) become JSON's escapes of these,
    which every reader takes and Python turns back into the same name."""
    return text.encode("utf-8", "backslashreplace")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file. Raises UserError that names the file when it is missing or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error


def remove_leftovers(folder: str | os.PathLike[str]) -> int:
    """Delete the temporary files and folders in ``folder`` whose process on this machine is gone; how many there were.

    The host's name is part of the temporary name, since machines that share a folder have processes of the same number.
    """
    removed = 0
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            match = _LEFTOVER.fullmatch(entry.name)
            if match is None or _alive(int(match[1])):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)
            removed += 1
    return removed


def sync_path(path: Path) -> None:
    """fsync one file or folder, so that a rename after it never shows an empty file once power fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some network file systems cannot fsync a folder; the rename is still atomic there
        sync_path(folder)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
