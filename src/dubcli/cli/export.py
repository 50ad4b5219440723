"""``dubav export``: parse, call ``dubcli.export``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dubcli.cli.options import JsonOption, QuietOption

EPILOG = (
    "Examples:\n\n"
    "dubav export runs/efj/ckpt.pt --out model/   (then: dubav probe esc50 model/)\n\n"
    "dubav export runs/efj --out model/ --results results/ --license cc-by-nc-4.0 --push me/efj"
)

CkptArgument = Annotated[Path, typer.Argument(help="A checkpoint file or a run folder.", show_default=False)]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", show_default=False)]
LicenseOption = Annotated[
    str, typer.Option("--license", metavar="NAME", help="For the card, as hubs name it: mit, cc-by-nc-4.0, other.")
]
DatasetOption = Annotated[
    Optional[list[str]],
    typer.Option("--dataset", metavar="ID", help="For the card: a data set's id on the hub; may be given again."),
]
ResultsOption = Annotated[
    Optional[Path],
    typer.Option("--results", metavar="FOLDER", help="For the card: this model's scores by dubav probe."),
]
PushOption = Annotated[
    Optional[str],
    typer.Option("--push", metavar="OWNER/NAME", help="Send the folder to the Hugging Face Hub, too (HF_TOKEN)."),
]
PrivateOption = Annotated[bool, typer.Option("--private", help="Make it private there, where it is new.")]


def export(
    ckpt: CkptArgument,
    out: OutOption,
    license: LicenseOption = "unknown",
    dataset: DatasetOption = None,
    results: ResultsOption = None,
    push: PushOption = None,
    private: PrivateOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Turn a checkpoint into model.safetensors, config.json and a model card (README.md).

    The folder holds the weights without the training state and nothing that runs code when it is loaded. It can be
    given to embed, probe and the HEAR API in place of the checkpoint; config.json and the card have the lines of Python
    that load it without dubav.
    """
    from dubcli.cli.console import print_json
    from dubcli.export import ExportConfig
    from dubcli.export import export as run
    from dubcli.export import push as send

    trained = run(ckpt, out, ExportConfig(license=license, datasets=tuple(dataset or ()), results=results))
    address = send(out, push, private=private) if push else None
    if json:
        print_json({"out": str(out), "name": trained.name, "content_hash": trained.content_hash, "pushed": address})
    elif not quiet:
        print(f"{out}: model.safetensors, config.json and README.md of {trained.name}")
        if address:
            print(f"sent: {address}")
    return 0
