"""``dubav probe``: parse, call ``dubcli.probe``, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dubcli.cli.arguments import asked
from dubcli.cli.options import ChunksOption, DeviceOption, GpusOption, JsonOption, QuietOption, RandomPresetOption
from dubcli.core.machine import PRECISION_HELP, PRECISION_METAVAR
from dubcli.probe.protocols import PROTOCOLS

EPILOG = (
    "Examples:\n\n"
    "dubav probe --list\n\n"
    "dubav probe esc50 runs/efj/ckpt.pt\n\n"
    "dubav probe esc50 runs/mono runs/efj random --data ESC-50-master\n\n"
    "dubav probe all runs/efj --data datasets/\n\n"
    "dubav probe folder random --data my-sounds/ --protocol logreg --shots 1,5,10\n\n"
    "dubav probe table runs/efj --data labels.csv\n\n"
    "dubav probe fsd50k features:embeddings/hearbaseline\n\n"
    "dubav probe compare results/esc50/mono-ckpt.json results/esc50/efj-ckpt.json   (is it more than noise?)"
)


TaskArgument = Annotated[
    Optional[str],
    typer.Argument(
        metavar="TASK",
        help="One of --list, folder or table (clips of your own), MODULE:NAME, all, or compare.",
        show_default=False,
    ),
]
ModelsArgument = Annotated[
    Optional[list[str]],
    typer.Argument(
        metavar="CKPT...",
        help="Checkpoints or run folders; random (:SEED); hear: or video:MODULE[:WEIGHTS]; features:FOLDER.",
        show_default=False,
    ),
]
DataOption = Annotated[
    Optional[Path],
    typer.Option(
        "--data",
        help="The dataset as published, a HEAR task folder, or a table of labels; for all, what holds several. "
        "[default: $DUBAV_DATA/TASK, data/TASK]",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", "-o", help="Folder for results.")]
ProtocolOption = Annotated[
    Optional[str],
    typer.Option(
        "--protocol",
        metavar=f"{'|'.join(PROTOCOLS)}|MODULE:NAME",
        help="How heads train. [default: the paper's]",
    ),
]
DataKindOption = Annotated[
    str,
    typer.Option(
        "--data-variant",
        metavar="speech|nospeech|nospeech-test",
        help="nospeech: DATA-nospeech, made by dubav separate, for training and test; nospeech-test: for test.",
    ),
]
SplitsOption = Annotated[
    str,
    typer.Option("--splits", metavar="all|first", help="Of HMDB51's and UCF101's three train and test lists."),
]
ShotsOption = Annotated[
    Optional[str], typer.Option("--shots", metavar="N,...", help="Train on so many clips per class, e.g. 1,5,10.")
]
DrawsOption = Annotated[int, typer.Option("--draws", help="Draws of clips for each number of shots.")]
ModalityOption = Annotated[
    Optional[str],
    typer.Option(
        "--modality",
        metavar="a,v,av",
        help="Audio, video, both side by side: a result each, all on the same clips. [default: what the task is about; "
        "VGGSound: all that the model has]",
    ),
]
FeaturesOption = Annotated[
    Optional[Path], typer.Option("--features", help="Folder that keeps features. [default: OUT/features]")
]
AllowMissingOption = Annotated[
    bool, typer.Option("--allow-missing", help="Go on without clips that are not there or damaged.")
]
CheckLeakageOption = Annotated[
    bool,
    typer.Option("--check-leakage/--no-check-leakage", help="Look for the same clip in training and test."),
]
AgainOption = Annotated[bool, typer.Option("--again", help="Compute results that are there already.")]
MaxStepsOption = Annotated[
    Optional[int],
    typer.Option("--max-steps", help="Heads train for at most so many steps: a trial run, not the paper's."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of heads and draws.")]
FastHeadsOption = Annotated[
    bool,
    typer.Option(
        "--fast-heads",
        help="Heads' products rounded to bfloat16 (CPUs with AMX: about 3 times as fast) or TF32 (CUDA) inside.",
    ),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", metavar=PRECISION_METAVAR, help=f"Of features. {PRECISION_HELP}")
]
BatchSizeOption = Annotated[
    Optional[int], typer.Option("--batch-size", help="Chunks at a time, for features. [default: by the device]")
]
ListTasksOption = Annotated[
    bool, typer.Option("--list", help="The tasks: types, classes, protocols, licences, and what is there.")
]


def probe(
    task: TaskArgument = None,
    models: ModelsArgument = None,
    data: DataOption = None,
    out: OutOption = Path("results"),
    protocol: ProtocolOption = None,
    data_kind: DataKindOption = "speech",
    splits: SplitsOption = "all",
    chunks: ChunksOption = "half",
    shots: ShotsOption = None,
    draws: DrawsOption = 5,
    modality: ModalityOption = None,
    features: FeaturesOption = None,
    allow_missing: AllowMissingOption = False,
    check_leakage: CheckLeakageOption = True,
    again: AgainOption = False,
    max_steps: MaxStepsOption = None,
    seed: SeedOption = 0,
    preset: RandomPresetOption = "paper",
    fast_heads: FastHeadsOption = False,
    precision: PrecisionOption = "auto",
    batch_size: BatchSizeOption = None,
    device: DeviceOption = None,
    gpus: GpusOption = None,
    list_tasks: ListTasksOption = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Measure models with heads on frozen features.

    Features are made once per model and dataset and kept; heads train by the paper's protocol for the task. Results go
    to OUT/TASK/MODEL.json with the raw predictions beside; what is there already is not computed again. Several models
    at once are shown together. dubav probe compare A.json B.json says whether two results differ by more than noise;
    of more files, of each task the first is compared with every other, with p corrected for the number of tests.
    """
    from dubcli.errors import UserError
    from dubcli.probe.config import ProbeConfig, parse_shots

    config = asked(
        ProbeConfig,
        locals(),
        shots=parse_shots(shots),
        modalities=None if modality is None else tuple(modality.split(",")),
    )
    if list_tasks:
        return _show_tasks(config, json)
    if task == "compare":
        return _compare([Path(model) for model in models or ()], json)
    if task is None or not models:
        raise UserError(
            "give a task and a model, as in: dubav probe esc50 runs/efj/ckpt.pt (tasks: dubav probe --list)"
        )
    return _run(task, models, config, quiet=quiet, json=json)


