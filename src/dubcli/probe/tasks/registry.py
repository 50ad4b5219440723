"""The 15 tasks of the paper's table B5, and the names under which users and HEAR know them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dubcli.errors import UserError
from dubcli.probe.tasks import (
    actions,
    esc50,
    fluent,
    folder,
    fsd50k,
    speechcommands,
    tut18,
    unsplit,
    vggsound,
    vocalimitation,
    voxforge,
)
from dubcli.probe.tasks.data import Reader

AUDIO = ("audio",)
VIDEO = ("video",)
BOTH = ("audio", "video")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task. ``paper_classes`` is the N of table B5; ``hear``: names of HEAR task folders, with ``hear_mode``.

    ``protocol``: the paper's for this task. ``metric``: the one in the paper's tables. ``source``: where to get it.
    """

    name: str
    title: str
    what: str
    paper_kind: str
    paper_classes: tuple[int, ...]
    metric: str
    protocol: str
    suite: str
    licence: str
    source: str
    readers: tuple[Reader, ...]
    modalities: tuple[str, ...] = AUDIO
    hear: str = ""
    hear_mode: str = "full"
    aliases: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """Names that the data's folder may have under a common root."""
        return (self.name, *self.aliases)

    @property
    def layouts(self) -> tuple[str, ...]:
        """The layouts that are read, in words."""
        own = tuple(dict.fromkeys(reader.layout for reader in self.readers))
        return (f"HEAR task folder {self.hear}-*-{self.hear_mode}", *own) if self.hear else own


_HEAR_ARCHIVES = "HEAR archives at 48 kHz: https://hearbenchmark.com/hear-tasks.html"

