"""``dubav corpus``: parse, call ``dubcli.corpus``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubcli.cli.options import JsonOption, QuietOption, SpeechEngineOption, WorkersOption

EPILOG = (
    "Examples: [bold]dubav corpus corpus/[/bold]; "
    "[bold]dubav corpus corpus/ --films 40 --minutes 2 --languages en,es,fr,ja,de[/bold]"
)


def corpus(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make it in; what is there is kept.")],
    films: Annotated[int, typer.Option("--films", help="Films of the corpus.")] = 12,
    heldout: Annotated[int, typer.Option("--heldout", help="More films, of which only probe sounds are cut.")] = 12,
    minutes: Annotated[float, typer.Option("--minutes", help="Length of each film.")] = 0.5,
    languages: Annotated[
        str, typer.Option("--languages", "--lang", help="Spoken, the original first (en, es, fr, ja, de, it).")
    ] = "en,es,fr,ja",
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same corpus.")] = 0,
    speech_db: Annotated[float, typer.Option("--speech-db", help="Level of the voices over the background.")] = 6.0,
    one_scene: Annotated[
        bool, typer.Option("--one-scene", help="Films for pretraining are of one scene each: a harder corpus.")
    ] = False,
    engine: SpeechEngineOption = None,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Make a counterfactual corpus: dubbed films with their truth, and probe sounds.

    Every film has one picture and one background, and synthesised speech of other words in each language. Beside the
    films: subtitles, the factors of every clip (labels.csv), and sounds of held-out films arranged as probe tasks. The
    speech comes with the package's extra named demo.
    """
    from dubcli.cli.console import make_progress, print_json
    from dubcli.corpus import CorpusConfig, make_corpus
    from dubcli.jobs.options import JobOptions

    config = CorpusConfig(
        films=films,
        heldout=heldout,
        minutes=minutes,
        languages=tuple(languages.split(",")),
        seed=seed,
        speech_db=speech_db,
        one_scene=one_scene,
        engine=engine,
    )
    made = make_corpus(folder, config, options=JobOptions(workers=workers), progress=make_progress(quiet=quiet or json))
    if json:
        print_json({"films": made.films, "probes": made.probes, "labels": made.labels})
        return
    print(f"{config.films} films in {made.films}, truth in {made.labels}, probe sounds in {made.probes}")
    print(f"next: dubav prep {made.films} --lang {','.join(config.languages)}")
