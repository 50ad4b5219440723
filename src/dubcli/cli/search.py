"""``dubav search``: parse, call ``dubcli.search``, render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dubcli.cli.options import DeviceOption, FilmOption, JsonOption, QuietOption, SourcesOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dubcli.search import Hit, SearchConfig
    from dubcli.search.query import Query

EPILOG = (
    "Examples:\n\n"
    "dubav search index --build cache --model runs/efj   (once)\n\n"
    "dubav search index rain.wav   (which clips sound like this?)\n\n"
    "dubav search index 'bunny@0:12'   (which sounds go with what is seen there?)\n\n"
    "dubav search index photo.jpg --find picture --play-page found.html"
)


IndexArgument = Annotated[Path, typer.Argument(metavar="INDEX", help="Folder of the index.")]
QueryArgument = Annotated[
    Optional[str],
    typer.Argument(metavar="QUERY", help="A sound, picture or video file, or FILM@H:MM:SS, a clip of the index."),
]
BuildOption = Annotated[
    Optional[Path], typer.Option("--build", metavar="SOURCE", help="Make the index of a cache, files or a folder.")
]
ModelOption = Annotated[
    Optional[Path], typer.Option("--model", metavar="CKPT", help="With --build; later where it has moved.")
]
FindOption = Annotated[str, typer.Option("--find", metavar="sound|picture", help="What is sought.")]
ByOption = Annotated[
    Optional[str],
    typer.Option(
        "--by",
        metavar="sound|picture",
        help="Which side of the query asks. [default: its picture; with --track its sound]",
    ),
]
TrackOption = Annotated[
    Optional[str], typer.Option("--track", metavar="LANG", help="Of a query by sound. [default: the primary one]")
]
AmongOption = Annotated[
    Optional[str], typer.Option("--among", metavar="LANG,LANG", help="Only sounds of these tracks. [default: all]")
]
OtherFilmsOption = Annotated[bool, typer.Option("--other-films", help="Leave out the query's own film.")]
TopOption = Annotated[int, typer.Option("--top", "-n", help="So many are shown.")]
PlayPageOption = Annotated[
    Optional[Path], typer.Option("--play-page", metavar="FILE.html", help="A page with pictures and players.")
]
LangOption = Annotated[
    Optional[str], typer.Option("--lang", help="With --build: the track of films that are no cache.")
]


def search(
    index: IndexArgument,
    query: QueryArgument = None,
    build: BuildOption = None,
    model: ModelOption = None,
    find: FindOption = "sound",
    by: ByOption = None,
    track: TrackOption = None,
    among: AmongOption = None,
    film: FilmOption = None,
    other_films: OtherFilmsOption = False,
    top: TopOption = 10,
    play_page: PlayPageOption = None,
    sources: SourcesOption = None,
    lang: LangOption = None,
    device: DeviceOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Ask a model which clips sound or look like something: the clips of a cache or of a folder, the likest first.

    An index holds where the model places each clip, as picture and as sound. The score is the cosine there. All are
    compared, up to a million; beyond, FAISS chooses candidates where it is installed, and a line says so.
    """
    from dubcli.errors import UserError
    from dubcli.search.config import SearchConfig

    config = SearchConfig(
        find=find, by=by, track=_track(track, "--track") if track else None,
        tracks=tuple(_tracks(among, "--among")), films=tuple(film or ()), other_films=other_films, top=top,
        model=None if model is None else str(model), device=device,
    )  # fmt: skip
    if build is None and lang is not None:
        raise UserError(f"--lang {lang} is of --build; the language of a query's sound is --track")
    if query is None and play_page is not None:
        raise UserError(f"--play-page {play_page} shows what is found; give a QUERY, too")
    if build is None and query is None:
        raise UserError("give a QUERY, or --build SOURCE --model CKPT to make the index")
    if build is not None:
        from dubcli.cli.console import make_progress, print_json
        from dubcli.search.build import build_index

        progress = make_progress(quiet=quiet or json)
        built = build_index(index, build, _model(model), lang=lang, device=device, progress=progress)
        if json and query is None:
            print_json({"index": index, "rows": len(built.rows), "model": built.info["model"]["name"]})
        elif not (json or quiet):
            print(f"{index}: {len(built.rows)} pictures and sounds of {len(built.titles)} films or files")
    if query is not None:
        _ask(index, query, config, play_page, sources or (), json=json)
    return 0


def _tracks(text: str | None, option: str) -> list[str]:
    """Tracks' names: languages in any way of writing them, and what follows them (``en-nospeech``)."""
    return [_track(part.strip(), option) for part in (text or "").split(",") if part.strip()]


def _track(text: str, option: str) -> str:
    from dubcli.core.languages import parse_language
    from dubcli.core.tracks import FULL, KINDS

    language, _, kind = text.rpartition("-")
    known = kind in KINDS and kind != FULL
    return f"{parse_language(language, option)}-{kind}" if known else parse_language(text, option)


def _model(path: Path | None) -> Path:
    from dubcli.errors import UserError

    if path is None:
        raise UserError("--build needs a model; give --model, a checkpoint or a run folder")
    return path


def _ask(
    index: Path, query: str, config: SearchConfig, play_page: Path | None, sources: Sequence[Path], *, json: bool
) -> None:
    from dubcli.cli.console import make_progress
    from dubcli.search.index import Index
    from dubcli.search.stage import search as find_clips

    opened = Index(index)
    asked, hits = find_clips(opened, query, config, make_progress())  # its lines go to standard error
    if play_page is not None:
        from dubcli.search.page import write_page

        write_page(play_page, opened, asked, hits, sources)
    _show(asked, hits, play_page, json=json)


def _show(asked: Query, hits: Sequence[Hit], play_page: Path | None, *, json: bool) -> None:
    from dataclasses import asdict

    from dubcli.cli.console import print_json, print_table

    if json:
        found = [{"rank": hit.rank, "score": hit.score, "same": hit.same, **asdict(hit.row)} for hit in hits]
        print_json({"query": asked.text, "page": play_page, "hits": found})
        return
    rows = [(hit.rank, f"{hit.score:.3f}", hit.row.title, hit.clock, hit.row.track or hit.row.kind,
             "same instant" if hit.same else "") for hit in hits]  # fmt: skip
    print_table(f"Like {asked.text}", ("rank", "score", "film", "time", "track", ""), rows)
    if play_page is not None:
        print(play_page)