def _run(task: str, models: list[str], config: Any, *, quiet: bool, json: bool) -> int:
    from dubcli.cli.console import make_progress, print_json, warn
    from dubcli.probe.stage import probe_tasks

    results, failures = probe_tasks(task, models, config, make_progress(quiet=quiet or json))
    if json:
        print_json(
            {"results": [{**result.content, "path": str(result.path)} for result in results], "failures": failures}
        )
    else:
        _show_results(results)
        for name, reason in failures.items():
            warn(f"failed: {name}: {reason}")
    if failures:
        return 1 if results else 2
    return 0


def _compare(paths: list[Path], json: bool) -> int:
    from dataclasses import asdict

    from dubcli.cli.console import print_json
    from dubcli.core.compare import compare_all

    found = compare_all(paths)
    if json:
        print_json(asdict(found[0]) if len(found) == 1 else {"comparisons": [asdict(one) for one in found]})
    elif len(found) == 1:
        _show_comparison(found[0])
    else:
        _show_comparisons(found)
    return 0


def _show_comparison(found: Any) -> None:
    print(f"{found.task}, {found.metric} on {found.clips} test clips:")
    for model, score in zip(found.models, found.scores, strict=True):
        print(f"  {model}: {score:.4f}")
    low, high = found.interval
    verdict = "more than noise" if found.more_than_noise else "no more than noise"
    print(
        f"  difference {found.difference:+.4f}, 95 % in [{low:+.4f}, {high:+.4f}], p = {found.p_value:.2g} "
        f"({found.test}): {verdict}"
    )
    for notice in found.notices:
        print(f"  note: {notice}")


def _show_comparisons(found: Any) -> None:
    from dubcli.cli.console import print_table

    rows = [
        (one.task, one.modality or "-", one.metric, *one.models, f"{one.difference:+.4f}",
         f"[{one.interval[0]:+.4f}, {one.interval[1]:+.4f}]", f"{one.p_value:.2g}", f"{one.p_holm:.2g}",
         "yes" if one.more_than_noise else "no")
        for one in found
    ]  # fmt: skip
    columns = ("task", "M", "metric", "model", "other", "difference", "95 %", "p", "p (Holm)", "more than noise")
    print_table(None, columns, rows)
    print(
        f"{len(found)} tests: of as many between equals about {len(found) / 20:.1f} would have p below 0.05, so p is "
        "corrected for their number (Holm), and that decides. Intervals are of one test each."
    )
    for one in found:
        for notice in one.notices:
            print(f"note: {one.task}, {' and '.join(one.models)}: {notice}")


def _show_results(results: Any) -> None:
    from dubcli.cli.console import print_table
    from dubcli.core.results import modality_of

    rows = [
        (result.task, result.model, modality_of(result.content) or "-", result.protocol, result.metric, _score(result),
         len(result.content["scores"]), result.path)
        for result in results
    ]  # fmt: skip
    print_table(None, ("task", "model", "M", "protocol", "metric", "score", "splits", "result"), rows)


def _score(result: Any) -> str:
    from dubcli.core.results import shown

    spread = "" if result.std is None else f" ± {result.std:.3f}"
    interval = "" if result.interval is None else f" [{result.interval[0]:.3f}, {result.interval[1]:.3f}]"
    return f"{shown(result.mean)}{spread}{interval}"


def _show_tasks(config: Any, json: bool) -> int:
    from dubcli.cli.console import print_json, print_table
    from dubcli.core.results import letters
    from dubcli.probe.listing import list_tasks

    rows = list_tasks(config)
    if json:
        print_json({"tasks": rows})
        return 0
    columns = (
        "task",
        "type",
        "M",
        "N in the paper",
        "N in the data",
        "metric",
        "protocol",
        "suite",
        "licence",
        "source",
    )
    print_table(
        "Tasks: those of the paper's table B5, clips of your own, and plug-ins",
        columns,
        [
            (
                row["task"],
                row["kind"],
                letters(row["modalities"]),
                "/".join(map(str, row["classes_in_paper"])) or "-",
                row["classes_in_data_text"],
                row["metric"],
                row["protocol"],
                row["suite"],
                row["licence"],
                row["source"],
            )
            for row in rows
        ],
    )
    for row in rows:
        if row["difference"]:
            print(f"{row['task']}: {row['difference']}")
    return 0
