"""``dubav pretrain``: the options of a run come from ``PretrainConfig``'s parts, so that none is declared twice."""

from __future__ import annotations

import inspect
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dubcli.cli import console
from dubcli.cli.options import GpusOption, JsonOption, NodeRankOption, NodesOption, QuietOption, RendezvousOption
from dubcli.pretrain.config import OPTIONS, LaunchConfig, PretrainConfig, resolve

EPILOG = (
    "Examples:\n\n"
    "dubav pretrain --variant efj --gpus 4\n\n"
    "dubav pretrain --variant mono --gpus 0 --preset tiny --max-steps 100   (on the CPU)\n\n"
    "dubav pretrain --variant efj --nnodes 2 --node-rank 0 --rdzv-endpoint node0:29500   (on each of two nodes)\n\n"
    "The same command goes on with a run that was stopped or killed, to the same result."
)


def _run_options() -> list[inspect.Parameter]:
    """A typer option for every option of PretrainConfig; None stands for "not given"."""
    found = []
    for field in OPTIONS.values():
        name = "--" + field.name.replace("_", "-")
        kind: Any = bool if field.default is None else type(field.default)
        names = [f"{name}/--no-{name[2:]}"] if kind is bool else [name]
        text = field.metadata["help"]
        if field.default not in ("", None) and "[default" not in text:
            text += f" [default: {field.default}]".replace("True", "yes").replace("False", "no")
        extra: dict[str, Any] = {"envvar": "DUBAV_CACHE"} if field.name == "cache" else {}
        annotation = Annotated[Optional[kind], typer.Option(*names, help=text, show_default=False, **extra)]
        found.append(inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    return found


def pretrain(
    *,
    gpus: GpusOption = None,
    procs: Annotated[
        Optional[int], typer.Option("--procs", help="Processes on the CPU (with --gpus 0). [default: 1]")
    ] = None,
    nnodes: NodesOption = None,
    node_rank: NodeRankOption = None,
    rdzv_endpoint: RendezvousOption = None,
    max_restarts: Annotated[
        Optional[int],
        typer.Option("--max-restarts", help="How often the processes are started again when one dies. [default: 3]"),
    ] = None,
    config: Annotated[
        Optional[Path],
        typer.Option("--config", help="A TOML file of options, or a run's config.json; the command line wins."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the run in the folder and start over.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show the config, the data and an estimate of time and memory; train nothing."),
    ] = False,
    readings: Annotated[
        bool, typer.Option("--readings", help="What the paper leaves open: how it is read, and options; train nothing.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    **options: Any,
) -> int:
    """Train a model by contrasting films with their sound tracks and dubs.

    A run is a folder: config.json, metrics.jsonl, TensorBoard events, ckpt.pt (the latest state) and epoch-NN.pt.
    """
    if readings:
        return _readings(as_json)
    launching = {"gpus": gpus, "procs": procs, "nnodes": nnodes, "node_rank": node_rank,
                 "rdzv_endpoint": rdzv_endpoint, "max_restarts": max_restarts}  # fmt: skip
    resolved, where = resolve(config, {**options, **launching})
    if dry_run:
        return _dry_run(resolved, where, as_json)
    from dubcli.pretrain import launch

    summary = launch(resolved, where, console.make_progress(quiet=quiet), fresh=fresh)
    if os.environ.get("RANK", "0") != "0":  # one of several that torchrun, srun or mpirun started: the first tells
        pass
    elif as_json:
        console.print_json(summary.__dict__)
    elif summary.stopped_by is not None:
        print(f"stopped at step {summary.step}, saved in {summary.folder}; the same command goes on from there")
    else:
        loss = f", loss {summary.metrics['loss']:.4f}" if "loss" in summary.metrics else ""
        print(f"{summary.folder}: {summary.step} of {summary.total_steps} steps done{loss}")
    return 130 if summary.stopped_by == 2 else 0


def _readings(as_json: bool) -> int:
    from dubcli.core.readings import FIXED, READINGS

    if as_json:
        console.print_json({"readings": [*map(asdict, READINGS)], "without_an_option": [*map(asdict, FIXED)]})
        return 0
    for reading in READINGS:
        print(f"{reading.title} ({reading.command}). The paper: {reading.paper}.")
        print(f"  default: {reading.default.meaning} ({reading.told(reading.default)}): {reading.why}")
        for choice in reading.others:
            print(f"  or {reading.flags(choice)}: {choice.meaning}")
    for fixed in FIXED:
        print(f"{fixed.title} (no option). The paper: {fixed.paper}.")
        print(f"  here: {fixed.here}: {fixed.why}")
        print(f"  why no option: {fixed.no_option}")
    return 0


def _dry_run(config: PretrainConfig, where: LaunchConfig, as_json: bool) -> int:
    from dubcli.pretrain.dry_run import dry_run

    report = dry_run(config, where)
    if as_json:
        console.print_json(report)
    else:
        console.print_table("dry run", ("what", "value"), [(name, value) for name, value in report["summary"].items()])
        console.print_table("config", ("option", "value"), list(report["config"].items()))
    return 0


_signature = inspect.signature(pretrain, eval_str=True)
pretrain.__signature__ = _signature.replace(  # type: ignore[attr-defined]
    parameters=[
        *_run_options(),
        *(p for p in _signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD),
    ]
)
pretrain.__annotations__ |= {parameter.name: parameter.annotation for parameter in _run_options()}
del pretrain.__annotations__["options"]
