"""``embed``: inputs -> a folder of features, block by block, resumable."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from dubcli import __version__
from dubcli.cache.layout import is_cache
from dubcli.core.atomic import read_json, remove_leftovers, require_free, write_json
from dubcli.core.same import require_same
from dubcli.embed.blocks import ModelSource, Work, devices_of, make_missing, open_embedder, wanted_of
from dubcli.embed.chunks import CHUNK_SECONDS, HALF
from dubcli.embed.config import EmbedConfig
from dubcli.embed.embedder import Embedder
from dubcli.embed.inputs import BlockPlan, Ignored, MediaItem, check_inputs, file_item, list_items, write_plan
from dubcli.embed.store import Features, load_features, open_work_folder, read_embed_table, write_features
from dubcli.embed.summary import EmbedSummary, tell_outcome, tell_repeated
from dubcli.errors import UserError
from dubcli.jobs.call import NO_ROOM, no_room
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import SILENT, Progress

FORMAT = 1
_BEFORE_CHOICES = {"chunks": HALF, "hop_seconds": 3.0, "pool": "mean", "layer": "", "projected": False}
DONE_FILE = "embed.json"


def embed(
    inputs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    ckpt: ModelSource,
    out: str | os.PathLike[str],
    config: EmbedConfig | None = None,
    options: JobOptions = JobOptions(),
    progress: Progress = SILENT,
) -> EmbedSummary:
    """Write the features of ``inputs`` into the folder ``out`` (paper section 3.5).

    ``audio.npy`` and ``video.npy`` (float32, row i belongs to row i of ``items.csv``, or of ``chunks.csv`` with
    ``per_chunk`` and for a clip cache), ``items.csv`` and ``embed.json``. A killed run goes on where it was.

    Args:
        inputs: files, folders (searched recursively), ``.csv`` and ``.txt`` lists, clip caches.
        ckpt: a checkpoint file, ``"random"``, a TrainedModel or an Embedder.
        out: the folder.
        config: modalities, device, precision, format.
        options: ``workers`` is the number of decoding threads (of all GPUs' processes), ``shard`` takes every n-th
            block of at most 64 inputs; with ``scheduler`` each block is one job of the cluster, whose workers load the
            checkpoint themselves.
        progress: takes bars and lines.

    Returns:
        What was read and left out.

    Raises:
        UserError: inputs that are not there, a folder that holds features of another checkpoint, failures past
            ``options``.

    >>> from dubcli.embed import embed, load_features
    >>> summary = embed("sounds", "runs/es", "features")
    >>> load_features("features").audio.shape
    (20, 1024)
    """
    given = [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs
    check_inputs(given)  # before the checkpoint is loaded, which takes longer
    config = config or EmbedConfig()
    if any(is_cache(Path(path)) for path in given):
        if config.hop_seconds != CHUNK_SECONDS:
            raise UserError("--hop-seconds is for files; a cache holds clips of 3 seconds")
        config = replace(config, per_chunk=True)  # whoever embeds a cache wants its clips
    return _embed_items(list_items(given), ckpt, Path(out), config, options, progress)


def embed_files(
    paths: Sequence[str | os.PathLike[str]],
    ckpt: ModelSource,
    config: EmbedConfig = EmbedConfig(modalities=("audio",)),
    *,
    out: str | os.PathLike[str] | None = None,
    options: JobOptions = JobOptions(),
    progress: Progress = SILENT,
) -> Features:
    """Features of a list of sound and video files, in its order; a file that fails has a row of zeros and its reason.

    Args:
        paths: the files.
        ckpt: as of ``embed``.
        config: as of ``embed``; by default of the sound alone.
        out: a folder that keeps them; there they are made once, resumed after a kill, and made again when a file has
            changed. Without it they are made in a temporary folder and returned as arrays.
        options: as of ``embed``.
        progress: as of ``embed``.

    Returns:
        Features with one row for each file.

    Raises:
        UserError: as ``embed``.

    >>> from dubcli.embed import embed_files
    >>> embed_files(["sounds/low/0.wav", "sounds/high/0.wav"], "runs/es").audio.shape
    (2, 1024)
    """
    items = [file_item(os.fspath(path)) for path in paths]
    if out is not None:
        _embed_items(items, ckpt, Path(out), config, options, progress)
        return load_features(out)
    with tempfile.TemporaryDirectory(prefix="dubav-embed-") as folder:
        _embed_items(items, ckpt, Path(folder), config, options, progress)
        features = load_features(folder)
        return features.in_memory()


def _embed_items(
    items: Iterable[MediaItem | Ignored],
    ckpt: ModelSource,
    out: Path,
    config: EmbedConfig,
    options: JobOptions,
    progress: Progress,
) -> EmbedSummary:
    begun, summary = time.monotonic(), EmbedSummary()
    devices = devices_of(ckpt, config, options)
    embedder = open_embedder(ckpt, replace(config, device=str(devices[0])), progress.message)
    work = Work(ckpt=ckpt, embedder=embedder, config=config, options=options, progress=progress, devices=devices)
    identity = _identity(embedder, config)
    _refuse_other(out, identity)
    try:
        folder = open_work_folder(out)
        remove_leftovers(folder)
        remove_leftovers(out)
        plan = write_plan(folder, items, json.dumps(identity, sort_keys=True))
        if not plan.n_items:
            shutil.rmtree(folder)
            raise UserError("no sound and no video among the inputs; give files, a folder with some, a list or a cache")
        if _is_complete(out, plan):
            for record in read_embed_table(out / "items.csv"):
                tell_outcome(summary.add(record, before=True), summary, options, progress)
            shutil.rmtree(folder, ignore_errors=True)
        else:
            make_missing(work, plan, summary)
            _finish(work, plan, out, identity)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise no_room(out, error) from None
    tell_repeated(summary, progress)
    summary.elapsed_seconds = time.monotonic() - begun
    return summary


def _identity(embedder: Embedder, config: EmbedConfig) -> dict[str, Any]:
    """What the features depend on, beside the inputs."""
    identity = {
        "format": FORMAT,
        **embedder.identity(),
        "modalities": list(wanted_of(embedder, config).modalities),
        "per_chunk": config.per_chunk,
        "format_of_arrays": config.format,
        "lang": config.lang,
    }
    # not where it is the default: what was begun before there was a choice goes on
    chosen = {"chunks": config.chunks, "hop_seconds": config.hop_seconds}
    chosen |= {"pool": config.pool} if config.pool == "max" else {}
    return identity | {name: value for name, value in chosen.items() if value != _BEFORE_CHOICES[name]}


def _refuse_other(out: Path, identity: dict[str, Any]) -> None:
    require_free(out, ours=True)  # a folder may hold what it likes beside
    if not (out / DONE_FILE).exists():
        return
    there = read_json(out / DONE_FILE).get("identity", {})
    rule = {**_BEFORE_CHOICES, "resampler": "an earlier version's"}
    require_same(
        {**rule, **there}, {**rule, **identity}, f"{out} holds features with", "choose another --out or delete it"
    )


def _is_complete(out: Path, plan: BlockPlan) -> bool:
    return (out / DONE_FILE).exists() and read_json(out / DONE_FILE).get("key") == plan.key


def _finish(work: Work, plan: BlockPlan, out: Path, identity: dict[str, Any]) -> None:
    """Join the blocks when all are there; of several shards the last one does it."""
    folder, config, progress = plan.path.parent, work.config, work.progress
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_complete(out, plan):
            return
        blocks = [planned.path for planned in plan.blocks()]
        missing = sum(not path.exists() for path in blocks)
        if missing:
            progress.message(f"{missing} of {plan.n_blocks} blocks are for other shards; the last shard joins them")
            return
        (out / DONE_FILE).unlink(missing_ok=True)
        counts = write_features(out, blocks, per_chunk=config.per_chunk, file_format=config.format)
        ignored = out / "ignored.csv"
        if plan.n_ignored:
            os.replace(folder / "ignored.csv", ignored)
            progress.message(f"{plan.n_ignored} files are no sounds or videos by their names; {ignored} lists them")
        else:
            ignored.unlink(missing_ok=True)
        description = _describe(work.embedder, config, counts)
        write_json(out / DONE_FILE, {"key": plan.key, **description, "identity": identity})
        shutil.rmtree(folder, ignore_errors=True)


def _describe(embedder: Embedder, config: EmbedConfig, counts: dict[str, int]) -> dict[str, Any]:
    trained = embedder.trained
    return {
        "model": {
            "name": trained.name,
            "content_hash": trained.content_hash,
            "variant": trained.variant.to_dict(),
            "preset": trained.preset,
            "sample_rate": trained.sample_rate,
            "mel_mean": trained.mel_mean,
            "mel_std": trained.mel_std,
        },
        "config": asdict(config),
        "arrays": [name for name in ("audio", "video") if counts[f"{name}_chunks"]],
        "rows_of": "chunks.csv" if config.per_chunk else "items.csv",
        "counts": counts,
        "device": str(embedder.device),
        "versions": {"dubcli": __version__, "torch": torch.__version__, "python": platform.python_version()},
    }
