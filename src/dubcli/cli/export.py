"""``dubav export``: parse, call ``dubcli.export.export``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubcli.cli.options import JsonOption, QuietOption

EPILOG = "Examples: [bold]dubav export runs/efj/ckpt.pt --out model/[/bold]; then [bold]dubav probe esc50 model/[/bold]"


def export(
    ckpt: Annotated[Path, typer.Argument(help="A checkpoint file or a run folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", show_default=False)],
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Turn a checkpoint into model.safetensors, config.json and a model card (README.md).

    The folder holds the weights without the training state and nothing that runs code when it is loaded. It can be
    given to embed, probe and the HEAR API in place of the checkpoint.
    """
    from dubcli.cli.console import print_json
    from dubcli.export import export as run

    trained = run(ckpt, out)
    if json:
        print_json({"out": str(out), "name": trained.name, "content_hash": trained.content_hash})
    elif not quiet:
        print(f"{out}: model.safetensors, config.json and README.md of {trained.name}")
    return 0
