"""``dubav ls``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dubcli.cli import console
from dubcli.cli.options import AssumePrimaryOption, ExcludeOption, IncludeExtrasOption, JsonOption, QuietOption

if TYPE_CHECKING:
    from dubcli.ls import Listing, TrackRow

EPILOG = (
    "Examples:\n\n"
    "dubav ls movies/   (what prep would find)\n\n"
    "dubav ls film.mkv --lang en,pt-BR   (each track: what prep would take, and why not the others)\n\n"
    "dubav ls movies/ --lang en,es --manifest films.csv   (the same to edit; dubav prep films.csv --lang en,es)\n\n"
    "dubav ls cache   (what it made)\n\n"
    "dubav ls cache --check   (reads everything: sizes, offsets, every JPEG, no NaN; exit status 1 if not all is well)"
)
_FEW_TITLES = 3  # whose tracks are shown unasked
_FEW_LANGUAGES = 6  # that have columns of their own


SourcesArgument = Annotated[
    list[Path], typer.Argument(metavar="SOURCE_OR_CACHE...", help="Video files, folders, manifests, or one cache.")
]
LangOption = Annotated[
    Optional[str],
    typer.Option("--lang", help="As prep has it: whose tracks are looked for. [default: all there are]"),
]
TracksOption = Annotated[
    Optional[bool],
    typer.Option("--tracks/--no-tracks", help="Every track, what prep would take, and why. [default: of few titles]"),
]
ManifestOption = Annotated[
    Optional[Path],
    typer.Option("--manifest", metavar="FILE.csv", help="Write what prep would take, to be edited; prep reads it."),
]
CheckOption = Annotated[bool, typer.Option("--check", help="Verify a cache deeply.")]


def ls(
    sources: SourcesArgument,
    lang: LangOption = None,
    tracks: TracksOption = None,
    manifest: ManifestOption = None,
    assume_primary: AssumePrimaryOption = False,
    include_extras: IncludeExtrasOption = False,
    exclude: ExcludeOption = None,
    check: CheckOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> int:
    """Show what films or a clip cache hold: titles, languages, codecs, hours, and the table of language subsets."""
    from dubcli.cache.layout import is_cache
    from dubcli.errors import UserError
    from dubcli.ls.listing import list_cache, list_sources
    from dubcli.media.library import Looking

    progress = console.make_progress(quiet=quiet)
    if len(sources) == 1 and is_cache(sources[0]):
        if manifest is not None or lang is not None or assume_primary:
            raise UserError(f"--lang, --manifest and --assume-primary are for films; {sources[0]} is a clip cache")
        listing = list_cache(sources[0], check=check, progress=progress)
    elif check:
        raise UserError(f"--check is for a clip cache; {sources[0]} is none")
    else:
        listing = list_sources(
            sources,
            lang.split(",") if lang is not None else (),
            Looking(include_extras=include_extras, exclude=tuple(exclude or ())),
            assume_primary=assume_primary,
            manifest=manifest,
            progress=progress,
        )
    if as_json:
        console.print_json(_as_dict(listing))
    else:
        _show(listing)
        if tracks or (tracks is None and len(listing.titles) <= _FEW_TITLES):
            _show_tracks(listing)
        _show_subsets(listing)
        _show_check(listing, check=check)
        if manifest is not None:
            print(
                f"{manifest}: {len(listing.titles)} films; edit it, then dubav prep {manifest}"
                + (f" --lang {lang}" if lang else "")
            )
    no_films = [title for title in listing.titles if title.problem is not None]
    if not as_json:
        for note in listing.notes:
            print(note)
    for title in no_films:
        console.warn(f"{title.title} is no film that can be prepared: {title.problem}")
    return 1 if listing.findings or no_films else 0


def _as_dict(listing: Listing) -> dict[str, object]:
    from dataclasses import asdict

    subsets = listing.subsets
    rows = [{**asdict(row), "hours": round(row.hours, 4)} for row in subsets.rows]
    titles = [{**asdict(title), "hours": title.hours} for title in listing.titles]
    notes = {"notes": list(listing.notes)} if listing.notes else {}
    return {
        "primary": listing.primary,
        **notes,
        "titles": titles,
        "subsets": rows,
        "subsets_complete": subsets.complete,
    }


def _show(listing: Listing) -> None:
    """A row for each title; a column for each language where those are few."""
    languages = sorted({tag for title in listing.titles for tag in title.languages}, key=_primary_first(listing))
    columns = languages if len(languages) <= _FEW_LANGUAGES else ["languages"]
    rows = []
    for title in listing.titles:
        cells = {tag: _cell(track) for track in title.tracks for tag in track.taken_for}
        own = sorted(title.languages, key=_primary_first(listing))
        tracks = [cells.get(tag, "-") for tag in languages] if columns is languages else [" ".join(own) or "-"]
        rows.append((title.title, _clock(title.duration_seconds), title.video, *tracks, title.problem or title.note))
    console.print_table(None, ("title", "h:mm:ss", "video", *columns, "note"), rows)


def _primary_first(listing: Listing) -> Callable[[str], tuple[bool, str]]:
    return lambda tag: (tag != listing.primary, tag)


def _cell(track: TrackRow) -> str:
    return f"{track.codec} {track.layout or track.channels}" + (f" ({track.note})" if track.note else "")


def _show_tracks(listing: Listing) -> None:
    rows = []
    for title in listing.titles:
        for number, track in enumerate(title.tracks):
            said = (track.tag, track.title, " ".join(track.flags), f"{track.codec} {track.layout or track.channels}")
            index = f"{track.file}:{track.index}" if track.file else track.index
            name = title.title if number == 0 else ""
            rows.append((name, index, *said, " ".join(track.taken_for) or "-", track.why))
    if rows:
        columns = ("title", "track", "tag", "named", "flags", "sound", "taken for", "why")
        console.print_table("tracks, and what prep takes", columns, rows)


def _show_subsets(listing: Listing) -> None:
    subsets = listing.subsets
    if len(subsets.rows) > 1:
        table = [(" + ".join(row.languages).upper(), row.titles, f"{row.hours:.2f}") for row in subsets.rows]
        console.print_table("titles and hours by languages", ("languages", "titles", "hours"), table)
        if subsets.note:
            print(subsets.note)


def _show_check(listing: Listing, *, check: bool) -> None:
    for finding in listing.findings:
        print(finding)
    if check and not listing.findings:
        print(f"checked {len(listing.titles)} titles: all is well")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
