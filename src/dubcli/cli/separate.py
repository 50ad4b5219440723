"""``dubav separate``: parse, call ``dubcli.separate.separate``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dubcli.cli.arguments import asked
from dubcli.cli.options import (
    CacheOption,
    DeviceOption,
    GpusOption,
    JsonOption,
    MaxFailuresOption,
    QuietOption,
    SchedulerOption,
    ShardOption,
    StrictOption,
)
from dubcli.core.machine import PRECISION_METAVAR

EPILOG = (
    "Examples:\n\n"
    "dubav separate   (all films of ./cache)\n\n"
    "dubav separate --cache /data/cache --source-root /mnt/films --shard 3/16\n\n"
    "dubav separate film.mkv --out listen/\n\n"
    "dubav separate fluent/ --out fluent-nospeech/   (for dubav probe --data-variant nospeech)"
)


FilesArgument = Annotated[
    Optional[list[Path]],
    typer.Argument(
        metavar="[FILE...]",
        help="Sound or video files, or one folder (a data set). [default: the films of the cache]",
        show_default=False,
    ),
]
OutOption = Annotated[
    Optional[Path], typer.Option("--out", "-o", help="Folder for what is made of files.", show_default=False)
]
LangOption = Annotated[
    Optional[str],
    typer.Option(
        "--lang", metavar="LANG", help="Sound track. [default: of a film the primary, of a file the main one]"
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|MODULE:NAME",
        help="Model or bag, by demucs's name or signature, spleeter, audio-separator:FILE, or a separator of your own "
        "(docs/extending.md).",
    ),
]
ModelRepoOption = Annotated[
    Optional[Path],
    typer.Option(
        "--model-repo",
        metavar="DIR",
        help="Folder of .th or .safetensors and .yaml files instead of the hub.",
        show_default=False,
    ),
]
TrustModelsOption = Annotated[
    bool,
    typer.Option(
        "--trust-models",
        help="Load any Python object from --model-repo's .th files. They are pickles: this can run code.",
    ),
]
SpeechStemOption = Annotated[
    Optional[str],
    typer.Option(
        "--speech-stem",
        metavar="NAME",
        help="The model's stem that is speech. [default: vocals, else speech, dialog, dialogue]",
        show_default=False,
    ),
]
SourceRootOption = Annotated[
    Optional[Path],
    typer.Option(
        "--source-root",
        metavar="DIR",
        help="Where the films lie now, if they were moved since prep; found by path and name, checked by content.",
        show_default=False,
    ),
]
StemsOption = Annotated[
    Optional[str],
    typer.Option(
        "--stems",
        metavar="vocals,no_vocals",
        help="What is written of files. [default: both; of a folder no_vocals]",
    ),
]
FileFormatOption = Annotated[
    Optional[str],
    typer.Option("--format", metavar="flac|wav", help="24-bit FLAC or float WAV. [default: flac; a folder's own]"),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar=PRECISION_METAVAR,
        help="auto: as demucs, fp32 (on CUDA TF32 convolutions); half precisions report their error.",
    ),
]
BatchSizeOption = Annotated[
    Optional[int], typer.Option("--batch-size", help="Segments at a time. [default: 1 on the CPU, else 4]")
]
WorkersOption = Annotated[
    Optional[int], typer.Option("--workers", help="Processes on this machine. [default: one per GPU, or one]")
]


def separate(
    files: FilesArgument = None,
    cache: CacheOption = Path("cache"),
    out: OutOption = None,
    lang: LangOption = None,
    model: ModelOption = "mdx_extra_q",
    model_repo: ModelRepoOption = None,
    trust_models: TrustModelsOption = False,
    speech_stem: SpeechStemOption = None,
    source_root: SourceRootOption = None,
    stems: StemsOption = None,
    file_format: FileFormatOption = None,
    precision: PrecisionOption = "auto",
    batch_size: BatchSizeOption = None,
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
    """Remove the speech (Demucs) and write no-speech mels.

    Of a cache: every film's track, from the film's own file, is separated as a whole and its other stems are mixed
    back; mel.LANG-nospeech.npy appears beside the other mels, for the variant sep. Of files: FLAC or WAV to listen to,
    at the file's own rate and with its channels (more than two become stereo). Of a folder: the same tree, its sounds
    without vocals under their own names and formats, its other files copied. Memory does not grow with length. The
    same input gives the same bytes; what is done is skipped, and a killed run goes on where it was.
    """
    from dubcli.cli.console import make_progress, print_summary
    from dubcli.jobs.options import JobOptions, parse_shard
    from dubcli.separate import SeparateConfig
    from dubcli.separate import separate as run

    config = asked(
        SeparateConfig, locals(), files=tuple(files or ()), stems=None if stems is None else tuple(stems.split(","))
    )
    options = asked(JobOptions, locals(), shard=parse_shard(shard))
    summary = run(config, options, make_progress(quiet=quiet or json))
    extra = {"cache": str(cache)} if out is None else {"out": str(out)}
    log = (cache if out is None else out) / "separate.jsonl"
    print_summary(summary, what="without speech", log=log, as_json=json, quiet=quiet, extra=extra)
    return summary.exit_status
