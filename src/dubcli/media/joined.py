"""Films in several files, as one container: discs' folders, and parts (``film cd1.avi``, ``film cd2.avi``).

A path names such a film like any other: a DVD's folder (``VIDEO_TS``), a Blu-ray's (``BDMV``), or an ``.ffconcat``
file (FFmpeg's list of files that are one). Of parts that lie beside each other this file need not be there:
``film.ffconcat`` stands for them. The clip grid goes on over the joints; where a part's sound ends before its picture
silence fills it up.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.errors import InputError
from dubcli.media.disc import BLURAY, DVD, blu_ray_files, disc_kind, dvd_files
from dubcli.media.kinds import as_read, kind_of

SUFFIX = ".ffconcat"
# As Jellyfin and Kodi stack files; "part" is also a word of titles.
_PART = re.compile(
    r"(?P<base>.*?)(?:(?<=[\])}])|[ _.-]+)[(\[]?"
    r"(?P<word>cd|dvd|dis[ck]|part|pt)(?P<apart>[ _.-]*)(?P<number>\d{1,2})(?P<of> ?of ?\d+)?[)\]]?",
    re.I,
)
_WORDS_OF_TITLES = frozenset({"part", "pt"})


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Files that are one film, in their order, and the path that stands for it.

    Where that is not ``sure`` each of them may as well be a film of its own.
    """

    path: Path
    files: tuple[Path, ...]
    sure: bool = True


def find_parts(files: Iterable[Path]) -> list[Parts]:
    """Those of film files that are parts of one film: numbered from 1 on without a hole, beside each other.

    ``cd1``, ``disc 1``, ``part1`` and ``part 1 of 2`` say so; ``part 1`` stands in titles, too, and is sure where no
    other film is beside them.
    """
    groups: defaultdict[tuple[Path, str, str, str], dict[int, Path]] = defaultdict(dict)
    beside: defaultdict[Path, int] = defaultdict(int)
    bases: dict[tuple[Path, str, str, str], str] = {}
    said: defaultdict[tuple[Path, str, str, str], bool] = defaultdict(lambda: True)
    for path in files:
        beside[path.parent] += 1
        match = _PART.fullmatch(as_read(path.stem))
        if match is not None and match["base"]:
            key = (path.parent, match["base"].casefold(), match["word"].casefold(), path.suffix.casefold())
            groups[key].setdefault(int(match["number"]), path)
            bases[key] = match["base"]
            said[key] &= key[2] not in _WORDS_OF_TITLES or not match["apart"] or bool(match["of"])
    found = []
    for key, numbered in groups.items():
        if len(numbered) > 1 and sorted(numbered) == list(range(1, len(numbered) + 1)):
            ordered = tuple(numbered[number] for number in sorted(numbered))
            sure = said[key] or beside[key[0]] == len(numbered)
            found.append(Parts(path=key[0] / f"{bases[key]}{SUFFIX}", files=ordered, sure=sure))
    return found


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that a path stands for, in their order: itself, where it is a plain file.

    Raises InputError where it is a disc without a film, or a list that cannot be read.
    """
    if path.suffix.lower() == SUFFIX:
        return _listed(path) if path.exists() else _beside(path)
    kind = disc_kind(path)
    if kind == DVD:
        return dvd_files(path)
    return blu_ray_files(path) if kind == BLURAY else (path,)


def is_joined(path: Path) -> bool:
    """Whether a path stands for several files, or for a disc."""
    return path.suffix.lower() == SUFFIX or disc_kind(path) is not None


def is_there(path: Path) -> bool:
    """Whether a path is a file, or stands for files that are there."""
    try:
        return all(file.is_file() for file in files_of(path))
    except InputError:
        return False


def name_of(path: Path) -> str:
    """What a film is called by its path: the name of its file, of a disc that of the folder that it lies in."""
    if disc_kind(path) is None:
        return path.stem
    absolute = path.absolute()
    return (absolute.parent if absolute.name.upper() in ("VIDEO_TS", "BDMV") else absolute).name


def how_to_open(path: Path) -> tuple[Any, dict[str, Any]]:
    """What FFmpeg is given for a path that stands for several files: (what to open, options).

    Raises InputError where the files are not there.
    """
    files = files_of(path)
    for file in files:
        if not file.is_file():
            raise InputError(f"its part {file.name} is not there")
    if path.suffix.lower() == SUFFIX:
        text = "ffconcat version 1.0\n" + "".join(f"file {_quoted(file)}\n" for file in files)
        options = {"safe": "0", "protocol_whitelist": "file,pipe,crypto,data"}
        return io.BytesIO(text.encode("utf-8", "surrogateescape")), {"format": "concat", "options": options}
    if any("|" in str(file) for file in files):
        raise InputError("its path holds |, which FFmpeg cannot join; rename the folder")
    return "concat:" + "|".join(f"file:{file}" for file in files), {}


def _quoted(file: Path) -> str:
    return "'file:" + str(file.absolute()).replace("'", "'\\''") + "'"


def _beside(path: Path) -> tuple[Path, ...]:
    try:
        films = [file for file in path.parent.iterdir() if kind_of(file) == "film"]
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    for parts in find_parts(films):
        if parts.sure and as_read(parts.path.name) == as_read(path.name):
            return parts.files
    raise InputError("the file is not there, nor are parts of it")


def _listed(path: Path) -> tuple[Path, ...]:
    """The files of an ``.ffconcat`` list, of which nothing but ``file`` lines is understood."""
    files = []
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "file":
            name = re.sub(r"'([^']*)'|\\(.)", lambda m: m[1] if m[1] is not None else m[2], rest.strip())
            files.append(path.parent / name.removeprefix("file:"))
        elif word and word != "ffconcat" and not word.startswith("#"):
            raise InputError(f"its line {line.strip()!r} is not understood; give file lines alone")
    if not files:
        raise InputError("lists no file")
    return tuple(files)
