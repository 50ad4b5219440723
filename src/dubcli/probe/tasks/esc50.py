"""ESC-50 as published: ``meta/esc50.csv`` with a fold per clip, and ``audio/`` (https://github.com/karolpiczak/ESC-50).

The first edition, which Harvard's Dataverse has (doi:10.7910/DVN/YDEPUT), is a folder per class instead.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import ANY_SOUND, Files, located, sounds
from dubcli.probe.tasks.splits import by_fold
from dubcli.probe.tasks.tables import read_table, whole_number

LAYOUT = "ESC-50 (meta/esc50.csv, audio/)"
FOLDERS_LAYOUT = "ESC-50's first edition (101 - Dog/<fold>-<clip>-<take>.ogg)"
_CATEGORIES = (
    "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow", "rain", "sea_waves",
    "crackling_fire", "crickets", "chirping_birds", "water_drops", "wind", "pouring_water", "toilet_flush",
    "thunderstorm", "crying_baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing",
    "brushing_teeth", "snoring", "drinking_sipping", "door_wood_knock", "mouse_click", "keyboard_typing",
    "door_wood_creaks", "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick",
    "glass_breaking", "helicopter", "chainsaw", "siren", "car_horn", "engine", "train", "church_bells", "airplane",
    "fireworks", "hand_saw",
)  # fmt: skip
"""As ``esc50.csv`` has them: folder 101 is the first, 110 the tenth, 201 the eleventh."""
_WHOLE = 2000
_FOLDER, _NAME = r"([1-5])(0[1-9]|10) ?- ?.+", r"([1-5])-\d+-[A-Z](-\d+)?"


def read(folder: Path, *, table: str) -> TaskData:
    """2000 clips of 5 s in 5 folds; fold i tests, the next one validates, as HEAR does."""
    path, files = located(folder, table), Files(folder)
    clips = []
    for row in read_table(path, "filename", "fold", "category"):
        fold = whole_number(row["fold"], path, "fold")
        sound = files.find(f"audio/{row['filename']}")
        clips.append(Clip(path=sound, labels=(row["category"],), part=f"fold{fold - 1:02}"))
    return labelled_task(folder, clips, by_fold)


def read_folders(folder: Path) -> TaskData:
    """The same clips and folds; the fold stands first in a name, the class is the folder's number."""
    clips = []
    for path in sounds(folder, "[1-5][01][0-9]*/*"):
        of_class, of_clip = re.fullmatch(_FOLDER, path.parent.name), re.fullmatch(_NAME, path.stem, re.IGNORECASE)
        if of_class and of_clip:
            category = _CATEGORIES[10 * (int(of_class[1]) - 1) + int(of_class[2]) - 1]
            clips.append(Clip(path=path, labels=(category,), part=f"fold{int(of_clip[1]) - 1:02}"))
    notes = (f"{len(clips)} of the dataset's {_WHOLE} sounds are there",) if len(clips) < _WHOLE else ()
    return labelled_task(folder, clips, by_fold, notes=notes)


READERS = (
    *(
        Reader(layout=LAYOUT, requires=(table,), read=partial(read, table=table))
        for table in ("meta/esc50.csv", "esc50.csv")  # the second in copies
    ),
    Reader(
        layout=FOLDERS_LAYOUT,
        requires=(f"[1-5][01][0-9]*/[1-5]-*-?{ANY_SOUND}",),
        read=read_folders,
        not_with=("meta/esc50.csv", "esc50.csv"),
    ),
)
