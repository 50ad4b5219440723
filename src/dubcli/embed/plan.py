"""The plan of a run: its inputs cut into blocks, on disk, so that it needs no memory however long it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from dubcli.core.atomic import atomic_write
from dubcli.embed.inputs import Ignored, MediaItem
from dubcli.embed.store import block_name

_BLOCK_ITEMS = 64
_BLOCK_BYTES = 64 << 20
"""A block ends after that many inputs or bytes: what a killed run loses, and what shards are made of."""


@dataclass(frozen=True)
class PlannedBlock:
    """Consecutive inputs, and the file in the work folder that will hold their features."""

    path: Path
    items: tuple[MediaItem, ...]


@dataclass(frozen=True)
class Plan:
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

    def lines(self, shard: tuple[int, int] | None = None) -> list[str]:
        """The blocks as text for other processes."""
        with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
            return [line for n, line in enumerate(file) if shard is None or n % shard[1] == shard[0] - 1]


def parse_block(line: str, folder: Path) -> PlannedBlock:
    """A line of a plan whose work folder is ``folder``."""
    fields = json.loads(line)
    return PlannedBlock(folder / fields["name"], tuple(MediaItem(*item) for item in fields["items"]))


def write_plan(folder: Path, items: Iterable[MediaItem | Ignored], identity: str) -> Plan:
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
    return Plan(folder / "plan.jsonl", digest.hexdigest(), total, blocks, ignored)


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
