"""``dubav corpus``: parse, call ``dubcli.corpus``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubcli.cli.options import JsonOption, QuietOption, SpeechEngineOption, WorkersOption

EPILOG = (
    "Examples: [bold]dubav corpus corpus/[/bold]; "
    "[bold]dubav corpus corpus/ --films 40 --minutes 2 --languages en,es,fr,ja,de[/bold]; a control in which dubs cut "
    "no shortcut: [bold]dubav corpus unlinked/ --link 0[/bold]; voices of human speakers: [bold]apt install "
    "asterisk-core-sounds-en-wav asterisk-core-sounds-es-wav; dubav corpus human/ --speech asterisk --lang en,es[/bold]"
)


def corpus(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make it in; what is there is kept.")],
    films: Annotated[int, typer.Option("--films", help="Films of the corpus.")] = 12,
    heldout: Annotated[int, typer.Option("--heldout", help="More films, to measure on.")] = 12,
    heldout_as: Annotated[
        str,
        typer.Option("--heldout-as", metavar="sounds|films", help="Their sounds, by factors as probe tasks; or films."),
    ] = "sounds",
    minutes: Annotated[float, typer.Option("--minutes", help="Length of each film.")] = 0.5,
    languages: Annotated[
        str, typer.Option("--languages", "--lang", help="Spoken, the original first (en, es, fr, ja, de, it).")
    ] = "en,es,fr,ja",
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same corpus.")] = 0,
    speech: Annotated[
        str,
        typer.Option(
            "--speech", metavar="tts|asterisk|silent", help="Synthesised, Asterisk's recorded prompts, or none."
        ),
    ] = "tts",
    speech_db: Annotated[
        float, typer.Option("--speech-db", help="Level of the voices over the background, in the band of speech.")
    ] = 10.0,
    speech_folder: Annotated[
        str, typer.Option("--speech-folder", metavar="DIR", help="Where Asterisk's prompts are.")
    ] = "/usr/share/asterisk/sounds",
    link: Annotated[
        float, typer.Option("--link", help="Share of clips in which the original's voice is that of the person seen.")
    ] = 1.0,
    casting: Annotated[
        str,
        typer.Option(
            "--casting", metavar="alike|any", help="Whom dubs are spoken by: voices like the original's, or any."
        ),
    ] = "alike",
    dubs: Annotated[
        str,
        typer.Option(
            "--dubs",
            metavar="other|same|wrong-background",
            help="Other actors and words; for controls the original's own, or others over what the film does not show.",
        ),
    ] = "other",
    broken: Annotated[
        float, typer.Option("--broken", help="Share of films that lack a dub or have one out of sync.")
    ] = 0.05,
    beds: Annotated[
        str, typer.Option("--beds", metavar="DIR", help="Your own recordings: DIR/places/NAME/* and DIR/events/NAME/*.")
    ] = "",
    engine: SpeechEngineOption = None,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Make a counterfactual corpus: dubbed films with their truth, and probe sounds.

    Every film has one picture and one background, and speech of other voices and words in each language. Beside the
    films: subtitles, the factors of every clip (labels.csv), and held-out films or their sounds arranged as probe
    tasks. Synthesised speech comes with the package's extra named demo.
    """
    from dubcli.cli.console import make_progress, print_json
    from dubcli.corpus import CorpusConfig, make_corpus
    from dubcli.jobs.options import JobOptions

    config = CorpusConfig(
        films=films,
        heldout=heldout,
        heldout_as=heldout_as,
        minutes=minutes,
        languages=tuple(languages.split(",")),
        seed=seed,
        speech=speech,
        speech_db=speech_db,
        speech_folder=speech_folder,
        link=link,
        casting=casting,
        dubs=dubs,
        broken=broken,
        beds=beds,
        engine=engine,
    )
    made = make_corpus(folder, config, options=JobOptions(workers=workers), progress=make_progress(quiet=quiet or json))
    more = made.heldout if heldout_as == "films" else made.probes
    if json:
        print_json(
            {"films": made.films, "probes" if heldout_as == "sounds" else "heldout": more, "labels": made.labels}
        )
        return
    what = "held-out films" if heldout_as == "films" else "probe sounds"
    print(f"{config.films} films in {made.films}, truth in {made.labels}, {what} in {more}")
    print(f"next: dubav prep {made.films} --lang {','.join(config.languages)}")
