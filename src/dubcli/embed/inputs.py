"""The inputs of ``embed``: files, folders, lists and clip caches, as one stream of items, and planned in blocks.

The plan is on disk, so that it needs no memory however long it is.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from dubcli.cache.layout import is_cache
from dubcli.core.atomic import atomic_write
from dubcli.errors import UserError
from dubcli.media.kinds import walk

_PATH_COLUMNS = ("path", "file", "filename", "file_name", "fname", "video", "audio")


@dataclass(frozen=True)
class MediaItem:
    """One input; ``kind`` is "file" or "movie" (a film of a clip cache). Size and time tell when it has changed.

    ``size``: of the file, or of a film's frames: also a measure of how much work it is.
    """

    path: str
    kind: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class Ignored:
    """A file in an input folder that is no sound and no video by its name."""

    path: str


def list_items(inputs: Iterable[str | os.PathLike[str]]) -> Iterator[MediaItem | Ignored]:
    """Yield the items of ``inputs`` in their order, folders sorted by name; nothing is opened but lists.

    Raises UserError for a list that cannot be read. A file that is not there is an item all the same: it fails when it
    is read.
    """
    for given in inputs:
        path = Path(given)
        if path.is_dir():
            yield from _movies(path) if is_cache(path) else _folder(path)
        elif path.suffix.lower() == ".txt":
            yield from _listed(path, _text_lines(path))
        elif path.suffix.lower() == ".csv":
            yield from _listed(path, _csv_cells(path))
        else:
            yield file_item(str(given))


def check_inputs(inputs: Iterable[str | os.PathLike[str]]) -> None:
    """Raises UserError for an input that is not there."""
    for given in inputs:
        if not os.path.exists(given):
            raise UserError(f"{given} is not there; give files, folders, a .csv or .txt list, or a clip cache")


def file_item(path: str) -> MediaItem:
    """The item of one file, whether it is there or not."""
    try:
        status = os.stat(path)
    except OSError:
        return MediaItem(path, "file", -1, 0)
    return MediaItem(path, "file", status.st_size, status.st_mtime_ns)


def _folder(folder: Path) -> Iterator[MediaItem | Ignored]:
    for found in walk(folder):
        yield file_item(found.path) if found.is_media else Ignored(found.path)


def _movies(cache: Path) -> Iterator[MediaItem]:
    from dubcli.cache.layout import FRAMES_FILE, MOVIE_FILE
    from dubcli.cache.reader import Cache

    for movie in Cache(cache).movies:
        frames = file_item(str(movie.folder / FRAMES_FILE))
        yield MediaItem(str(movie.folder), "movie", frames.size, (movie.folder / MOVIE_FILE).stat().st_mtime_ns)


def _listed(source: Path, names: Iterable[str]) -> Iterator[MediaItem]:
    """Names in a list are relative to the list's own folder."""
    for name in names:
        yield file_item(os.path.join(source.parent, name) if source.parent != Path() else name)


def _text_lines(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
            for line in file:
                if "\0" in line:
                    raise UserError(f"{path} is no text; a .txt input is a list with one file per line")
                if line.strip():
                    yield line.rstrip("\r\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _csv_cells(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            columns = rows.fieldnames or []
            column = next((name for name in _PATH_COLUMNS if name in columns), None)
            if column is None:
                found = ", ".join(columns) or "none"
                raise UserError(
                    f"{path} has no column named path (columns: {found}); name the column with the files so"
                )
            yield from (row[column] for row in rows if row[column])
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a list: {error}") from None


_BLOCK_ITEMS = 64
_BLOCK_BYTES = 64 << 20
"""A block ends after that many inputs or bytes: what a killed run loses, and what shards are made of."""


@dataclass(frozen=True)
class PlannedBlock:
    """Consecutive inputs, and the file in the work folder that will hold their features."""

    path: Path
    items: tuple[MediaItem, ...]


@dataclass(frozen=True)
class BlockPlan:
    """A list of blocks on disk. ``key`` names inputs and options together: the same key is the same result."""

    path: Path
    key: str
    n_items: int
    n_blocks: int
    n_ignored: int

    def blocks(self, shard: tuple[int, int] | None = None) -> Iterator[PlannedBlock]:
        """The blocks in order, or every n-th beginning with the i-th for shard (i, n)."""
        with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file):
                if shard is None or number % shard[1] == shard[0] - 1:
                    yield parse_block(line, self.path.parent)


def parse_block(line: str, folder: Path) -> PlannedBlock:
    """A line of a plan whose work folder is ``folder``."""
    fields = json.loads(line)
    return PlannedBlock(folder / fields["name"], tuple(MediaItem(*item) for item in fields["items"]))


def write_plan(folder: Path, items: Iterable[MediaItem | Ignored], identity: str) -> BlockPlan:
    """Write the plan of ``items`` into the work folder. ``identity`` describes the checkpoint and the options."""
    total = blocks = ignored = 0
    digest = blake2b(identity.encode(), digest_size=16)
    with (
        atomic_write(folder / "plan.jsonl") as file,
        atomic_write(folder / "ignored.csv", "w") as ignored_file,
    ):
        listed = csv.writer(ignored_file, lineterminator="\n")
        listed.writerow(["path", "reason"])

        def usable() -> Iterator[MediaItem]:
            nonlocal ignored
            for item in items:
                if isinstance(item, MediaItem):
                    yield item
                else:
                    ignored += 1
                    listed.writerow([_readable(item.path), "not a sound or a video by its name"])

        for block in _cut(usable()):
            name = block_name(block, identity)
            digest.update(name.encode())
            cells = [[item.path, item.kind, item.size, item.modified_ns] for item in block]
            file.write(json.dumps({"name": name, "items": cells}).encode() + b"\n")
            total += len(block)
            blocks += 1
    return BlockPlan(folder / "plan.jsonl", digest.hexdigest(), total, blocks, ignored)


def block_name(items: Sequence[MediaItem], identity: str) -> str:
    """The name of the file that holds the features of ``items`` made with what ``identity`` describes."""
    digest = blake2b(identity.encode(), digest_size=16)
    for item in items:
        text = json.dumps([item.path, item.kind, item.size, item.modified_ns])
        digest.update(text.encode("utf-8", "surrogateescape"))
    return f"{digest.hexdigest()}.npz"


def _cut(items: Iterable[MediaItem]) -> Iterator[list[MediaItem]]:
    block: list[MediaItem] = []
    size = 0
    for item in items:
        block.append(item)
        size += max(0, item.size)
        if len(block) == _BLOCK_ITEMS or size >= _BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _readable(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