TASKS = {
    task.name: task
    for task in (
        Task(
            name="esc50", title="ESC-50", what="environmental sounds", paper_kind="multiclass", paper_classes=(50,),
            metric="top1_acc", protocol="hear", suite="HEAR, HARES", licence="CC BY-NC 3.0",
            source=f"https://github.com/karolpiczak/ESC-50; {_HEAR_ARCHIVES}", readers=esc50.READERS, hear="esc50",
            aliases=("esc-50", "ESC-50", "ESC-50-master"),
        ),
        Task(
            name="fsd50k", title="FSD50K", what="sound events", paper_kind="multilabel", paper_classes=(200,),
            metric="mAP", protocol="hear", suite="HEAR", licence="CC BY 4.0; clips CC0, BY, BY-NC, Sampling+",
            source=f"https://zenodo.org/record/4060432; {_HEAR_ARCHIVES}", readers=fsd50k.READERS, hear="fsd50k",
            aliases=("FSD50K",),
        ),
        Task(
            name="tut18", title="TUT18", what="acoustic scenes (DCASE 2018 task 1A)", paper_kind="multiclass",
            paper_classes=(10,), metric="top1_acc", protocol="hares", suite="HARES",
            licence="TUT, non-commercial with attribution", source="https://zenodo.org/record/1228142",
            readers=tut18.READERS, aliases=("dcase2018", "TUT-urban-acoustic-scenes-2018-development"),
        ),
        Task(
            name="vocalimitation", title="Vocal Imitation", what="vocal imitations of sounds",
            paper_kind="multilabel", paper_classes=(302,), metric="mAP", protocol="hear", suite="HEAR",
            licence="CC BY 4.0", source=f"https://zenodo.org/record/1340763; {_HEAR_ARCHIVES}",
            readers=vocalimitation.READERS, hear="vocal_imitation", aliases=("vocal-imitation", "VocalImitationSet"),
        ),
        Task(
            name="vggsound", title="VGGSound", what="video classification", paper_kind="multiclass",
            paper_classes=(310,), metric="top1_acc", protocol="sgd", suite="-",
            licence="CC BY 4.0 (list); YouTube videos", source="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
            readers=vggsound.READERS, modalities=BOTH, aliases=("VGGSound",),
        ),
        Task(
            name="cremad", title="CREMA-D", what="emotions", paper_kind="multiclass", paper_classes=(7,),
            metric="top1_acc", protocol="hear", suite="HEAR, NOSS", licence="ODbL 1.0",
            source=f"https://github.com/CheyneyComputerScience/CREMA-D; {_HEAR_ARCHIVES}", readers=unsplit.CREMA_D,
            hear="tfds_crema_d", aliases=("crema-d", "CREMA-D"),
        ),
        Task(
            name="gtzan-music-speech", title="GTZAN", what="music or speech", paper_kind="multiclass",
            paper_classes=(2,), metric="top1_acc", protocol="hear", suite="HEAR", licence="none stated",
            source=f"http://marsyas.info/downloads/datasets.html (music_speech.tar.gz); {_HEAR_ARCHIVES}",
            readers=unsplit.GTZAN, hear="tfds_gtzan_music_speech", aliases=("gtzan", "music_speech"),
        ),
        Task(
            name="libricount", title="LibriCount", what="number of speakers", paper_kind="multiclass",
            paper_classes=(10,), metric="top1_acc", protocol="hear", suite="HEAR", licence="CC BY 4.0",
            source=f"https://zenodo.org/record/1216072; {_HEAR_ARCHIVES}", readers=unsplit.LIBRICOUNT,
            hear="libricount", aliases=("LibriCount", "LibriCount10-0dB"),
        ),
        Task(
            name="fluent-speech-commands", title="FlSpComm", what="spoken commands: action, object, location",
            paper_kind="multioutput", paper_classes=(6, 14, 4), metric="top1_acc", protocol="hares", suite="HARES",
            licence="Fluent.ai, academic use only", readers=fluent.READERS,
            source="https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-understanding-research/",
            aliases=("fluent", "flspcomm", "fluent_speech_commands_dataset"),
        ),
        Task(
            name="speechcommands-5h", title="SpComm 5h", what="keywords, 5 hours", paper_kind="multiclass",
            paper_classes=(12, 35), metric="top1_acc", protocol="hear", suite="HEAR, HARES, NOSS",
            licence="CC BY 4.0", source=f"https://arxiv.org/abs/1804.03209 (v0.02); {_HEAR_ARCHIVES}",
            readers=speechcommands.FIVE_HOURS, hear="speech_commands", hear_mode="5h",
            aliases=("speech_commands-5h", "speech_commands", "speech_commands_v0.02"),
        ),
        Task(
            name="speechcommands-full", title="SpComm full", what="keywords", paper_kind="multiclass",
            paper_classes=(12, 35), metric="top1_acc", protocol="hear", suite="HEAR, HARES, NOSS",
            licence="CC BY 4.0", source=f"https://arxiv.org/abs/1804.03209 (v0.02); {_HEAR_ARCHIVES}",
            readers=speechcommands.FULL, hear="speech_commands",
            aliases=("speechcommands", "speech_commands-full", "speech_commands", "speech_commands_v0.02"),
        ),
        Task(
            name="voxforge", title="VoxForge", what="languages", paper_kind="multiclass", paper_classes=(6,),
            metric="top1_acc", protocol="hares", suite="HARES", licence="GPL 3.0", source="http://www.voxforge.org",
            readers=voxforge.READERS, aliases=("VoxForge",),
        ),
        Task(
            name="voxlingua10", title="VoxLingua top 10", what="languages", paper_kind="multiclass",
            paper_classes=(10,), metric="top1_acc", protocol="hear", suite="HEAR", licence="CC BY 4.0 (list)",
            source=f"http://bark.phon.ioc.ee/voxlingua107/ (dev.zip); {_HEAR_ARCHIVES}", readers=unsplit.VOXLINGUA,
            hear="vox_lingua_top10", aliases=("voxlingua", "vox_lingua_top10", "voxlingua107"),
        ),
        Task(
            name="hmdb51", title="HMDB51", what="actions", paper_kind="multiclass", paper_classes=(51,),
            metric="top1_acc", protocol="sgd", suite="-", licence="CC BY 4.0",
            source="https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/",
            readers=actions.HMDB51, modalities=VIDEO, aliases=("HMDB51", "hmdb"),
        ),
        Task(
            name="ucf101", title="UCF101", what="actions", paper_kind="multiclass", paper_classes=(101,),
            metric="top1_acc", protocol="sgd", suite="-", licence="none stated",
            source="https://www.crcv.ucf.edu/data/UCF101.php", readers=actions.UCF101, modalities=VIDEO,
            aliases=("UCF101", "UCF-101", "ucf"),
        ),
    )
}  # fmt: skip

FOLDER = Task(
    name="folder", title="folder", what="clips of your own in train/<label>/", paper_kind="multiclass",
    paper_classes=(), metric="top1_acc", protocol="logreg", suite="-", licence="yours", source="your own clips",
    readers=folder.READERS,
)  # fmt: skip
"""Users' own tasks, and any HEAR task folder that is not among the 15."""


def find_task(name: str) -> Task:
    """The task that ``name`` means, whatever its spelling. Raises UserError that lists the tasks."""
    wanted = _plain(name)
    if wanted == FOLDER.name:
        return FOLDER
    for task in TASKS.values():
        if wanted in {_plain(known) for known in (task.name, task.hear if task.hear_mode == "full" else "")}:
            return task
    for task in TASKS.values():
        if wanted in {_plain(known) for known in (*task.aliases, task.title)}:
            return task
    raise UserError(f"there is no task {name!r}; give one of {', '.join(TASKS)}, folder, all (see --list)")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
