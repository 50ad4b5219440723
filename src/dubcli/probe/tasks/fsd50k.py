"""FSD50K as published (Zenodo 4060432): ``FSD50K.ground_truth/*.csv``, ``.dev_audio/`` and ``.eval_audio/``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dubcli.probe.tasks.data import MAP_FIRST, Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import Files, located
from dubcli.probe.tasks.splits import by_part
from dubcli.probe.tasks.tables import read_rows, read_table

LAYOUT = "FSD50K (FSD50K.ground_truth/, FSD50K.dev_audio/, FSD50K.eval_audio/)"
COPIED = "FSD50K as copies have it (ground_truth/ or labels/, sounds in folders named dev and eval)"

# Longer than 30 s because of wrong metadata in Freesound; HEAR leaves these 12 out of the training set.
TOO_LONG = frozenset({
    "83298", "83299", "121351", "121426", "121471", "121472",
    "124796", "124797", "124800", "124834", "124858", "397150",
})  # fmt: skip


def read(folder: Path, *, truth: str, dev: str, evaluation: str) -> TaskData:
    """The published train, val and eval sets with several labels per clip, without 12 clips as in HEAR."""
    files, tables = Files(folder), located(folder, truth)

    def clip(place: str, row: dict[str, str], part: str) -> Clip:
        wanted = "*eval*" if part == "test" else "*dev*"  # FSD50K.dev_audio, FSD50K_dev_audio_16k, clips/dev
        path = files.find(f"{place}/{row['fname']}.wav", within=wanted)
        return Clip(path=path, labels=tuple(row["labels"].split(",")), part=part)

    clips = [
        clip(dev, row, {"val": "valid"}.get(row["split"], row["split"]))
        for row in read_table(located(tables, "dev.csv"), "fname", "labels", "split")
        if row["fname"] not in TOO_LONG
    ]
    clips += [clip(evaluation, row, "test") for row in read_table(located(tables, "eval.csv"), "fname", "labels")]
    vocabulary = located(tables, "vocabulary.csv")
    named = tuple(row[1] for row in read_rows(vocabulary) if len(row) > 1) if vocabulary.exists() else ()
    classes = {"classes": (named,)} if named else {}
    note = f"without the {len(TOO_LONG)} over-long training clips that HEAR leaves out"
    return labelled_task(folder, clips, by_part, kind="multilabel", metrics=MAP_FIRST, notes=(note,), **classes)


_PUBLISHED = ("FSD50K.dev_audio", "FSD50K.eval_audio")
READERS = tuple(
    Reader(
        layout=layout,
        requires=(f"{truth}/dev.csv", f"{truth}/eval.csv"),
        read=partial(read, truth=truth, dev=dev, evaluation=evaluation),
    )
    for layout, truth, (dev, evaluation) in (
        (LAYOUT, "FSD50K.ground_truth", _PUBLISHED),
        (COPIED, "*ground_truth", _PUBLISHED),
        (COPIED, "labels", ("clips/dev", "clips/eval")),
    )
)
