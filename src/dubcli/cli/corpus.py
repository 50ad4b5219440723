"""``dubav corpus``: parse, call ``dubcli.corpus``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubcli.cli.arguments import asked
from dubcli.cli.options import JsonOption, QuietOption, SpeechEngineOption, WorkersOption

EPILOG = (
    "Examples:\n\n"
    "dubav corpus corpus/\n\n"
    "dubav corpus corpus/ --films 40 --minutes 2 --languages en,es,fr,ja,de\n\n"
    "dubav corpus unlinked/ --link 0   (a control in which dubs cut no shortcut)\n\n"
    "dubav corpus human/ --speech asterisk --languages en,es   (human speakers, of Debian's packages "
    "asterisk-core-sounds-en-wav and -es-wav)"
)


FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make it in; what is there is kept.")]
FilmsOption = Annotated[int, typer.Option("--films", help="Films of the corpus.")]
HeldoutOption = Annotated[int, typer.Option("--heldout", help="More films, to measure on.")]
HeldoutAsOption = Annotated[
    str,
    typer.Option("--heldout-as", metavar="sounds|films", help="Their sounds, by factors as probe tasks; or films."),
]
MinutesOption = Annotated[float, typer.Option("--minutes", help="Length of each film.")]
LanguagesOption = Annotated[
    str, typer.Option("--languages", "--lang", help="Spoken, the original first (en, es, fr, ja, de, it).")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Same seed, same corpus.")]
SpeechOption = Annotated[
    str,
    typer.Option("--speech", metavar="tts|asterisk|silent", help="Synthesised, Asterisk's recorded prompts, or none."),
]
SpeechDbOption = Annotated[
    float, typer.Option("--speech-db", help="Level of the voices over the background, in the band of speech.")
]
SpeechFolderOption = Annotated[
    str, typer.Option("--speech-folder", metavar="DIR", help="Where Asterisk's prompts are.")
]
LinkOption = Annotated[
    float, typer.Option("--link", help="Share of clips in which the original's voice is that of the person seen.")
]
CastingOption = Annotated[
    str,
    typer.Option("--casting", metavar="alike|any", help="Whom dubs are spoken by: voices like the original's, or any."),
]
DubsOption = Annotated[
    str,
    typer.Option(
        "--dubs",
        metavar="other|same|wrong-background",
        help="Other actors and words; for controls the original's own, or others over what the film does not show.",
    ),
]
BrokenOption = Annotated[
    float, typer.Option("--broken", help="Share of films that lack a dub or have one out of sync.")
]
BedsOption = Annotated[
    str, typer.Option("--beds", metavar="DIR", help="Your own recordings: DIR/places/NAME/* and DIR/events/NAME/*.")
]


def corpus(
    folder: FolderArgument,
    films: FilmsOption = 12,
    heldout: HeldoutOption = 12,
    heldout_as: HeldoutAsOption = "sounds",
    minutes: MinutesOption = 0.5,
    languages: LanguagesOption = "en,es,fr,ja",
    seed: SeedOption = 0,
    speech: SpeechOption = "tts",
    speech_db: SpeechDbOption = 10.0,
    speech_folder: SpeechFolderOption = "/usr/share/asterisk/sounds",
    link: LinkOption = 1.0,
    casting: CastingOption = "alike",
    dubs: DubsOption = "other",
    broken: BrokenOption = 0.05,
    beds: BedsOption = "",
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

    config = asked(CorpusConfig, locals(), languages=tuple(languages.split(",")))
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
