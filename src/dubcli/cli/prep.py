"""``dubav prep``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubcli.cli import console
from dubcli.cli.arguments import asked
from dubcli.cli.options import (
    AssumePrimaryOption,
    CacheOption,
    ExcludeOption,
    IncludeExtrasOption,
    JsonOption,
    MaxFailuresOption,
    QuietOption,
    SchedulerOption,
    ShardOption,
    StrictOption,
    WorkersOption,
)

EPILOG = (
    "Examples:\n\n"
    "dubav prep movies/ --lang en,es,fr,ja\n\n"
    "dubav prep movies/ --lang en,de --cache /data/cache   (adds German to a cache that has the films)\n\n"
    "dubav prep films.csv --lang en,es --shard 3/16   (one task of a job array)\n\n"
    "Exit status: 0 done, 1 some films failed (the reasons are in prep.jsonl), 2 nothing could be done."
)


SourcesArgument = Annotated[
    list[Path], typer.Argument(metavar="SOURCE...", help="Video files, folders, .csv manifests.")
]
LangOption = Annotated[
    str, typer.Option("--lang", help="Languages by ISO 639 code, the primary first.", show_default=True)
]
MatchLevelOption = Annotated[
    bool, typer.Option("--match-level", help="Bring every dub to the primary track's loudness.")
]
SyncCheckOption = Annotated[
    bool, typer.Option("--sync-check/--no-sync-check", help="Compare every dub's timing with the primary track.")
]
MaxLagMsOption = Annotated[
    float, typer.Option("--max-lag-ms", help="Leave out dubs that are off by more than this anywhere.")
]
FixLagOption = Annotated[bool, typer.Option("--fix-lag", help="Correct such dubs instead of leaving them out.")]
KeepSameOption = Annotated[
    bool, typer.Option("--keep-same", help="Keep dubs that are silent, or the primary track once more.")
]
UnknownOption = Annotated[
    str,
    typer.Option(
        "--unknown", metavar="keep|leave-out", help="Dubs that share too little with the primary track to tell."
    ),
]
FrameRuleOption = Annotated[
    str,
    typer.Option(
        "--frame-rule",
        metavar="centres|ends",
        help="Which 16 frames of a clip: on screen at the centres of 16 equal parts, or evenly from its first to "
        "its last (pytorchvideo's).",
    ),
]
ShortSideOption = Annotated[
    int, typer.Option("--short-side", help="Pixels of the short side of the pictures that are kept.")
]
FramesOption = Annotated[
    str,
    typer.Option(
        "--frames",
        metavar="exact|slot",
        help="The frame on screen at the centre of each sixteenth of a clip, or any within it, whichever costs least.",
    ),
]
DecoderOption = Annotated[
    str,
    typer.Option(
        "--decoder",
        help="Of pictures: auto (an NVIDIA GPU where it gives the CPU's pictures and sooner), cpu or cuda.",
    ),
]


def prep(
    sources: SourcesArgument,
    lang: LangOption = "en,es,fr,ja",
    cache: CacheOption = Path("cache"),
    assume_primary: AssumePrimaryOption = False,
    include_extras: IncludeExtrasOption = False,
    exclude: ExcludeOption = None,
    match_level: MatchLevelOption = False,
    sync_check: SyncCheckOption = True,
    max_lag_ms: MaxLagMsOption = 80.0,
    fix_lag: FixLagOption = False,
    keep_same: KeepSameOption = False,
    unknown: UnknownOption = "keep",
    frame_rule: FrameRuleOption = "centres",
    short_side: ShortSideOption = 180,
    frames: FramesOption = "exact",
    decoder: DecoderOption = "auto",
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    shard: ShardOption = None,
    strict: StrictOption = False,
    max_failures: MaxFailuresOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> int:
    """Turn films with several sound tracks into a clip cache.

    Every film becomes 3-second clips: 16 frames as JPEG and, for each language, the log-mel of its track. What is
    there is not made again; a run that was killed goes on where it was.
    """
    from dubcli.jobs.options import JobOptions, parse_shard
    from dubcli.prep import PrepConfig, prepare
    from dubcli.prep.stage import left_out_counts

    config = asked(PrepConfig, locals(), languages=tuple(lang.split(",")), exclude=tuple(exclude or ()))
    options = asked(JobOptions, locals(), shard=parse_shard(shard))
    summary = prepare(sources, config, options, console.make_progress(quiet=quiet))
    seconds = sum(outcome.details.get("seconds", 0.0) for outcome in summary.outcomes)
    extra: dict[str, object] = {}
    if seconds:
        extra["speed"] = f"{seconds / max(summary.elapsed_seconds, 1e-3):.1f}x real time"
    if left_out := left_out_counts(summary):
        extra["left out"] = left_out if as_json else ", ".join(f"{count} {why}" for why, count in left_out.items())
    console.print_summary(
        summary,
        what=f"prep -> {cache}",
        log=cache / "prep.jsonl",
        as_json=as_json,
        quiet=quiet,
        extra=extra,
    )
    return summary.exit_status
