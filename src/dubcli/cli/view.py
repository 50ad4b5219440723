"""``dubav view``: parse, call ``dubcli.view``, render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dubcli.cli.options import DeviceOption, FilmOption, JsonOption, QuietOption, SourcesOption

if TYPE_CHECKING:
    from dubcli.view import Site, ViewSummary

EPILOG = (
    "Examples:\n\n"
    "dubav view cache --open   (pages in the folder view)\n\n"
    "dubav view cache --serve   (every clip of a big cache, made when it is looked at)\n\n"
    "dubav view runs/efj   (its cache, with the map of its clips in the model's space)\n\n"
    "dubav view cache --film 'big buck' --sheet bunny.png   (one picture)"
)


def view(
    path: Annotated[Path, typer.Argument(metavar="CACHE|RUN", help="A clip cache, or a run folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pages.")] = Path("view"),
    film: FilmOption = None,
    clips: Annotated[
        Optional[int],
        typer.Option("--clips", metavar="N", help="Clips of a film, evenly over it. [default: 24, fewer of many]"),
    ] = None,
    sources: SourcesOption = None,
    cache: Annotated[
        Optional[Path], typer.Option("--cache", help="The run's cache. [default: where the run found it]")
    ] = None,
    with_map: Annotated[bool, typer.Option("--map/--no-map", help="The map of a run's clips.")] = True,
    map_clips: Annotated[int, typer.Option("--map-clips", metavar="N", help="At most so many clips on the map.")] = 400,
    sheet: Annotated[
        Optional[Path], typer.Option("--sheet", metavar="FILE.png", help="Only a contact sheet of one film.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="No folder: a server for this machine, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option("--port", help="Of --serve; 0: a free one.")] = 8746,
    opened: Annotated[bool, typer.Option("--open", help="Open the first page in the browser.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the map's layout.")] = 0,
    device: DeviceOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Look at a cache or a run: films, then clips with their frames, each track's mel and sound, the dubs' lags.

    Writes pages that need no server and no network. Of a run there is a map too: its clips, as pictures and as sound,
    where the model places them. Players are cut from the films that prep read; where those have moved, give --sources.
    """
    from dubcli.cli.console import make_progress, open_in_browser, print_json
    from dubcli.view import ViewConfig, open_site, write_sheet, write_site

    progress = make_progress(quiet=quiet or json)
    config = ViewConfig(films=tuple(film or ()), clips=clips, sources=tuple(sources or ()), map_clips=map_clips,
                        seed=seed, device=device)  # fmt: skip
    site = open_site(path, config, progress, cache=cache, with_map=with_map and sheet is None, every_clip=serve)
    if sheet is not None:
        written = write_sheet(site, sheet)
        print_json({"sheet": written}) if json else print(written)
        return 0
    if serve:
        _serve(site, port, opened=opened)
        return 0
    summary = write_site(site, out, progress)
    _show(summary, as_json=json)
    if opened:
        open_in_browser(summary.page.resolve().as_uri())
    return 1 if summary.problems else 0


def _show(summary: ViewSummary, *, as_json: bool) -> None:
    from dataclasses import asdict

    from dubcli.cli.console import print_json, warn

    for problem in summary.problems:
        warn(f"left out: {problem}")
    if as_json:
        print_json(asdict(summary))
        return
    rest = "" if summary.clips == summary.clips_of_cache else f" of {summary.clips_of_cache} (more: --clips, --serve)"
    sounds = f"{summary.sounds} sounds" if summary.sounds else "no sounds (the films are not at hand; name --sources)"
    print(f"{summary.page}: {summary.films} films, {summary.clips} clips{rest}, {sounds}" + (", map" * summary.map))


def _serve(site: Site, port: int, *, opened: bool) -> None:
    from dubcli.cli.console import open_in_browser, warn
    from dubcli.view.serve import make_server

    with make_server(site, port, warn) as server:
        address = f"http://{server.server_address[0]!s}:{server.server_address[1]}/"
        print(f"{address} until Ctrl-C", flush=True)
        if opened:
            open_in_browser(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")
