"""From what the user names (files, folders, manifests) to films, each once, and what was left out and why."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from dubcli.errors import InputError, UserError
from dubcli.media.disc import disc_kind
from dubcli.media.extras import extras_of
from dubcli.media.films import Film, read_manifest
from dubcli.media.identity import content_of, size_of
from dubcli.media.joined import files_of, find_parts, is_joined, is_there, name_of
from dubcli.media.kinds import CLOSED, DISC_IMAGES, FILM, FILM_SUFFIXES, OTHER, is_marked_as_media, walk
from dubcli.media.streams import read_info

_NAMED_AT_MOST = 3


@dataclass(frozen=True, kw_only=True)
class Looking:
    """``include_extras``: take samples, trailers, extras, too. ``exclude``: patterns of paths that are left out.

    A pattern without a slash is compared with every part of a path below the source, one with a slash with the whole.
    """

    include_extras: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Library:
    """What was found. ``copies``: {path of a film: other paths of the same content}; ``passed_over``: by suffix."""

    films: list[Film] = field(default_factory=list)
    copies: dict[Path, list[Path]] = field(default_factory=dict)
    joined: list[Path] = field(default_factory=list)
    perhaps_parts: list[tuple[Path, ...]] = field(default_factory=list)
    extras: list[Path] = field(default_factory=list)
    excluded: list[Path] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    unused: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """A line for each kind of thing that was left out or put together."""
        found = []
        if self.copies:
            pairs = [f"{os.path.basename(path)} = {others[0]}" for path, others in self.copies.items()]
            count = sum(map(len, self.copies.values()))
            found.append(f"{_count(count, 'file')} of a content that is there already left out: {_some(pairs)}")
        if self.joined:
            joined = [f"{name_of(path)} ({_count(len(files_of(path)), 'file')})" for path in self.joined]
            found.append(f"{_count(len(self.joined), 'film')} in discs or parts joined: {_some(joined)}")
        if self.perhaps_parts:
            names = _some([" + ".join(file.name for file in files) for files in self.perhaps_parts])
            found.append(f"taken as films of their own, though they may be parts (part1, cd1 are joined): {names}")
        if self.extras:
            count, names = len(self.extras), _some([path.name for path in self.extras])
            what = "sample, trailer or extra" if count == 1 else "samples, trailers or extras"
            found.append(f"{count} {what} left out (--include-extras takes them): {names}")
        if self.excluded:
            names = _some([path.name for path in self.excluded])
            found.append(f"{_count(len(self.excluded), 'film')} left out by --exclude: {names}")
        if self.passed_over:
            suffixes = ", ".join(f"{count} {suffix}" for suffix, count in self.passed_over.most_common())
            found.append(f"files that may be films, but not by their names, were not looked at: {suffixes}")
        found += [f"--exclude {pattern} fits nothing" for pattern in self.unused]
        return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _some(names: Sequence[str]) -> str:
    """The first few of names, in one line whatever they hold."""
    shown = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in name) for name in names[:_NAMED_AT_MOST]]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def find_films(sources: Sequence[str | Path]) -> list[Film]:
    """The films of ``find_library``."""
    return find_library(sources).films


def find_library(sources: Sequence[str | Path], looking: Looking = Looking(), known: Iterable[Path] = ()) -> Library:
    """Films in the order given, a folder's sorted by path, each content once.

    A source is a video file, a disc's folder, a folder (searched recursively) or a ``.csv`` manifest. A folder that
    cannot be read is given as a film, which then fails for that reason. What is named itself is taken, whatever it is
    called. ``known``: paths of films that a cache has, which are preferred among those of one content.
    Raises UserError for a source that holds none.
    """
    found = Library()
    used: set[str] = set()
    for source in map(Path, sources):
        if disc_kind(source) is not None:
            found.films.append(Film(video=source))
        elif source.is_dir():
            _add_folder(found, source, looking, used)
        elif source.suffix.lower() == ".csv" and source.is_file():
            found.films += read_manifest(source)
        elif source.exists() or is_there(source):
            found.films.append(Film(video=source))
        else:
            raise UserError(f"{source} is not there; give video files, folders or a .csv manifest")
    found.unused = [pattern for pattern in looking.exclude if pattern not in used]
    films = list({(film.video.absolute(), film.title): film for film in found.films}.values())
    found.films = _each_content_once(films, found.copies, set(known))
    return found


def _add_folder(found: Library, source: Path, looking: Looking, used: set[str]) -> None:
    paths: list[Path] = []
    for path, kind in _below(source):
        fits = {pattern for pattern in looking.exclude if _fits(path.relative_to(source), pattern)}
        used |= fits
        if kind not in (FILM, CLOSED):
            found.passed_over.update([path.suffix.lower() or "without a suffix"] if not fits else [])
        elif fits:
            found.excluded.append(path)
        else:
            paths.append(path)
    extras = set() if looking.include_extras else extras_of(paths, source)
    found.extras += [path for path in paths if path in extras]
    paths = [path for path in paths if path not in extras]
    all_parts = find_parts(paths)
    found.perhaps_parts += [parts.files for parts in all_parts if not parts.sure]
    stand_for = {file: parts.path for parts in all_parts if parts.sure for file in parts.files}
    paths = list(dict.fromkeys(stand_for.get(path, path) for path in paths))
    found.joined += [path for path in paths if is_joined(path) and is_there(path)]  # others fail for their reason
    if not paths and not found.extras and not found.excluded:
        raise UserError(f"no video file in {source}; files with one of {' '.join(sorted(FILM_SUFFIXES))} are taken")
    if not paths:
        left = found.notes[0]
        raise UserError(f"no video file in {source} but what is left out: {left}")
    found.films += [Film(video=path) for path in sorted(paths)]


def _below(source: Path) -> Iterator[tuple[Path, str]]:
    """(path, kind) of the films below a folder, discs as one each, and of files that may be films (other)."""
    discs: dict[Path, bool] = {}
    for one in walk(source, once=True):
        path = Path(one.path)
        above = [folder for folder in path.parents if folder != source and source in folder.parents]
        for folder in above:
            if folder not in discs:
                discs[folder] = disc_kind(folder) is not None
                if discs[folder] and not any(discs.get(higher) for higher in folder.parents):
                    yield folder, FILM
        if not any(discs[folder] for folder in above) and (one.is_film or (one.kind == OTHER and _may_be_film(path))):
            yield path, one.kind


def _may_be_film(path: Path) -> bool:
    """Whether a file of another name is a disc's image, or begins as films and sounds do."""
    if path.suffix.lower() in DISC_IMAGES:
        return True
    with suppress(OSError):
        return path.is_file() and is_marked_as_media(path)
    return False


