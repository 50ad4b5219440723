"""The files of a dataset by pattern and by name, whatever system, archive or downloader left them there."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from fnmatch import fnmatchcase, translate
from itertools import islice
from pathlib import Path, PurePosixPath

from dubcli.media.kinds import FILM, SOUND, is_hidden, kind_of, walk

ANY_SOUND = ".<sound>"
"""At the end of a pattern: whatever suffix of a sound."""
_ARCHIVES = frozenset((".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst"))
_MOST_LOOKED_AT = 50_000
_SHOWN_KINDS = 4


def visible(folder: Path, pattern: str) -> Iterator[Path]:
    """What matches a glob pattern, in the order of names, whatever their case, but hidden names.

    macOS leaves a ``._x.wav`` beside each ``x.wav``. A name that is there as it is written is the only one of its case.

    Args:
        folder: where it lies.
        pattern: below it.

    Yields:
        Paths of files and folders.

    >>> [path.name for path in visible(Path("sounds"), "L*")]
    ['low']
    """
    first, _, rest = pattern.partition("/")
    for name in _names(folder, first, only_folders=bool(rest)):
        if rest:
            yield from visible(folder / name, rest)
        else:
            yield folder / name


def has(folder: Path, pattern: str) -> bool:
    """Whether something matches a glob pattern."""
    return next(visible(folder, pattern), None) is not None


def located(folder: Path, pattern: str) -> Path:
    """The first that matches a glob pattern, else the place where it would be."""
    return next(visible(folder, pattern), folder / pattern)


def sounds(folder: Path, pattern: str) -> list[Path]:
    """The sounds that match a pattern; of copies of one name in a folder the WAV file, else the first suffix.

    Args:
        folder: where they lie.
        pattern: a glob pattern below it; ``.<sound>`` at its end is whatever suffix of a sound.

    Returns:
        Their paths, sorted.

    >>> len(sounds(Path("sounds"), "*/*.wav"))
    20
    """
    by_stem: dict[tuple[Path, str], Path] = {}
    for path in visible(folder, pattern):
        if kind_of(path) == SOUND:
            key = (path.parent, path.stem.casefold())
            by_stem[key] = min(by_stem.get(key, path), path, key=_by_suffix)
    return sorted(by_stem.values())


def seen(folder: Path) -> str:
    """How many files of which kinds are below a folder, in words, for a refusal."""
    count: Counter[str] = Counter()
    example: dict[str, str] = {}
    for one in islice(walk(folder), _MOST_LOOKED_AT):
        suffix = PurePosixPath(one.path).suffix.lower() or "without a suffix"
        count[suffix] += 1
        example.setdefault(suffix, os.path.relpath(one.path, folder))
    if not count:
        return "it holds no files"
    kinds = [f"{number} {suffix} (such as {example[suffix]})" for suffix, number in count.most_common(_SHOWN_KINDS)]
    rest = sum(number for _, number in count.most_common()[_SHOWN_KINDS:])
    text = f"it holds {', '.join(kinds)}" + (f" and {rest} others" if rest else "")
    most = f", more than {_MOST_LOOKED_AT} files in all" if count.total() == _MOST_LOOKED_AT else ""
    return text + most + ("; unpack its archives" if set(count) & _ARCHIVES else "")


class Files:
    """The sounds or videos below a folder, found by the names that a dataset's list gives them.

    A copy of a dataset may have other suffixes, another case, or its folders elsewhere: a file fits by its name without
    suffix. Of several the one whose folders are most like the listed ones is taken, then one of the wanted kind, of the
    very name, and the least deep: never the one that the system happened to name first.

    Args:
        folder: the dataset's.
        kind: of the wanted files, ``media.kinds.SOUND`` or ``FILM``.

    >>> Files(Path("sounds")).find("recordings/low/3.mp3")
    PosixPath('sounds/low/3.wav')
    """

    def __init__(self, folder: Path, kind: str = SOUND) -> None:
        self._folder = folder
        self._kind = kind
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for one in walk(folder):
            if one.kind in (SOUND, FILM):
                path = Path(one.path)
                self._by_stem[path.stem.casefold()].append(path)

    def find(self, listed: str, *, within: str = "") -> Path:
        """The file that a list means, else the place where the list says that it is.

        Args:
            listed: a path relative to the folder, its suffix as it was published.
            within: a pattern that one of the folders around it must match, whatever their case.
        """
        listed = listed.replace("\\", "/")
        there = self._by_stem.get(PurePosixPath(listed).stem.casefold(), [])
        if within:
            there = [path for path in there if self._lies_within(path, within.casefold())]
        return min(there, key=lambda path: self._rating(path, listed), default=self._folder / listed)

    def _lies_within(self, path: Path, pattern: str) -> bool:
        return any(fnmatchcase(name.casefold(), pattern) for name in self._folders(path))

    def _folders(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self._folder).parts[:-1]

    def _rating(self, path: Path, listed: str) -> tuple[object, ...]:
        folders = PurePosixPath(listed).parts[:-1]
        alike = _common_end(folders, self._folders(path))
        name = PurePosixPath(listed).name
        return (-alike, kind_of(path) != self._kind, path.name != name, len(path.parts), _by_suffix(path))


def _common_end(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    count = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left.casefold() != right.casefold():
            break
        count += 1
    return count


def _by_suffix(path: Path) -> tuple[bool, str]:
    return path.suffix.lower() != ".wav", str(path)


def _names(folder: Path, pattern: str, *, only_folders: bool) -> list[str]:
    """The names in ``folder`` that match one part of a pattern, sorted."""
    plain = not set(pattern) & set("*?[")
    if not pattern or pattern == ".." or (plain and (folder / pattern).exists()):
        return [pattern]
    suffixed = pattern.endswith(ANY_SOUND)
    matches = re.compile(
        translate(pattern.removesuffix(ANY_SOUND) + ".*" if suffixed else pattern), re.IGNORECASE
    ).match
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if (not only_folders or entry.is_dir())  # first: a folder of a million clips holds no folders
                and matches(entry.name)
                and not is_hidden(entry.name)
                and (not suffixed or kind_of(entry.name) == SOUND)
            )
    except OSError:
        return []
