"""TUT Urban Acoustic Scenes 2018, development set (DCASE 2018 task 1A), as published (Zenodo 1228142)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dubcli.errors import UserError
from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task, sorted_classes
from dubcli.probe.tasks.files import Files, located
from dubcli.probe.tasks.splits import by_part
from dubcli.probe.tasks.tables import read_rows, read_table

LAYOUT = "DCASE 2018 task 1A (meta.csv, evaluation_setup/, audio/)"
_TESTED = "fold1_[et][ev]*.txt"
DEVICE = "a"
_MOBILE = "the mobile set of task 1B, not TUT Urban Acoustic Scenes 2018 of task 1A, which has device a alone"


def read(folder: Path) -> TaskData:
    """The published development split: evaluation_setup/fold1_train.txt trains, fold1_evaluate.txt (or _test) tests."""
    setup, meta, files = located(folder, "evaluation_setup"), located(folder, "meta.csv"), Files(folder)
    rows = list(read_table(meta, "filename", "scene_label", delimiter="\t"))
    label_of = {row["filename"]: row["scene_label"] for row in rows}
    listed = [
        (name, part)
        for part, table in (("train", "fold1_train.txt"), ("test", _TESTED))
        for name in _names(located(setup, table))
    ]
    strange = [name for name, _ in listed if name not in label_of]
    if strange:
        raise UserError(f"{setup} names {strange[0][:80]!r} and {len(strange) - 1} more that {meta} does not")
    clips = [Clip(path=files.find(name), labels=(label_of[name],), part=part) for name, part in listed]
    classes = (sorted_classes(label_of.values()),)
    devices = sorted({row.get("source_label", DEVICE) for row in rows})
    notes = () if devices == [DEVICE] else (f"recordings of devices {', '.join(devices)}: {_MOBILE}",)
    split = partial(by_part, name="fold1")
    return labelled_task(folder, clips, split, classes=classes, metrics=("top1_acc",), notes=notes)


def _names(path: Path) -> list[str]:
    return [row[0] for row in read_rows(path, "\t") if row[0] != "filename"]


READERS = (
    Reader(
        layout=LAYOUT,
        requires=("meta.csv", "evaluation_setup/fold1_train.txt", f"evaluation_setup/{_TESTED}"),
        read=read,
    ),
)
