"""``dubav report``: parse, call ``dubcli.report``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dubcli.cli.options import DeviceOption, JsonOption, QuietOption, SourcesOption

EPILOG = (
    "Examples:\n\n"
    "dubav report results/ runs/ --out report/\n\n"
    "dubav report results/ --paper --outside --out report/   (the paper's numbers beside)\n\n"
    "dubav report results/ runs/efj cache/ --sources movies/ --out report/   (and a retrieval gallery)"
)


PathsArgument = Annotated[
    list[Path],
    typer.Argument(metavar="PATH...", help="Results files, run folders, clip caches, or folders that hold them."),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder for the page, tables and plots.")]
PaperOption = Annotated[bool, typer.Option("--paper", help="The paper's values beside ours.")]
OutsideOption = Annotated[
    bool, typer.Option("--outside", help="Also the paper's tables A1 to A3 of other people's results.")
]
GalleryOption = Annotated[
    int, typer.Option("--gallery", help="Queries of the retrieval gallery; needs a run and a cache. 0: none.")
]
GalleryClipsOption = Annotated[
    int, typer.Option("--gallery-clips", help="At most so many clips of each cache are searched.")
]
AgainstOption = Annotated[
    Optional[str],
    typer.Option(
        "--against",
        metavar="COLUMN",
        help="The column that each row's highest is held against, class by class. [default: mono, where there is one]",
    ),
]
TitleOption = Annotated[str, typer.Option("--title", help="Of the page.")]


def report(
    paths: PathsArgument,
    out: OutOption = Path("report"),
    paper: PaperOption = False,
    outside: OutsideOption = False,
    gallery: GalleryOption = 6,
    gallery_clips: GalleryClipsOption = 60,
    sources: SourcesOption = None,
    title: TitleOption = "dubav report",
    against: AgainstOption = None,
    device: DeviceOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Make tables, plots and one HTML page from runs and results.

    Writes OUT/index.html (one file, no network), report.md, a CSV per table and a PNG per plot: the paper's tables 1
    and 2 with intervals, chance and what paired tests tell apart, D6, differences by class, curves over training,
    scores by epoch, confusion matrices; from a clip cache the language subsets (B4) and durations (B1), and with runs a
    gallery of what each model finds nearest to what.
    """
    from dubcli.cli.console import make_progress, print_json, warn
    from dubcli.report import ReportConfig
    from dubcli.report import report as make_report

    config = ReportConfig(
        paper=paper,
        outside=outside,
        gallery=gallery,
        gallery_clips=gallery_clips,
        sources=tuple(sources or ()),
        title=title,
        against=against,
        device=device,
    )
    summary = make_report(paths, out, config, make_progress(quiet=quiet or json))
    for reason in summary.ignored:
        warn(f"left out: {reason}")
    for note in summary.notes:
        warn(note)
    if json:
        print_json(
            {
                "page": summary.page,
                "tables": summary.tables,
                "plots": summary.plots,
                "results": summary.results,
                "runs": summary.runs,
                "caches": summary.caches,
                "ignored": summary.ignored,
                "notes": summary.notes,
            }
        )
    else:
        print(
            f"{summary.page}: {len(summary.tables)} tables, {len(summary.plots)} plots from {summary.results} results, "
            f"{summary.runs} runs, {summary.caches} caches"
        )
