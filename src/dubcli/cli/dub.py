"""``dubav dub``: parse, call ``dubcli.dub``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dubcli.cli.options import JsonOption, QuietOption, SpeechEngineOption

EPILOG = (
    "Examples: [bold]dubav dub film.mkv --subs film.es.srt,film.fr.srt[/bold]; "
    "[bold]dubav dub film.mkv --subs es.srt --speech centre --out dubbed.mkv[/bold]"
)


def dub(
    film: Annotated[Path, typer.Argument(metavar="FILE", help="The film.")],
    subs: Annotated[
        str, typer.Option("--subs", metavar="SRT,...", help="Subtitles, one language each: es.srt,film.fr.srt.")
    ],
    out: Annotated[
        Optional[Path], typer.Option("--out", "-o", help="The dubbed film. [default: FILE with .dubbed.mkv]")
    ] = None,
    speech: Annotated[
        str,
        typer.Option(
            "--speech",
            metavar="duck|centre",
            help="The film's own voices: lower the track while lines are spoken, or the centre channel throughout.",
        ),
    ] = "duck",
    original: Annotated[
        Optional[str], typer.Option("--original", help="Language of the track to dub. [default: the main one]")
    ] = None,
    engine: SpeechEngineOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Dub a film from subtitles with synthesised speech.

    The picture and the tracks that are there are copied; each subtitle file becomes one more sound track, its lines
    spoken over the lowered original. The speech comes with the package's extra named demo.
    """
    from dubcli.cli.console import make_progress, print_json
    from dubcli.dub import DubConfig, dub_film
    from dubcli.dub.stage import subtitle_list

    config = DubConfig(speech=speech, original=original, engine=engine)
    made = dub_film(film, subtitle_list(subs), out, config, progress=make_progress(quiet=quiet or json))
    if json:
        print_json({"film": made})
    else:
        print(f"{made} has the new tracks; next: dubav ls {made}")
