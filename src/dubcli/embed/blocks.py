"""The work itself: blocks of inputs made in this process, in one per GPU, or as jobs of a Dask cluster."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.machine import choose_device, choose_devices
from dubcli.core.models import preset_sizes
from dubcli.core.outputs import Output
from dubcli.core.trained import TrainedModel
from dubcli.embed.chunks import Wanted
from dubcli.embed.config import EmbedConfig
from dubcli.embed.embedder import Embedder, output_of
from dubcli.embed.engine import say_nothing
from dubcli.embed.inputs import BlockPlan, MediaItem, PlannedBlock
from dubcli.embed.pipeline import Pipeline
from dubcli.embed.store import Block, load_block, save_block
from dubcli.embed.summary import EmbedSummary, tell_outcome
from dubcli.errors import UserError
from dubcli.jobs.call import Report
from dubcli.jobs.devices import Devices, claim, refuse_gpus, threads_for
from dubcli.jobs.local import run_in_processes
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import FAILED
from dubcli.jobs.progress import SILENT, Progress
from dubcli.jobs.runner import JobNames, run_jobs

_WORKER_THREADS = 2
"""Decoding threads of a cluster's worker."""

ModelSource = str | os.PathLike[str] | TrainedModel | Embedder


_BLOCKS_PER_PROCESS = 16
_BYTES_PER_PROCESS = 256 << 20
"""A process on one more GPU pays from so many blocks or bytes of input on: it takes some seconds to start."""


def devices_of(ckpt: ModelSource, config: EmbedConfig, options: JobOptions) -> list[torch.device]:
    """The devices of this machine to work on. An Embedder stays where it is unless ``config.gpus`` says otherwise.

    Raises UserError where they are not there.
    """
    if options.scheduler is not None:
        refuse_gpus(config.gpus)
        try:
            return [choose_device(config.device)]
        except UserError:  # the workers' machines may have it; this one only reads the checkpoint
            return [torch.device("cpu")]
    if isinstance(ckpt, Embedder) and config.gpus is None:
        return [ckpt.device]
    devices = choose_devices(config.device, config.gpus)
    trained = ckpt.trained if isinstance(ckpt, Embedder) else ckpt
    if isinstance(trained, TrainedModel) and any(spec.given for spec in trained.model.backbones.values()):
        return devices[:1]  # no other process could make this model again
    return devices


def open_embedder(ckpt: ModelSource, config: EmbedConfig, say: Callable[[str], None]) -> Embedder:
    """The Embedder of a checkpoint with the options of ``config``."""
    if isinstance(ckpt, Embedder):
        asked = output_of(ckpt.trained, config)
        if asked not in (Output(), ckpt.output):
            raise UserError("the Embedder makes other features than are asked for; give it layer, projected and lang "
                            "itself")  # fmt: skip
        return ckpt
    return Embedder(ckpt, config, say=say)


