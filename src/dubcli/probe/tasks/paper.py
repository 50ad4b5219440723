"""What the paper's table B5 says of its 15 tasks, apart from what the tasks are on disk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperFacts:
    """A row of table B5: prediction type, the numbers of classes (N), suites. ``difference``: where the datasets' own
    files are known to say otherwise."""

    kind: str
    classes: tuple[int, ...]
    suite: str
    difference: str = ""


PAPER = {
    "esc50": PaperFacts("multiclass", (50,), "HEAR, HARES"),
    "fsd50k": PaperFacts("multilabel", (200,), "HEAR"),
    "tut18": PaperFacts("multiclass", (10,), "HARES"),
    "vocalimitation": PaperFacts("multilabel", (302,), "HEAR", "multilabel in table B5, multiclass on disk"),
    "vggsound": PaperFacts("multiclass", (310,), "-", "N=310 in table B5, 309 labels in vggsound.csv"),
    "cremad": PaperFacts("multiclass", (7,), "HEAR, NOSS", "N=7 in table B5, 6 emotions on disk"),
    "gtzan-music-speech": PaperFacts("multiclass", (2,), "HEAR"),
    "libricount": PaperFacts("multiclass", (10,), "HEAR", "N=10 in table B5, 11 classes (0 to 10 speakers) on disk"),
    "fluent-speech-commands": PaperFacts("multioutput", (6, 14, 4), "HARES"),
    "speechcommands-5h": PaperFacts(
        "multiclass", (12, 35), "HEAR, HARES, NOSS", "N=12, 35 in table B5; HEAR's folder has 12 classes"
    ),
    "speechcommands-full": PaperFacts(
        "multiclass",
        (12, 35),
        "HEAR, HARES, NOSS",
        "N=12, 35 in table B5; HEAR's folder has 12 classes, the published set 35 words",
    ),
    "voxforge": PaperFacts("multiclass", (6,), "HARES"),
    "voxlingua10": PaperFacts("multiclass", (10,), "HEAR"),
    "hmdb51": PaperFacts("multiclass", (51,), "-"),
    "ucf101": PaperFacts("multiclass", (101,), "-"),
}
