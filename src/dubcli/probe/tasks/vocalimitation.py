"""Vocal Imitation Set as published: ``vocal_imitations.txt`` and ``vocal_imitations/included/`` (Zenodo 1340763)."""

from __future__ import annotations

from pathlib import Path

from dubcli.probe.tasks.data import MAP_FIRST, Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import Files, located
from dubcli.probe.tasks.splits import by_seed
from dubcli.probe.tasks.tables import read_table

LAYOUT = "VocalImitationSet (vocal_imitations.txt, vocal_imitations/included/)"
TABLE = "vocal_imitations.txt"
FOLDS = 3


def read(folder: Path) -> TaskData:
    """The imitations marked as included; the label is the reference recording that was imitated, as in HEAR."""
    files = Files(folder)
    table = read_table(located(folder, TABLE), "imitation_filename", "reference_filename", "included", delimiter="\t")
    clips = [
        Clip(
            path=files.find(f"vocal_imitations/included/{row['imitation_filename']}"),
            labels=(row["reference_filename"],),
        )
        for row in table
        if row["included"].lower() == "true"
    ]
    note = f"{FOLDS} seeded folds, not HEAR's"
    return labelled_task(folder, clips, by_seed(FOLDS), metrics=MAP_FIRST, official=False, notes=(note,))


READERS = (Reader(layout=LAYOUT, requires=(TABLE,), read=read),)
