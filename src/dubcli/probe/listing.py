"""``dubav probe --list``: what each task is, what the paper says of it and what the data that is there says."""

from __future__ import annotations

from typing import Any

from dubcli.errors import UserError
from dubcli.probe.config import ProbeConfig
from dubcli.probe.tasks.data import Task, TaskData
from dubcli.probe.tasks.find import load_task, places_under
from dubcli.probe.tasks.paper import PAPER, PaperFacts
from dubcli.probe.tasks.registry import OWN, TASKS, plugin_tasks


def list_tasks(config: ProbeConfig) -> list[dict[str, Any]]:
    """A row per task for tables and JSON.

    Args:
        config: where data are looked for.

    Returns:
        Rows with the names of ``dubav probe --list --json``; ``classes_in_data`` and ``folder`` are None where no
        data was found.

    >>> from dubcli.probe import ProbeConfig, list_tasks
    >>> {row["task"]: row["classes_in_paper"] for row in list_tasks(ProbeConfig())}["esc50"]
    [50]
    """
    plugins = list(plugin_tasks())
    rows = [_row(task, config) for task in (*TASKS.values(), *OWN.values())]
    rows += [_row(task, config) for _, task in plugins if isinstance(task, Task)]
    return rows + [_broken(name, error) for name, error in plugins if isinstance(error, UserError)]


def _row(task: Task, config: ProbeConfig) -> dict[str, Any]:
    data, trouble = _data(task, config)
    classes = None if data is None else [len(names) for names in data.classes]
    paper = PAPER.get(task.name)
    difference = _difference(paper, data)
    return {
        "task": task.name,
        "title": task.title,
        "what": task.what,
        "kind": data.kind if data is not None else paper.kind if paper is not None else "any",
        "kind_in_paper": None if paper is None else paper.kind,
        "modalities": list(task.modalities),
        "classes_in_paper": [] if paper is None else list(paper.classes),
        "classes_in_data": classes,
        "classes_in_data_text": "-" if classes is None else "/".join(map(str, classes)),
        "clips": None if data is None else len(data.clips),
        "folder": None if data is None else str(data.folder),
        "layout": None if data is None else data.layout,
        "layouts": list(task.layouts),
        "difference": "; ".join(filter(None, (difference, trouble))) or None,
        "metric": task.metric,
        "protocol": task.protocol,
        "suite": "-" if paper is None else paper.suite,
        "licence": task.licence,
        "source": task.source,
    }


def _data(task: Task, config: ProbeConfig) -> tuple[TaskData | None, str | None]:
    places = [] if task.own is not None else places_under(task, config.data)
    for place in places:
        try:
            return load_task(task, place), None
        except UserError as error:
            return None, str(error)
    return None, None


def _broken(name: str, error: UserError) -> dict[str, Any]:
    """A row of the same columns for a plug-in that cannot be loaded."""
    task = Task(name=name, readers=(), what="a plug-in that cannot be loaded")
    return {**_row(task, ProbeConfig()), "difference": str(error)}


def _difference(paper: PaperFacts | None, data: TaskData | None) -> str | None:
    if paper is None or data is None:
        return None if paper is None else paper.difference or None
    found = []
    counts = tuple(len(names) for names in data.classes)
    fits = counts == paper.classes or (len(counts) == 1 and counts[0] in paper.classes)
    if not fits:
        found.append(f"{_numbers(counts)} classes in the data, N={_numbers(paper.classes)} in table B5")
    if data.kind != paper.kind:
        found.append(f"{data.kind} in the data, {paper.kind} in table B5")
    return "; ".join(found) or None


def _numbers(counts: tuple[int, ...]) -> str:
    return ", ".join(map(str, counts))
