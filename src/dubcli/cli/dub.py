"""``dubav dub``: parse, call ``dubcli.dub``, render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dubcli.cli.options import JsonOption, QuietOption, SpeechEngineOption

if TYPE_CHECKING:
    from dubcli.media.subtitles import Script

EPILOG = (
    "Examples:\n\n"
    "dubav dub film.mkv --subs film.es.srt,film.fr.srt\n\n"
    "dubav dub film.mkv --subs es.srt --speech centre --out dubbed.mkv"
)


def dub(
    film: Annotated[Path, typer.Argument(metavar="FILE", help="The film.")],
    subs: Annotated[
        str,
        typer.Option(
            "--subs",
            metavar="FILE,...",
            help="Subtitles (SubRip, WebVTT, ASS, MicroDVD, ...), one language each: es.srt,film.fr.vtt.",
        ),
    ],
    out: Annotated[
        Optional[Path],
        typer.Option("--out", "-o", help="The dubbed film (.mkv, .mp4, .mov). [default: FILE with .dubbed.mkv]"),
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
    scripts: list[Script] = []
    made = dub_film(
        film, subtitle_list(subs), out, config, progress=make_progress(quiet=quiet or json), told=scripts.append
    )
    if json:
        print_json({"film": made, "subtitles": [_as_dict(script) for script in scripts]})
    else:
        for script in scripts:
            _show(script)
        print(f"{made} has the new tracks; next: dubav ls {made}")


def _show(script: Script) -> None:
    """What became of a file's cues; where it was guessed or not understood, what and where."""
    read = "" if script.encoding == "utf-8" else f"; read as {script.encoding}"
    print(f"{script.path}: {script.summary()}{read}")
    if script.unknown_lines:
        lines = ", ".join(map(str, script.unknown_lines[:10])) + (", ..." if len(script.unknown_lines) > 10 else "")
        print(f"  times not understood in line{'s' if len(script.unknown_lines) > 1 else ''} {lines}")


def _as_dict(script: Script) -> dict[str, object]:
    from dataclasses import asdict

    content = asdict(script)
    del content["subtitles"]
    return {**content, "spoken": script.spoken}
