"""Vocal Imitation Set as published: ``vocal_imitations.txt`` and ``vocal_imitations/included/`` (Zenodo 1340763)."""

from __future__ import annotations

from pathlib import Path

from dubcli.probe.tasks.data import (
    MAP_FIRST,
    Clip,
    Reader,
    TaskData,
    check_labels,
    in_fixed_order,
    sorted_classes,
)
from dubcli.probe.tasks.splits import seeded_kfold
from dubcli.probe.tasks.tables import read_table

LAYOUT = "VocalImitationSet (vocal_imitations.txt, vocal_imitations/included/)"
FOLDS = 3


def read(folder: Path) -> TaskData:
    """The imitations marked as included; the label is the reference recording that was imitated, as in HEAR."""
    table = read_table(
        folder / "vocal_imitations.txt", "imitation_filename", "reference_filename", "included", delimiter="\t"
    )
    included = folder / "vocal_imitations" / "included"
    clips = in_fixed_order(
        Clip(path=included / row["imitation_filename"], labels=(row["reference_filename"],))
        for row in table
        if row["included"] == "True"
    )
    labels = [clip.labels[0] for clip in clips]
    return check_labels(
        TaskData(
            name="vocalimitation",
            kind="multiclass",
            folder=folder,
            layout=LAYOUT,
            classes=(sorted_classes(labels),),
            clips=clips,
            splits=seeded_kfold([clip.path.name for clip in clips], labels, FOLDS),
            metrics=MAP_FIRST,
            official=False,
            notes=(f"{FOLDS} seeded folds, not HEAR's",),
        )
    )


READERS = (
    Reader(layout=LAYOUT, requires=("vocal_imitations.txt", "vocal_imitations/included"), read=read),
)  # fmt: skip