def _fits(path: Path, pattern: str) -> bool:
    plain = pattern.removeprefix("./").rstrip("/")
    if "/" in plain:
        return fnmatchcase(str(path), plain) or fnmatchcase(str(path), f"{plain}/*")
    return any(fnmatchcase(part, plain) for part in path.parts)


def _each_content_once(films: list[Film], copies: dict[Path, list[Path]], known: set[Path]) -> list[Film]:
    """Of films that nothing is said of but their paths, one for each content: one that is ``known``, no link, first."""
    same_size: defaultdict[int, list[Film]] = defaultdict(list)
    for film in films:
        if film.title is None and not film.named_tracks:
            with suppress(OSError, InputError):
                same_size[size_of(film.video)].append(film)
    dropped: set[Path] = set()
    for group in same_size.values():
        for same in _by_content(group) if len(group) > 1 else ():
            kept, *others = sorted(same, key=lambda film: (film.video.absolute() not in known, film.video.is_symlink()))
            if others and _is_film(kept.video):
                copies[kept.video] = [other.video for other in others]
                dropped.update(other.video for other in others)
    return [film for film in films if film.video not in dropped or film.title is not None or film.named_tracks]


def _is_film(path: Path) -> bool:
    """Whether there is a picture: files of rubbish that are the same fail one by one."""
    try:
        return read_info(path).video is not None
    except InputError:
        return False


def _by_content(films: Iterable[Film]) -> Iterable[list[Film]]:
    groups: defaultdict[str, list[Film]] = defaultdict(list)
    read: dict[tuple[int, int], str] = {}
    for film in films:
        try:
            status = os.stat(film.video) if not is_joined(film.video) else None
            number = (status.st_dev, status.st_ino) if status is not None and status.st_ino else None
            content = read.get(number) if number is not None else None
            content = content or content_of(film.video)
        except (OSError, InputError):
            continue  # it will fail for that reason
        if number is not None:
            read[number] = content
        groups[content].append(film)
    return groups.values()
