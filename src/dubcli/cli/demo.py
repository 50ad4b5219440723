"""``dubav demo``: parse, call ``dubcli.demo``, render."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubcli.cli.options import JsonOption, QuietOption, WorkersOption

if TYPE_CHECKING:
    from dubcli.demo.summary import DemoSummary

EPILOG = (
    "Examples:\n\n"
    "dubav demo --open   (some four minutes on two cores; then the page in the browser)\n\n"
    "dubav demo --out other --seed 1   (other films, other models)\n\n"
    "dubav demo --out longer --films 60 --steps 2000   (an evening)"
)
MOVED = {"--make-corpus": "dubav corpus DIR", "--dub": "dubav dub FILE --subs es.srt,fr.srt"}
"""Options that are commands of their own now, and those commands."""


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", "--keep", metavar="DIR", help="Folder of the page and of all it is made of.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same films and models.")] = 0,
    films: Annotated[int, typer.Option("--films", help="Films to learn from; one in four is kept from training.")] = 18,
    heldout: Annotated[int, typer.Option("--heldout", help="More films, of which only sounds are asked about.")] = 36,
    minutes: Annotated[float, typer.Option("--minutes", help="Length of each film.")] = 0.5,
    steps: Annotated[int, typer.Option("--steps", help="Steps of each pretraining.")] = 200,
    opened: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Show what dubs teach, in some four minutes on two cores, on films made for it.

    Films with synthesised speech of other voices and words in four languages over the same background are made and
    prepared; one model learns from pictures and the original's sound (mono), one from the dubs too (efj). A page shows
    a scene with its tracks, how alike these are to the models, what the models know, and which sounds a picture finds;
    all of it is by the code that real films go through. The same command goes on where an interrupted one stopped. The
    speech comes with the package's extra named demo. The films alone: dubav corpus; dubs of your own film: dubav dub.
    """
    from dubcli.cli.console import make_progress, open_in_browser, print_json
    from dubcli.demo import DemoConfig, demo_corpus, run_demo

    corpus = demo_corpus(films=films, heldout=heldout, minutes=minutes, seed=seed)
    config = DemoConfig(out=out, corpus=corpus, steps=steps, seed=seed, workers=workers)
    summary = run_demo(config, make_progress(quiet=quiet or json))
    if json:
        print_json(summary.as_dict())
    else:
        _show(summary)
    if opened:
        open_in_browser(summary.page.resolve().as_uri())


def _show(summary: DemoSummary) -> None:
    from dubcli.cli.console import print_table
    from dubcli.core.languages import language_name

    rows = [
        (one.model, *(f"{one.between(matrix):.3f}" for matrix in (one.same, one.others, one.shared)),
         *(f"{one.found[language]['r@1']:.2f}" for language in one.languages))
        for one in summary.learnt
    ]  # fmt: skip
    names = [language_name(language) for language in summary.learnt[0].languages]
    print_table(
        "Two languages' features: cosines within a clip, between clips, and how far the first is from the second to 1\n"
        f"({summary.learnt[0].clips} clips of the films learnt from); how often pictures find their sound among them",
        ("model", "within", "between", "alike", *names),
        rows,
    )
    models = list(summary.questions[0].scores)
    asked = [
        (one.text, f"{one.chance:.2f}", *(f"{one.scores[model]:.2f}" for model in models),
         f"{one.compared.difference:+.2f} [{one.compared.interval[0]:+.2f}, {one.compared.interval[1]:+.2f}]",
         "yes" if one.compared.more_than_noise else "")
        for one in summary.questions
    ]  # fmt: skip
    print_table(
        f"Right answers, and {models[-1]} less {models[-2]} with its 95 % interval",
        ("question", "chance", *models, "difference", "more than noise"),
        asked,
    )
    print(summary.verdict)
    print(f"{summary.films} films, {summary.clips} clips, {sum(summary.seconds.values()):.0f} s in all.")
    place = summary.folder
    print(f"Look and listen: {summary.page} (the same as one picture: {summary.picture})")
    print("Then, with films of your own:")
    print("  dubav prep movies/ --lang en,es,fr,ja")
    print("  dubav pretrain --variant efj --gpus 0 --preset small")
    print("  dubav probe esc50 runs/efj --data ESC-50-master")
    print(f"or more of these: dubav view {place / 'runs/efj'} --open; rm -r {place} when you are done.")
