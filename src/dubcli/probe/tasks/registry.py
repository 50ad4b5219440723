"""The tasks there are: the 15 of the paper's table B5, clips of one's own, and plug-ins."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dubcli.core import plugins
from dubcli.errors import UserError, did_you_mean
from dubcli.probe.tasks import (
    actions,
    esc50,
    fluent,
    folder,
    fsd50k,
    speechcommands,
    table,
    tut18,
    unsplit,
    vggsound,
    vocalimitation,
    voxforge,
)
from dubcli.probe.tasks.data import BOTH, VIDEO, Task

GROUP = "dubcli.tasks"
_HEAR_ARCHIVES = "HEAR archives at 48 kHz: https://hearbenchmark.com/hear-tasks.html"

TASKS = {
    task.name: task
    for task in (
        Task(
            name="esc50",
            title="ESC-50",
            what="environmental sounds",
            protocol="hear",
            licence="CC BY-NC 3.0",
            source=f"https://github.com/karolpiczak/ESC-50; {_HEAR_ARCHIVES}",
            readers=esc50.READERS,
            hear="esc50",
            aliases=("esc-50", "ESC-50", "ESC-50-master"),
        ),
        Task(
            name="fsd50k",
            title="FSD50K",
            what="sound events",
            metric="mAP",
            protocol="hear",
            licence="CC BY 4.0; clips CC0, BY, BY-NC, Sampling+",
            source=f"https://zenodo.org/record/4060432; {_HEAR_ARCHIVES}",
            readers=fsd50k.READERS,
            hear="fsd50k",
            aliases=("FSD50K",),
        ),
        Task(
            name="tut18",
            title="TUT18",
            what="acoustic scenes (DCASE 2018 task 1A)",
            protocol="hares",
            licence="TUT, non-commercial with attribution",
            source="https://zenodo.org/record/1228142",
            readers=tut18.READERS,
            aliases=("dcase2018", "TUT-urban-acoustic-scenes-2018-development"),
        ),
        Task(
            name="vocalimitation",
            title="Vocal Imitation",
            what="vocal imitations of sounds",
            metric="mAP",
            protocol="hear",
            licence="CC BY 4.0",
            source=f"https://zenodo.org/record/1340763; {_HEAR_ARCHIVES}",
            readers=vocalimitation.READERS,
            hear="vocal_imitation",
            aliases=("vocal-imitation", "VocalImitationSet"),
        ),
        Task(
            name="vggsound",
            title="VGGSound",
            what="video classification",
            protocol="sgd",
            licence="CC BY 4.0 (list); YouTube videos",
            source="https://www.robots.ox.ac.uk/~vgg/data/vggsound/",
            readers=vggsound.READERS,
            modalities=BOTH,
            aliases=("VGGSound",),
        ),
        Task(
            name="cremad",
            title="CREMA-D",
            what="emotions",
            protocol="hear",
            licence="ODbL 1.0",
            source=f"https://github.com/CheyneyComputerScience/CREMA-D; {_HEAR_ARCHIVES}",
            readers=unsplit.CREMA_D,
            hear="tfds_crema_d",
            aliases=("crema-d", "CREMA-D"),
        ),
        Task(
            name="gtzan-music-speech",
            title="GTZAN",
            what="music or speech",
            protocol="hear",
            licence="none stated",
            source=f"http://marsyas.info/downloads/datasets.html (music_speech.tar.gz); {_HEAR_ARCHIVES}",
            readers=unsplit.GTZAN,
            hear="tfds_gtzan_music_speech",
            aliases=("gtzan", "music_speech"),
        ),
        Task(
            name="libricount",
            title="LibriCount",
            what="number of speakers",
            protocol="hear",
            licence="CC BY 4.0",
            source=f"https://zenodo.org/record/1216072; {_HEAR_ARCHIVES}",
            readers=unsplit.LIBRICOUNT,
            hear="libricount",
            aliases=("LibriCount", "LibriCount10-0dB"),
        ),
        Task(
            name="fluent-speech-commands",
            title="FlSpComm",
            what="spoken commands: action, object, location",
            protocol="hares",
            licence="Fluent.ai, academic use only",
            readers=fluent.READERS,
            source="https://fluent.ai/fluent-speech-commands-a-dataset-for-spoken-language-understanding-research/",
            aliases=("fluent", "flspcomm", "fluent_speech_commands_dataset"),
        ),
        Task(
            name="speechcommands-5h",
            title="SpComm 5h",
            what="keywords, 5 hours",
            protocol="hear",
            licence="CC BY 4.0",
            source=f"https://arxiv.org/abs/1804.03209 (v0.02); {_HEAR_ARCHIVES}",
            readers=speechcommands.FIVE_HOURS,
            hear="speech_commands",
            hear_mode="5h",
            aliases=("speech_commands-5h", "speech_commands", "speech_commands_v0.02"),
        ),
        Task(
            name="speechcommands-full",
            title="SpComm full",
            what="keywords",
            protocol="hear",
            licence="CC BY 4.0",
            source=f"https://arxiv.org/abs/1804.03209 (v0.02); {_HEAR_ARCHIVES}",
            readers=speechcommands.FULL,
            hear="speech_commands",
            aliases=("speechcommands", "speech_commands-full", "speech_commands", "speech_commands_v0.02"),
        ),
        Task(
            name="voxforge",
            title="VoxForge",
            what="languages",
            protocol="hares",
            licence="GPL 3.0",
            source="http://www.voxforge.org",
            readers=voxforge.READERS,
            aliases=("VoxForge",),
        ),
        Task(
            name="voxlingua10",
            title="VoxLingua top 10",
            what="languages",
            protocol="hear",
            licence="CC BY 4.0 (list)",
            source=f"http://bark.phon.ioc.ee/voxlingua107/ (dev.zip); {_HEAR_ARCHIVES}",
            readers=unsplit.VOXLINGUA,
            hear="vox_lingua_top10",
            aliases=("voxlingua", "vox_lingua_top10", "voxlingua107"),
        ),
        Task(
            name="hmdb51",
            title="HMDB51",
            what="actions",
            protocol="sgd",
            licence="CC BY 4.0",
            source="https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/",
            readers=actions.HMDB51,
            modalities=VIDEO,
            aliases=("HMDB51", "hmdb"),
            alternative_splits=True,
        ),
        Task(
            name="ucf101",
            title="UCF101",
            what="actions",
            protocol="sgd",
            licence="none stated",
            source="https://www.crcv.ucf.edu/data/UCF101.php",
            readers=actions.UCF101,
            modalities=VIDEO,
            aliases=("UCF101", "UCF-101", "ucf"),
            alternative_splits=True,
        ),
    )
}

FOLDER = Task(
    name="folder",
    what="clips of your own in train/<label>/, or any HEAR task folder",
    licence="yours",
    source="your own clips",
    readers=(),
    own=folder.read_own,
)
TABLE = Task(
    name="table",
    what="clips of your own in a table: path, label or labels, split or fold, start, duration",
    licence="yours",
    source="your own clips",
    readers=(),
    own=table.read_own,
)
OWN = {task.name: task for task in (TABLE, FOLDER)}
"""Tasks whose data a user names."""


def find_task(name: str) -> Task:
    """The task that ``name`` means, whatever its spelling, or a plug-in's. Raises UserError that lists the tasks."""
    wanted = _plain(name)
    known = (*TASKS.values(), *OWN.values())
    for spellings in (_names, _other_names):
        for task in known:
            if ":" not in name and wanted in map(_plain, spellings(task)):
                return task
    if ":" in name or name in plugins.names(GROUP):
        return load_plugin(name)
    spelled = [*plugins.names(GROUP, {**TASKS, **OWN}), "all"]
    near = did_you_mean(name, [*spelled, *(other for task in known for other in _other_names(task))])
    raise UserError(
        f"there is no task {name!r}{near}; give one of {', '.join(spelled)} (see --list), or MODULE:NAME; any "
        "other HEAR task folder is read by folder"
    )


def load_plugin(name: str) -> Task:
    """The task of an entry point or of MODULE:NAME. Raises UserError for what is none."""
    found = plugins.load(GROUP, name, asked="task")
    if not isinstance(found, Task):
        raise UserError(f"task {name} is a {type(found).__name__}; give a dubcli.probe.tasks.Task")
    return found


def plugin_tasks() -> Iterator[tuple[str, Task | UserError]]:
    """Tasks of the packages installed, by name, or why one cannot be loaded."""
    for name in plugins.names(GROUP):
        if name in TASKS or name in OWN:
            continue
        try:
            yield name, load_plugin(name)
        except UserError as error:
            yield name, error


def _names(task: Task) -> tuple[str, ...]:
    return (task.name, task.hear if task.hear_mode == "full" else task.name)


def _other_names(task: Task) -> tuple[str, ...]:
    return (*task.aliases, task.title)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
