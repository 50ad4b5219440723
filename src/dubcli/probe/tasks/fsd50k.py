"""FSD50K as published (Zenodo 4060432): ``FSD50K.ground_truth/*.csv``, ``.dev_audio/`` and ``.eval_audio/``."""

from __future__ import annotations

from pathlib import Path

from dubcli.probe.tasks.data import MAP_FIRST, Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.splits import by_part
from dubcli.probe.tasks.tables import read_rows, read_table

LAYOUT = "FSD50K (FSD50K.ground_truth/, FSD50K.dev_audio/, FSD50K.eval_audio/)"

# Longer than 30 s because of wrong metadata in Freesound; HEAR leaves these 12 out of the training set.
TOO_LONG = frozenset({
    "83298", "83299", "121351", "121426", "121471", "121472",
    "124796", "124797", "124800", "124834", "124858", "397150",
})  # fmt: skip


def read(folder: Path) -> TaskData:
    """The published train, val and eval sets with several labels per clip, without 12 clips as in HEAR."""
    truth = folder / "FSD50K.ground_truth"
    clips = [
        _clip(folder / "FSD50K.dev_audio", row, {"val": "valid"}.get(row["split"], row["split"]))
        for row in read_table(truth / "dev.csv", "fname", "labels", "split")
        if row["fname"] not in TOO_LONG
    ]
    clips += [
        _clip(folder / "FSD50K.eval_audio", row, "test") for row in read_table(truth / "eval.csv", "fname", "labels")
    ]
    vocabulary = truth / "vocabulary.csv"
    classes = {"classes": (tuple(row[1] for row in read_rows(vocabulary)),)} if vocabulary.exists() else {}
    note = f"without the {len(TOO_LONG)} over-long training clips that HEAR leaves out"
    return labelled_task(folder, clips, by_part, kind="multilabel", metrics=MAP_FIRST, notes=(note,), **classes)


def _clip(audio: Path, row: dict[str, str], part: str) -> Clip:
    return Clip(path=audio / f"{row['fname']}.wav", labels=tuple(row["labels"].split(",")), part=part)


READERS = (
    Reader(
        layout=LAYOUT,
        requires=(
            "FSD50K.ground_truth/dev.csv",
            "FSD50K.ground_truth/eval.csv",
            "FSD50K.dev_audio",
            "FSD50K.eval_audio",
        ),
        read=read,
    ),
)
