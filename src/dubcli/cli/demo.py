"""``dubav demo``: parse, call ``dubcli.demo``, render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dubcli.cli.options import JsonOption, QuietOption, WorkersOption

if TYPE_CHECKING:
    from dubcli.demo.config import CorpusConfig, DubConfig
    from dubcli.demo.walk import DemoSummary

EPILOG = (
    "Examples: [bold]dubav demo[/bold] (the whole way, a few minutes on 2 cores); "
    "[bold]dubav demo --keep demo/[/bold] (and keep everything to look at); "
    "[bold]dubav demo --make-corpus corpus/ --films 40 --minutes 2 --lang en,es,fr,ja,de[/bold]; "
    "[bold]dubav demo --dub film.mkv --subs film.es.srt,film.fr.srt[/bold]"
)


def demo(
    keep: Annotated[
        Optional[Path], typer.Option("--keep", metavar="DIR", help="Keep everything in DIR. [default: removed at end]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same corpus and models.")] = 0,
    make_corpus: Annotated[
        Optional[Path],
        typer.Option("--make-corpus", metavar="DIR", help="Only make a counterfactual corpus in DIR, with labels."),
    ] = None,
    films: Annotated[int, typer.Option("--films", help="Films of the corpus.")] = 12,
    heldout: Annotated[int, typer.Option("--heldout", help="More films, of which only probe sounds are cut.")] = 12,
    minutes: Annotated[float, typer.Option("--minutes", help="Length of each film.")] = 0.5,
    lang: Annotated[
        str, typer.Option("--lang", help="Languages spoken, the original first (en, es, fr, ja, de, it).")
    ] = "en,es,fr,ja",
    speech_db: Annotated[float, typer.Option("--speech-db", help="Level of the voices over the background.")] = 6.0,
    one_scene: Annotated[
        bool, typer.Option("--one-scene", help="Films for pretraining are of one scene each: a harder corpus.")
    ] = False,
    epochs: Annotated[int, typer.Option("--epochs", help="Epochs of each pretraining.")] = 4,
    dub: Annotated[
        Optional[Path],
        typer.Option("--dub", metavar="FILE", help="Add synthesised dubs to this film, from --subs."),
    ] = None,
    subs: Annotated[
        Optional[str],
        typer.Option("--subs", metavar="SRT,...", help="Subtitles, one language each: es.srt,film.fr.srt."),
    ] = None,
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
        Optional[str], typer.Option("--original", help="Language of the track to dub. [default: the first]")
    ] = None,
    engine: Annotated[
        Optional[str],
        typer.Option(
            "--speech-engine",
            metavar="MODULE:NAME",
            help="Your own speech engine (Piper, Kokoro, ...) or one installed, asked before the default ones; see "
            "examples/.",
        ),
    ] = None,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Make a small dubbed corpus and go the whole way through it.

    Films with synthesised speech in four languages over the same background are made, prepared, learnt from (mono and
    efj, preset tiny), embedded and probed. All of it is the code that real films go through. The speech comes with
    the package's extra named demo. With --make-corpus only the corpus is made; with --dub your own film gets dubs
    from subtitles.
    """
    from dubcli.demo.config import CorpusConfig, DubConfig
    from dubcli.errors import UserError

    if subs is not None and dub is None:
        raise UserError("--subs needs the film; give it with --dub FILE")
    if dub is not None:
        _dub(dub, subs, out, DubConfig(speech=speech, original=original, engine=engine), quiet=quiet, json=json)
        return
    corpus = CorpusConfig(
        films=films,
        heldout=heldout,
        minutes=minutes,
        languages=tuple(part.strip() for part in lang.split(",")),
        seed=seed,
        speech_db=speech_db,
        one_scene=one_scene,
        engine=engine,
    )
    if make_corpus is not None:
        _corpus(make_corpus, corpus, workers, quiet=quiet, json=json)
    else:
        _walk(corpus, keep, epochs, seed, workers, quiet=quiet, json=json)


def _dub(film: Path, subs: str | None, out: Path | None, config: DubConfig, *, quiet: bool, json: bool) -> None:
    from dubcli.cli.console import make_progress, print_json
    from dubcli.demo import dub_film
    from dubcli.demo.dub import subtitle_list

    made = dub_film(film, subtitle_list(subs or ""), out, config, progress=make_progress(quiet=quiet or json))
    if json:
        print_json({"film": made})
    else:
        print(f"{made} has the new tracks; next: dubav ls {made}")


def _corpus(folder: Path, config: CorpusConfig, workers: int | None, *, quiet: bool, json: bool) -> None:
    from dubcli.cli.console import make_progress, print_json
    from dubcli.demo import make_corpus
    from dubcli.jobs.options import JobOptions

    corpus = make_corpus(
        folder, config, options=JobOptions(workers=workers), progress=make_progress(quiet=quiet or json)
    )
    if json:
        print_json({"films": corpus.films, "probes": corpus.probes, "labels": folder / "labels.csv"})
        return
    print(f"{config.films} films in {corpus.films}, truth in {folder / 'labels.csv'}, probe sounds in {corpus.probes}")
    print(f"next: dubav prep {corpus.films} --lang {','.join(config.languages)}")


def _walk(
    corpus: CorpusConfig,
    keep: Path | None,
    epochs: int,
    seed: int,
    workers: int | None,
    *,
    quiet: bool,
    json: bool,
) -> None:
    from dubcli.cli.console import make_progress, print_json
    from dubcli.demo import DemoConfig, run_demo

    config = DemoConfig(keep=keep, corpus=corpus, epochs=epochs, seed=seed, workers=workers)
    summary = run_demo(config, make_progress(quiet=quiet or json))
    if json:
        print_json(summary.as_dict())
    else:
        _show(summary)


def _show(summary: DemoSummary) -> None:
    from dubcli.cli.console import print_table

    models = list(next(iter(summary.scores.values())))
    rows = [
        (factor, f"{summary.chance[factor]:.3f}", *(f"{scores[model]:.3f}" for model in models))
        for factor, scores in summary.scores.items()
    ]
    print_table("Top-1 accuracy, films never seen", ("factor", "chance", *models), rows)
    print(f"{summary.films} films, {summary.clips} clips, {sum(summary.seconds.values()):.0f} s in all.")
    noise = 2 * (0.5 / summary.test_sounds) ** 0.5  # two standard errors of a difference of shares near 1/2
    print(f"Tested on {summary.test_sounds} sounds: a difference below {noise:.2f} may be chance.")
    if summary.kept:
        place = summary.folder
        print("Everything is kept. Try next:")
        print(f"  dubav ls {place / 'cache'}")
        print(f"  dubav report {place / 'results'} {place / 'runs'} {place / 'cache'} --out {place / 'report'}")
        print(f"  dubav probe folder {place / 'runs/efj'} --data {place / 'corpus/probes/mood'} --protocol logreg")
    else:
        print("Try next: dubav demo --keep demo/ (keeps everything to look at), and with films of your own:")
        print("  dubav prep movies/ --lang en,es,fr,ja")
        print("  dubav pretrain --variant efj --gpus 0 --preset small")
        print("  dubav probe esc50 runs/efj --data ESC-50-master")
