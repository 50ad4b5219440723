"""``dubav probe --list``: what each task is, what the paper says of it and what the data that is there says."""

from __future__ import annotations

from typing import Any

from dubcli.errors import UserError
from dubcli.probe.config import ProbeConfig
from dubcli.probe.tasks.data import TaskData
from dubcli.probe.tasks.find import load_task, places_under
from dubcli.probe.tasks.registry import FOLDER, TASKS, Task

# What HEAR's and the datasets' own files say where table B5 says something else; shown also when no data is there.
KNOWN_DIFFERENCES = {
    "vocalimitation": "multilabel in table B5, multiclass on disk",
    "libricount": "N=10 in table B5, 11 classes (0 to 10 speakers) on disk",
    "cremad": "N=7 in table B5, 6 emotions on disk",
    "vggsound": "N=310 in table B5, 309 labels in vggsound.csv",
    "speechcommands-5h": "N=12, 35 in table B5; HEAR's folder has 12 classes",
    "speechcommands-full": "N=12, 35 in table B5; HEAR's folder has 12 classes, the published set 35 words",
}


def list_tasks(config: ProbeConfig) -> list[dict[str, Any]]:
    """A row per task for tables and JSON; ``classes_in_data`` and ``folder`` are None where no data was found."""
    return [_row(task, config) for task in (*TASKS.values(), FOLDER)]


def _row(task: Task, config: ProbeConfig) -> dict[str, Any]:
    data, trouble = _data(task, config)
    classes = None if data is None else [len(names) for names in data.classes]
    difference = _difference(task, data)
    return {
        "task": task.name,
        "title": task.title,
        "what": task.what,
        "kind": task.paper_kind if data is None else data.kind,
        "kind_in_paper": task.paper_kind,
        "modalities": list(task.modalities),
        "classes_in_paper": list(task.paper_classes),
        "classes_in_data": classes,
        "classes_in_data_text": "-" if classes is None else "/".join(map(str, classes)),
        "clips": None if data is None else len(data.clips),
        "folder": None if data is None else str(data.folder),
        "layout": None if data is None else data.layout,
        "layouts": list(task.layouts),
        "difference": "; ".join(filter(None, (difference, trouble))) or None,
        "metric": task.metric,
        "protocol": task.protocol,
        "suite": task.suite,
        "licence": task.licence,
        "source": task.source,
    }


def _data(task: Task, config: ProbeConfig) -> tuple[TaskData | None, str | None]:
    places = [] if task is FOLDER else places_under(task, config.data)
    for place in places:
        try:
            return load_task(task, place), None
        except UserError as error:
            return None, str(error)
    return None, None


def _difference(task: Task, data: TaskData | None) -> str | None:
    if data is None or not task.paper_classes:
        return KNOWN_DIFFERENCES.get(task.name)
    found = []
    counts = tuple(len(names) for names in data.classes)
    fits = counts == task.paper_classes or (len(counts) == 1 and counts[0] in task.paper_classes)
    if not fits:
        found.append(f"{_numbers(counts)} classes in the data, N={_numbers(task.paper_classes)} in table B5")
    if data.kind != task.paper_kind:
        found.append(f"{data.kind} in the data, {task.paper_kind} in table B5")
    return "; ".join(found) or None


def _numbers(counts: tuple[int, ...]) -> str:
    return ", ".join(map(str, counts))
