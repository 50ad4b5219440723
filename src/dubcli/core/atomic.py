"""Files and folders that appear whole or not at all: a temporary name beside the target, fsync, rename.

It lives below the cache and the checkpoints because both write with it. No torch here.
"""

from __future__ import annotations

import fcntl
import json
import math
import numbers
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from dubcli.errors import UserError

_HOST = re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:24] or "host"
_LEFTOVER = re.compile(rf"\.tmp-{_HOST}-(\d+)-([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{8}}-.*", re.DOTALL)
_UNLOCKED_SECONDS = 60  # so old is nothing that another container has made and is about to lock
_OTHER_BOOT_SECONDS = 24 * 3600


def temporary_beside(path: Path) -> Path:
    """A name in ``path``'s folder that no other process uses and ``remove_leftovers`` recognises.

    The target's name is cut so that the temporary one fits into a file system's 255 bytes.
    """
    tail = os.fsdecode(os.fsencode(path.name)[:80])
    return path.with_name(f".tmp-{_HOST}-{os.getpid()}-{_boot()}-{_process_space()}-{uuid.uuid4().hex[:8]}-{tail}")


@lru_cache(maxsize=1)
def _boot() -> str:
    """Eight digits for this start of the machine's kernel, which its containers have in common."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return "0" * 8


def _process_space() -> int:
    """The number of the namespace in which process numbers mean something: each container has its own."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _hold(descriptor: int) -> None:
    """Lock what is being written until it is closed or its process is gone, in whichever container that is."""
    with suppress(OSError):  # file systems that lock nothing; then the process's number has to do
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
            _hold(file.fileno())
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
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        _hold(descriptor)
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
        os.close(descriptor)
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
    """Delete the temporary files and folders in ``folder`` that nobody writes any more; how many there were.

    The host's name is part of the temporary name, since machines that share a folder have processes of the same number;
    so are the kernel's start and the namespace of its processes, since containers may share the name as well.
    """
    removed = 0
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            match = _LEFTOVER.fullmatch(entry.name)
            if match is None or not _is_left(entry.path, int(match[1]), match[2], int(match[3])):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with suppress(OSError):
                    os.unlink(entry.path)
            removed += 1
    return removed


def _is_left(path: str, process_id: int, boot: str, process_space: int) -> bool:
    """Whether the process that made a temporary file or folder is gone."""
    try:
        age_seconds = time.time() - os.stat(path, follow_symlinks=False).st_mtime
    except OSError:
        return False
    if boot != _boot():  # this machine before it was started anew, or another one of the same name
        return age_seconds > _OTHER_BOOT_SECONDS
    if _is_held(path):
        return False
    return not process_lives(process_id) if process_space == _process_space() else age_seconds > _UNLOCKED_SECONDS


def _is_held(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


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


def process_lives(process_id: int) -> bool:
    """Whether this machine (or this container) has a process of that number."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_json_lines(path: str | os.PathLike[str], damaged: list[str] | None = None) -> list[dict[str, Any]]:
    """The objects of a file with one a line; none where there is no file. Half a line of a killed process is left out.

    ``damaged``: is told in a line how many others are no objects and left out, too.

    Raises UserError where it is there and cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    lines = text.splitlines()
    read = [_json_or_none(line) for line in lines]
    found = [one for one in read if isinstance(one, dict)]
    half = bool(lines) and read[-1] is None and not text.endswith("\n")
    wrong = len(lines) - len(found) - half
    if damaged is not None and wrong:
        damaged.append(f"{path}: {wrong} of {len(lines)} lines are damaged and left out")
    return found


def _json_or_none(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


@contextmanager
def writing(target: str | os.PathLike[str], option: str = "--out") -> Iterator[None]:
    """A block that writes ``target``, which a user names with ``option``: what the disk refuses is a UserError."""
    try:
        yield
    except OSError as error:
        names = [os.fsdecode(name) for name in (error.filename2, error.filename) if isinstance(name, (str, bytes))]
        where = next((name for name in names if not _LEFTOVER.search(name)), target)
        raise UserError(f"cannot write {where}: {error.strerror or error}; give another {option}") from None


def require_free(out: Path, *, ours: bool, named: str = "with --out") -> None:
    """Raises UserError where the folder that is to be written is a file, or holds something while it is not ``ours``.

    ``named``: how a user says another.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; name a folder {named}")
    others = [] if ours or not out.exists() else sorted(entry.name for entry in out.iterdir())
    if others:
        raise UserError(f"{out} holds other things ({', '.join(others[:3])}); name a new folder {named}")
