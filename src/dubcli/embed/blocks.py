"""The work itself: blocks of inputs made in this process, or as jobs of a Dask cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from dubcli.core.checkpoint import TrainedModel
from dubcli.core.models import preset_sizes
from dubcli.embed.config import EmbedConfig
from dubcli.embed.decode import Wanted
from dubcli.embed.embedder import Embedder
from dubcli.embed.engine import say_nothing
from dubcli.embed.inputs import Item
from dubcli.embed.pipeline import Pipeline
from dubcli.embed.plan import Plan, PlannedBlock
from dubcli.embed.store import Block, load_block, save_block
from dubcli.embed.summary import EmbedSummary, tell
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import Progress
from dubcli.jobs.runner import Report, run_jobs

_WORKER_THREADS = 2
"""Decoding threads of a cluster's worker."""

Model = str | os.PathLike[str] | TrainedModel | Embedder


def open_embedder(ckpt: Model, config: EmbedConfig, say: Callable[[str], None]) -> Embedder:
    """The Embedder of a checkpoint with the options of ``config``."""
    if isinstance(ckpt, Embedder):
        return ckpt
    return Embedder(
        ckpt,
        device=config.device,
        compile=config.compile,
        precision=config.precision,
        seed=config.seed,
        preset=config.preset,
        say=say,
    )


def wanted_of(embedder: Embedder, config: EmbedConfig) -> Wanted:
    """What decoding has to deliver for this checkpoint and these options."""
    modalities = tuple(name for name in config.modalities if name in embedder.modalities)
    if not modalities:
        raise UserError(f"{embedder.trained.name} is an audio-only checkpoint; it has no video features")
    return Wanted(
        modalities=modalities,
        sample_rate=embedder.sample_rate,
        sizes=preset_sizes(embedder.trained.preset),
        lang=config.lang,
        nospeech=embedder.trained.variant.primary_kind == "nospeech",
    )


def make_missing(
    plan: Plan,
    ckpt: Model,
    embedder: Embedder,
    config: EmbedConfig,
    options: JobOptions,
    progress: Progress,
    summary: EmbedSummary,
) -> None:
    """Make the blocks of the plan (or of this shard) that are not there; count all inputs in ``summary``."""
    missing = []
    total_bytes = 0
    for planned in plan.blocks(options.shard):
        if planned.path.exists():
            for record in load_block(planned.path).items:
                tell(summary.add(record, before=True), summary, options, progress)
        else:
            missing.append(planned.path.name)
            total_bytes += sum(max(0, item.size) for item in planned.items)
    note = _Note(summary, options, progress)
    names = frozenset(missing)
    todo = (planned for planned in plan.blocks(options.shard) if planned.path.name in names)
    if options.scheduler is not None:
        _make_on_cluster(list(todo), ckpt, config, options, progress)
        for name in missing:
            for record in load_block(plan.path.parent / name).items:
                note(record)
        return
    progress.start("embed", plan.n_items, "files")
    try:
        make_blocks(todo, embedder, config, note, threads=options.worker_count, total_bytes=total_bytes)
    finally:
        progress.finish("embed")


class _Note:
    """Counts and tells of each input as it ends."""

    def __init__(self, summary: EmbedSummary, options: JobOptions, progress: Progress) -> None:
        self._summary, self._options, self._progress = summary, options, progress
        self._seconds, self._begun = 0.0, time.monotonic()

    def __call__(self, record: dict[str, Any]) -> None:
        summary = self._summary
        self._seconds += record["duration"]
        speed = f"{self._seconds / max(1e-6, time.monotonic() - self._begun):.1f}x real time"
        tell(summary.add(record, before=False), summary, self._options, self._progress)
        done = summary.ok + summary.skipped + summary.failed
        self._progress.update("embed", done, failed=summary.failed, speed=speed)


def make_blocks(
    todo: Iterable[PlannedBlock],
    embedder: Embedder,
    config: EmbedConfig,
    note: Callable[[dict[str, Any]], None],
    *,
    threads: int,
    total_bytes: int,
    base: str = "",
) -> None:
    """Make the features of the blocks and save each as soon as its last item is there.

    ``base``: the folder that relative paths are in; empty is the working folder.
    """
    open_blocks: dict[int, tuple[PlannedBlock, dict[int, Block]]] = {}
    home: dict[int, tuple[int, int]] = {}

    def items() -> Iterable[Item]:
        for number, planned in enumerate(todo):
            open_blocks[number] = (planned, {})
            for position, item in enumerate(planned.items):
                home[id(item)] = (number, position)
                yield item

    def done(item: Item, block: Block) -> None:
        number, position = home.pop(id(item))
        planned, parts = open_blocks[number]
        parts[position] = block
        note(block.items[0])
        if len(parts) == len(planned.items):
            save_block(planned.path, Block.joined([parts[i] for i in range(len(parts))]))
            del open_blocks[number]

    wanted = replace(wanted_of(embedder, config), base=base)
    pipeline = Pipeline(embedder, wanted, per_chunk=config.per_chunk, threads=threads, total_bytes=total_bytes)
    pipeline.run(items(), done)


def _make_on_cluster(
    todo: list[PlannedBlock], ckpt: Model, config: EmbedConfig, options: JobOptions, progress: Progress
) -> None:
    """A job per block. Raises UserError when a block was not made: its inputs have no outcome of their own then."""
    if not isinstance(ckpt, (str, os.PathLike)):
        raise UserError("--scheduler needs a checkpoint file or the word random, which the cluster's workers can open")
    if not todo:
        return
    name = os.fspath(ckpt)
    path = str(Path(name).absolute()) if os.path.exists(name) else name
    folder = todo[0].path.parent
    summary = run_jobs(
        partial(_make_one, ckpt=path, config=config, base=os.getcwd()),
        todo,
        key=_name,
        options=JobOptions(scheduler=options.scheduler),
        log=folder / "cluster.jsonl",
        progress=progress,
        task="embed",
        unit="blocks",
    )
    if summary.failures:
        raise UserError(
            f"{summary.failed} of {len(todo)} blocks could not be made ({summary.failures[0].reason}); run it again"
        )


def _name(planned: PlannedBlock) -> str:
    return planned.path.stem


def _make_one(planned: PlannedBlock, report: Report, *, ckpt: str, config: EmbedConfig, base: str) -> dict[str, Any]:
    """In a worker, whose working folder may be another one than ``base``, that of the command."""
    embedder = _embedder_of_worker(ckpt, config)
    here = PlannedBlock(Path(base) / planned.path, planned.items)
    total_bytes = sum(max(0, item.size) for item in planned.items)
    make_blocks([here], embedder, config, _ignore, threads=_WORKER_THREADS, total_bytes=total_bytes, base=base)
    return {"inputs": len(planned.items)}


@lru_cache(maxsize=1)
def _embedder_of_worker(ckpt: str, config: EmbedConfig) -> Embedder:
    return open_embedder(ckpt, config, say_nothing)


def _ignore(record: dict[str, Any]) -> None:
    """The records are in the block's file."""
