"""Options that mean the same in several subcommands, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dubcli.core.machine import PRECISION_HELP, PRECISION_METAVAR
from dubcli.embed.config import CHUNKS_HELP

CacheOption = Annotated[
    Path, typer.Option("--cache", envvar="DUBAV_CACHE", help="The clip cache's folder.", show_default=True)
]
AssumePrimaryOption = Annotated[
    bool, typer.Option("--assume-primary", help="Take a film's single untagged track for the primary language.")
]
IncludeExtrasOption = Annotated[
    bool,
    typer.Option(
        "--include-extras", help="Of folders take samples, trailers, extras, too (by the players' conventions)."
    ),
]
ExcludeOption = Annotated[
    Optional[list[str]],
    typer.Option("--exclude", metavar="GLOB", help="Of folders leave out such files and folders. May be given again."),
]
FilmOption = Annotated[
    Optional[list[str]], typer.Option("--film", metavar="WORD", help="Only films with it in the title; repeatable.")
]
SourcesOption = Annotated[
    Optional[list[Path]],
    typer.Option(
        "--sources",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Folder of the films, for players, if they moved; repeatable.",
    ),
]
WorkersOption = Annotated[
    Optional[int], typer.Option("--workers", help="Worker processes on this machine. [default: one per core]")
]
SchedulerOption = Annotated[
    Optional[str],
    typer.Option("--scheduler", metavar="ADDR", help="Run on the Dask cluster at this address (tcp://host:8786)."),
]
ShardOption = Annotated[
    Optional[str],
    typer.Option("--shard", metavar="I/N", help="Only every N-th input, beginning with the I-th (for job arrays)."),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first input that fails.")]
MaxFailuresOption = Annotated[
    Optional[int],
    typer.Option("--max-failures", metavar="N", help="Stop when more than N inputs have failed. [default: no limit]"),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; only errors and the result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
DeviceOption = Annotated[
    Optional[str],
    typer.Option("--device", help="cpu, cuda, cuda:1, ... [default: cuda where there is one]"),
]
SpeechEngineOption = Annotated[
    Optional[str],
    typer.Option(
        "--speech-engine",
        metavar="MODULE:NAME",
        help="Your own speech engine (Piper, Kokoro, ...) or one installed, asked before the default ones; see "
        "examples/.",
    ),
]
GpusOption = Annotated[
    Optional[int],
    typer.Option("--gpus", metavar="N", help="At most so many GPUs, a process on each; 0: the CPU. [default: all]"),
]
NodesOption = Annotated[
    Optional[int], typer.Option("--nnodes", help="Machines that do one training together. [default: 1]")
]
NodeRankOption = Annotated[
    Optional[int], typer.Option("--node-rank", help="This machine's number among them, from 0. [default: 0]")
]
RendezvousOption = Annotated[
    Optional[str], typer.Option("--rdzv-endpoint", metavar="HOST:PORT", help="Where the machines meet.")
]
ChunksOption = Annotated[str, typer.Option("--chunks", metavar="half|padded|whole", help=CHUNKS_HELP)]
PrecisionOption = Annotated[str, typer.Option("--precision", metavar=PRECISION_METAVAR, help=PRECISION_HELP)]
RandomPresetOption = Annotated[
    str, typer.Option("--preset", metavar="paper|small|tiny|micro", help="Of the model random.")
]
