"""``dubav ls``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubcli.cli import console
from dubcli.cli.options import JsonOption, QuietOption

if TYPE_CHECKING:
    from dubcli.ls import Listing

EPILOG = (
    "Examples:\n\n"
    "dubav ls movies/   (what prep would find)\n\n"
    "dubav ls cache   (what it made)\n\n"
    "dubav ls cache --check   (reads everything: sizes, offsets, every JPEG, no NaN; exit status 1 if not all is well)"
)


def ls(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE_OR_CACHE...", help="Video files, folders, manifests, or one cache.")
    ],
    check: Annotated[bool, typer.Option("--check", help="Verify a cache deeply.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> int:
    """Show what films or a clip cache hold: titles, languages, codecs, hours, and the table of language subsets."""
    from dubcli.errors import UserError
    from dubcli.ls.listing import is_cache, list_cache, list_sources

    progress = console.make_progress(quiet=quiet)
    if len(sources) == 1 and is_cache(sources[0]):
        listing = list_cache(sources[0], check=check, progress=progress)
    elif check:
        raise UserError(f"--check is for a clip cache; {sources[0]} is none")
    else:
        listing = list_sources(sources, progress=progress)
    if as_json:
        console.print_json(_as_dict(listing))
    else:
        _show(listing, check=check)
    no_films = [title for title in listing.titles if title.problem is not None]
    for title in no_films:
        console.warn(f"{title.title} is no film that can be prepared: {title.problem}")
    return 1 if listing.findings or no_films else 0


def _as_dict(listing: Listing) -> dict[str, object]:
    from dataclasses import asdict

    subsets = listing.subsets
    rows = [{**asdict(row), "hours": round(row.hours, 4)} for row in subsets.rows]
    titles = [{**asdict(title), "hours": title.hours} for title in listing.titles]
    return {"primary": listing.primary, "titles": titles, "subsets": rows, "subsets_complete": subsets.complete}


def _show(listing: Listing, *, check: bool) -> None:
    languages = list(dict.fromkeys(language for title in listing.titles for language in title.languages))
    rows = []
    for title in listing.titles:
        cells: dict[str, str] = {}
        for track in title.tracks:
            cell = f"{track.codec} {track.layout or track.channels}" + (f" ({track.note})" if track.note else "")
            cells[track.language] = "; ".join([*([cells[track.language]] if track.language in cells else []), cell])
        tracks = [cells.get(language, "-") for language in languages]
        rows.append((title.title, _clock(title.duration_seconds), title.video, *tracks, title.problem or title.note))
    console.print_table(None, ("title", "h:mm:ss", "video", *languages, "note"), rows)
    subsets = listing.subsets
    if len(subsets.rows) > 1:
        table = [(" + ".join(row.languages).upper(), row.titles, f"{row.hours:.2f}") for row in subsets.rows]
        console.print_table("titles and hours by languages", ("languages", "titles", "hours"), table)
        if subsets.note:
            print(subsets.note)
    for finding in listing.findings:
        print(finding)
    if check and not listing.findings:
        print(f"checked {len(listing.titles)} titles: all is well")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