def wanted_of(embedder: Embedder, config: EmbedConfig) -> Wanted:
    """What decoding has to deliver for this checkpoint and these options."""
    modalities = tuple(name for name in config.modalities if name in embedder.modalities)
    if not modalities:
        why = f"no layer {embedder.output.layer} there" if embedder.output.layer else "it is an audio-only checkpoint"
        raise UserError(f"{embedder.trained.name} has no {' and no '.join(config.modalities)} features: {why}")
    return Wanted(
        modalities=modalities,
        sample_rate=embedder.sample_rate,
        sizes=preset_sizes(embedder.trained.preset),
        lang=config.lang,
        chunks=config.chunks,
        hop_seconds=config.hop_seconds,
        frame_rule=embedder.trained.frame_rule,
        kind=embedder.trained.variant.primary.kind,
    )


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run of ``embed`` is made with: the model as it was given and as it is open here, options, devices."""

    ckpt: ModelSource
    embedder: Embedder
    config: EmbedConfig
    options: JobOptions
    progress: Progress
    devices: Sequence[torch.device]


def make_missing(work: Work, plan: BlockPlan, summary: EmbedSummary) -> None:
    """Make the blocks of the plan (or of this shard) that are not there; count all inputs in ``summary``."""
    options, progress = work.options, work.progress
    missing = set()
    total_bytes = 0
    for planned in plan.blocks(options.shard):
        if planned.path.exists():
            for record in load_block(planned.path).items:
                tell_outcome(summary.add(record, before=True), summary, options, progress)
        else:
            missing.add(planned.path.name)
            total_bytes += sum(max(0, item.size) for item in planned.items)
    note = _Note(summary, options, progress)
    todo = _Todo(plan, options.shard, frozenset(missing), total_bytes)
    if options.scheduler is not None:
        _make_on_cluster(work, list(todo))
        _Collector(plan.path.parent, missing, note)()
        return
    worth = max(1, len(missing) // _BLOCKS_PER_PROCESS, total_bytes // _BYTES_PER_PROCESS)
    devices = work.devices[: min(worth, len(missing))]
    progress.start("embed", plan.n_items, "files")
    try:
        if len(devices) > 1:
            _make_in_processes(replace(work, devices=devices), todo, _Collector(plan.path.parent, missing, note))
        else:
            threads = options.worker_count
            make_blocks(todo, pipeline_of(work.embedder, work.config, threads, total_bytes), note)
    finally:
        progress.finish("embed")


@dataclass(frozen=True)
class _Todo:
    """The blocks of a plan that are to be made: those of ``names``.

    ``claims``: a folder in which several processes settle who makes which; each block is for who first asks for it.
    """

    plan: BlockPlan
    shard: tuple[int, int] | None
    names: frozenset[str]
    total_bytes: int
    claims: str = ""

    def __iter__(self) -> Iterator[PlannedBlock]:
        for planned in self.plan.blocks(self.shard):
            if planned.path.name in self.names and self._claim(planned.path.name):
                yield planned

    def _claim(self, name: str) -> bool:
        if not self.claims:
            return True
        try:
            os.close(os.open(Path(self.claims, name), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


class _Collector:
    """Notes the inputs of blocks that other processes have made, as the blocks appear."""

    def __init__(self, folder: Path, missing: set[str], note: Callable[[dict[str, Any]], None]) -> None:
        self.missing, self.note = missing, note
        self._folder = folder

    def __call__(self) -> bool:
        """Look once; False when all blocks are there. Raises UserError past the limit of failures."""
        for entry in list(os.scandir(self._folder)):
            if entry.name in self.missing:
                self.missing.remove(entry.name)
                for record in load_block(self._folder / entry.name).items:
                    self.note(record)
        return bool(self.missing)


class _Note:
    """Counts and tells of each input as it ends."""

    def __init__(self, summary: EmbedSummary, options: JobOptions, progress: Progress) -> None:
        self._summary, self._options, self._progress = summary, options, progress
        self._seconds, self._begun = 0.0, time.monotonic()

    def __call__(self, record: dict[str, Any]) -> None:
        summary = self._summary
        self._seconds += record["duration"]
        speed = f"{self._seconds / max(1e-6, time.monotonic() - self._begun):.1f}x real time"
        tell_outcome(summary.add(record, before=False), summary, self._options, self._progress)
        done = summary.ok + summary.skipped + summary.failed
        self._progress.update("embed", done, failed=summary.failed, speed=speed)


def pipeline_of(embedder: Embedder, config: EmbedConfig, threads: int, total_bytes: int, *, base: str = "") -> Pipeline:
    """What turns items into features; ``base``: the folder that relative paths are in, empty is the working folder."""
    wanted = replace(wanted_of(embedder, config), base=base)
    return Pipeline(embedder, wanted, pool=config.pool, threads=threads, total_bytes=total_bytes)


def make_blocks(todo: Iterable[PlannedBlock], pipeline: Pipeline, note: Callable[[dict[str, Any]], None]) -> None:
    """Make the features of the blocks and save each as soon as its last item is there."""
    open_blocks: dict[int, tuple[PlannedBlock, dict[int, Block]]] = {}
    home: dict[int, tuple[int, int]] = {}

    def items() -> Iterable[MediaItem]:
        for number, planned in enumerate(todo):
            open_blocks[number] = (planned, {})
            for position, item in enumerate(planned.items):
                home[id(item)] = (number, position)
                yield item

    def done(item: MediaItem, block: Block) -> None:
        number, position = home.pop(id(item))
        planned, parts = open_blocks[number]
        parts[position] = block
        note(block.items[0])
        if len(parts) == len(planned.items):
            save_block(planned.path, Block.joined([parts[i] for i in range(len(parts))]))
            del open_blocks[number]

    pipeline.run(items(), done)


def _make_in_processes(work: Work, todo: _Todo, collect: _Collector) -> None:
    """A process per device, each of which takes the next block that no other has taken.

    What a process was at when it died is made in a second round. Raises UserError when a block was not made even then.
    """
    with tempfile.TemporaryDirectory(prefix="dubav-embed-") as folder:
        model = _for_workers(work, Path(folder))
        names = tuple(map(str, work.devices))
        share = Devices(names=names, locks=folder, threads=threads_for(len(names)) if "cpu" in names else None)
        reasons: list[str] = []
        for turn in range(2):
            claims = Path(folder, f"claims-{turn}")
            claims.mkdir()
            mine = replace(todo, names=frozenset(collect.missing), claims=str(claims))
            threads = max(1, work.options.worker_count // len(names))
            function = partial(_make_claimed, todo=mine, model=model, devices=share, threads=threads)
            outcomes = run_in_processes(function, list(range(len(names))), str, len(names), SILENT, collect)
            reasons += [outcome.reason or "" for outcome in outcomes if outcome.status == FAILED]
            collect()
            if not collect.missing:
                return
    raise UserError(f"{len(collect.missing)} blocks could not be made ({', '.join(reasons[:1])}); run it again")


@dataclass(frozen=True)
class _WorkersModel:
    """What another process needs to open the same model: a checkpoint file or the word random, and its digest."""

    ckpt: str
    content_hash: str
    config: EmbedConfig


def _for_workers(work: Work, folder: Path) -> _WorkersModel:
    """``folder``: where a model that is in memory alone is written. Its precision is the one that is recorded."""
    ckpt, trained = work.ckpt, work.embedder.trained
    if isinstance(ckpt, (str, os.PathLike)):
        name = os.fspath(ckpt)
        path = str(Path(name).absolute()) if os.path.exists(name) else name
    else:
        path = str(folder / "model.pt")
        entries = model_entries(
            trained.model, mel_mean=trained.mel_mean, mel_std=trained.mel_std, config=trained.config
        )
        save_checkpoint(path, entries)
    config = replace(
        work.config,
        precision=str(work.embedder.precision).removeprefix("torch."),
        layer=work.embedder.output.layer,
        projected=work.embedder.output.projected,
    )
    return _WorkersModel(path, trained.content_hash, config)


def _make_claimed(
    number: int, report: Report, *, todo: _Todo, model: _WorkersModel, devices: Devices, threads: int
) -> dict[str, Any]:
    """One of several processes on this machine."""
    embedder = _embedder_of_worker(model, claim(devices))
    share = todo.total_bytes // len(devices.names)
    make_blocks(todo, pipeline_of(embedder, model.config, threads, share), _ignore)
    return {}


def _make_on_cluster(work: Work, todo: list[PlannedBlock]) -> None:
    """A job per block. Raises UserError when a block was not made: its inputs have no outcome of their own then."""
    if not isinstance(work.ckpt, (str, os.PathLike)):
        raise UserError("--scheduler needs a checkpoint file or the word random, which the cluster's workers can open")
    if not todo:
        return
    folder = todo[0].path.parent
    model = _for_workers(work, folder)
    summary = run_jobs(
        partial(_make_one, model=model, devices=Devices(asked=work.config.device), base=os.getcwd()),
        todo,
        JobNames(task="embed", unit="blocks", key=_name),
        options=JobOptions(scheduler=work.options.scheduler),
        log=folder / "cluster.jsonl",
        progress=work.progress,
    )
    if summary.failures:
        raise UserError(
            f"{summary.failed} of {len(todo)} blocks could not be made ({summary.failures[0].reason}); run it again"
        )


def _name(planned: PlannedBlock) -> str:
    return planned.path.stem


def _make_one(
    planned: PlannedBlock, report: Report, *, model: _WorkersModel, devices: Devices, base: str
) -> dict[str, Any]:
    """In a worker, whose working folder may be another one than ``base``, that of the command."""
    embedder = _embedder_of_worker(model, claim(devices))
    here = PlannedBlock(Path(base) / planned.path, planned.items)
    total_bytes = sum(max(0, item.size) for item in planned.items)
    make_blocks([here], pipeline_of(embedder, model.config, _WORKER_THREADS, total_bytes, base=base), _ignore)
    return {"inputs": len(planned.items)}


@lru_cache(maxsize=1)
def _embedder_of_worker(model: _WorkersModel, device: str) -> Embedder:
    embedder = open_embedder(model.ckpt, replace(model.config, device=device, gpus=None), say_nothing)
    if embedder.trained.content_hash != model.content_hash:
        raise UserError(f"{model.ckpt} is another file now than when the command began; run it again")
    return embedder


def _ignore(record: dict[str, Any]) -> None:
    """The records are in the block's file."""
