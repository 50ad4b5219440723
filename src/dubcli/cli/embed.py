"""``dubav embed``: parse, call ``dubcli.embed.embed``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dubcli.cli.arguments import asked
from dubcli.cli.options import (
    ChunksOption,
    DeviceOption,
    GpusOption,
    JsonOption,
    MaxFailuresOption,
    PrecisionOption,
    QuietOption,
    RandomPresetOption,
    SchedulerOption,
    ShardOption,
    StrictOption,
)
from dubcli.embed.config import HOP_HELP, LAYER_HELP, POOL_HELP, POOLS, PROJECTED_HELP

EPILOG = (
    "Examples:\n\n"
    "dubav embed sounds/ runs/efj/ckpt.pt --out features\n\n"
    "dubav embed a.wav film.mkv random --out features --per-chunk\n\n"
    "dubav embed list.csv ckpt.pt --out features --format parquet\n\n"
    "dubav embed cache ckpt.pt --out features   (of a clip cache's clips)"
)


InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT... CKPT",
        help="Sound and video files, folders, .csv (column path) and .txt lists (their paths begin at the list's "
        "folder), or a clip cache; last the checkpoint, or the word random.",
        show_default=False,
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder for the features.", show_default=False)]
PerChunkOption = Annotated[
    bool,
    typer.Option(
        "--per-chunk", help="A row for each 3-second chunk (chunks.csv has their times); always so for a cache."
    ),
]
PoolOption = Annotated[str, typer.Option("--pool", metavar="|".join(POOLS), help=POOL_HELP)]
HopOption = Annotated[float, typer.Option("--hop-seconds", help=HOP_HELP)]
LayerOption = Annotated[str, typer.Option("--layer", metavar="NAME", help=LAYER_HELP, show_default=False)]
ProjectedOption = Annotated[bool, typer.Option("--projected", help=PROJECTED_HELP)]
ModalityOption = Annotated[
    Optional[str], typer.Option("--modality", metavar="audio|video|both", help="Only these features. [default: both]")
]
FileFormatOption = Annotated[str, typer.Option("--format", metavar="npy|parquet|npz", help="How they are stored.")]
LangOption = Annotated[
    Optional[str],
    typer.Option(
        "--lang", metavar="LANG", help="Sound track of films. [default: the main one; of a cache the primary]"
    ),
]
CompileOption = Annotated[
    Optional[bool],
    typer.Option(
        "--compile/--no-compile", help="Compile the backbones first. [default: where the work left pays for it]"
    ),
]
BatchSizeOption = Annotated[
    Optional[int],
    typer.Option("--batch-size", help="Chunks at a time. [default: 32 clips, 128 sounds; on the CPU 4 and 8]"),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the model random.")]
WorkersOption = Annotated[
    Optional[int], typer.Option("--workers", help="Decoding threads on this machine. [default: one per core]")
]


def embed(
    inputs: InputsArgument,
    out: OutOption,
    per_chunk: PerChunkOption = False,
    chunks: ChunksOption = "half",
    pool: PoolOption = "mean",
    hop_seconds: HopOption = 3.0,
    layer: LayerOption = "",
    projected: ProjectedOption = False,
    modality: ModalityOption = None,
    file_format: FileFormatOption = "npy",
    lang: LangOption = None,
    compile: CompileOption = None,
    precision: PrecisionOption = "auto",
    batch_size: BatchSizeOption = None,
    seed: SeedOption = 0,
    preset: RandomPresetOption = "paper",
    device: DeviceOption = None,
    gpus: GpusOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    shard: ShardOption = None,
    strict: StrictOption = False,
    max_failures: MaxFailuresOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Write frozen features of sounds, videos or a clip cache.

    The backbone's numbers (1024 of the paper's) per 3-second chunk, averaged per file, go into audio.npy and
    video.npy; row i belongs to row i of items.csv, which also says what could not be used and why. Files shorter than
    a chunk are padded with silence, whose seconds stand there too; of a longer file the last partial chunk counts when
    at least half of it is there. A killed run goes on where it was. Each GPU has a process of its own where the work
    pays for it, else the model runs in this one; with --shard I/N each of N commands takes every N-th block of up to 64
    inputs and the last one joins them; with --scheduler the cluster's workers run the model.
    """
    from dubcli.cli.console import make_progress, print_summary
    from dubcli.embed.config import EmbedConfig
    from dubcli.errors import UserError
    from dubcli.jobs.options import JobOptions, parse_shard

    if len(inputs) < 2:
        raise UserError("give at least one INPUT and, last, CKPT (a checkpoint file or the word random)")
    config = asked(
        EmbedConfig,
        locals(),
        modalities=("audio", "video") if modality in (None, "both") else tuple(modality.split(",")),
        format=file_format,
    )
    options = asked(JobOptions, locals(), shard=parse_shard(shard))
    from dubcli.embed import embed as run  # now that the arguments are right: it loads torch

    summary = run(inputs[:-1], inputs[-1], out, config, options, make_progress(quiet=quiet or json))
    extra = {"out": str(out)}
    print_summary(summary, what="features", log=out / "items.csv", as_json=json, quiet=quiet, extra=extra)
    return summary.exit_status
