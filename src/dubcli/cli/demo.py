"""``dubav demo``: parse, call ``dubcli.demo``, render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from dubcli.cli.options import JsonOption, QuietOption, WorkersOption

if TYPE_CHECKING:
    from dubcli.demo.walk import DemoSummary

EPILOG = (
    "Examples: [bold]dubav demo[/bold] (the whole way, a few minutes on 2 cores); "
    "[bold]dubav demo --keep demo/[/bold] (and keep everything to look at)"
)
MOVED = {"--make-corpus": "dubav corpus DIR", "--dub": "dubav dub FILE --subs es.srt,fr.srt"}
"""Options that are commands of their own now, and those commands."""


def demo(
    keep: Annotated[
        Optional[Path], typer.Option("--keep", metavar="DIR", help="Keep everything in DIR. [default: removed at end]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same corpus and models.")] = 0,
    films: Annotated[int, typer.Option("--films", help="Films of the corpus.")] = 12,
    heldout: Annotated[int, typer.Option("--heldout", help="More films, of which only probe sounds are cut.")] = 12,
    minutes: Annotated[float, typer.Option("--minutes", help="Length of each film.")] = 0.5,
    epochs: Annotated[int, typer.Option("--epochs", help="Epochs of each pretraining.")] = 4,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Make a small dubbed corpus and go the whole way through it.

    Films with synthesised speech in four languages over the same background are made, prepared, learnt from (mono and
    efj, preset tiny), embedded and probed. All of it is the code that real films go through. The speech comes with
    the package's extra named demo. The corpus alone: dubav corpus; dubs for a film of your own: dubav dub.
    """
    from dubcli.cli.console import make_progress, print_json
    from dubcli.corpus import CorpusConfig
    from dubcli.demo import DemoConfig, run_demo

    corpus = CorpusConfig(films=films, heldout=heldout, minutes=minutes, seed=seed)
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
