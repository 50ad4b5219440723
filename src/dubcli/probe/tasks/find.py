"""Where a task's data lies, and in which layout."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.kinds import FILM
from dubcli.probe.tasks import hear
from dubcli.probe.tasks.data import Reader, Task, TaskData
from dubcli.probe.tasks.files import Files, seen

DATA_VARIABLE = "DUBAV_DATA"
_DEPTH = 3
_FEW = 16
"""How deep a dataset is looked for, and in folders of how many folders."""
_SHOWN = 3


def load_task(task: Task, data: Path | None) -> TaskData:
    """The clips and splits of a task found in ``data``, else in $DUBAV_DATA/<task>, else in data/<task>.

    Raises UserError that says where was looked, what is missing there, and where to get the data.
    """
    if task.own is not None:
        if data is None:
            raise UserError(f"say with --data where your clips are: {task.name} is {task.what}")
        return task.own(data)
    if data is not None and not data.is_dir():
        what = "a file" if data.exists() else "not there"
        raise UserError(f"{data} is {what}; give the folder of {task.title} with --data ({task.where})")
    roots = [data] if data is not None else [root for root in default_places(task) if root.is_dir()]
    for root in roots:
        found = _recognise(task, root)
        if found is not None:
            reader, folder = found
            read = _with_files_around(reader.read(folder), root).with_notes(*_alike_beside(reader, folder, root))
            return replace(read, name=task.name, layout=read.layout or reader.layout)
    raise UserError(_where_to_get_it(task, roots))


def _alike_beside(reader: Reader, folder: Path, root: Path) -> list[str]:
    """A note of folders beside the one that is read which could be meant too: copies, other editions."""
    if folder == root or reader is hear.READER:  # HEAR's folders say which task and mode they are
        return []
    names = [other.name for other in _below(folder.parent) if other != folder and reader.recognises(other)]
    beside = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
    return [f"{folder.name} is read; beside it and left out, of the same layout: {beside}"] if names else []


def _with_files_around(data: TaskData, root: Path) -> TaskData:
    """The same with clips from anywhere below ``root``, where none lies in the folder of the lists: archives of one
    dataset that were each unpacked into a folder of its own."""
    if data.folder == root or any(clip.path.exists() for clip in data.clips):
        return data
    files = Files(root, FILM)
    listed = {path: os.path.relpath(path, data.folder) for path in {clip.path for clip in data.clips}}
    found = {path: files.find(name) for path, name in listed.items() if not name.startswith("..")}
    if len(set(found.values())) < len(found) or not any(path.exists() for path in found.values()):
        return data
    clips = tuple(replace(clip, path=found.get(clip.path, clip.path)) for clip in data.clips)
    return replace(data, folder=root, clips=clips)


def places_under(task: Task, root: Path | None) -> list[Path]:
    """The folders in which ``probe all`` looks for a task: ``root``'s HEAR tasks, then folders below ``root`` that
    have its name, then those of other names that have its layout, ``root`` itself among them."""
    if root is None:
        return [place for place in default_places(task) if place.is_dir()]
    if not root.is_dir():
        return []
    named = [root / name for name in task.folders if (root / name).is_dir()]
    alike = [folder for folder in _below(root) if _recognise(task, folder) is not None]
    itself = [root] if any(reader.recognises(root) for reader in task.readers) else []
    return [*dict.fromkeys([*hear_folders(task, root), *named, *alike, *itself])]


def left_aside(tasks: Iterable[Task], root: Path) -> list[str]:
    """Names of the folders below ``root`` that hold none of ``tasks``."""
    used = {place for task in tasks for place in places_under(task, root)}
    if root in used:
        return []
    return [folder.name for folder in _below(root) if not any(folder in (place, *place.parents) for place in used)]


def default_places(task: Task) -> list[Path]:
    """Where the data of a task is looked for without ``--data``."""
    roots = [Path(os.environ[DATA_VARIABLE])] if os.environ.get(DATA_VARIABLE) else []
    places = [root / name for root in (*roots, Path("data")) for name in task.folders]
    return [*places, *(folder for root in roots for folder in hear_folders(task, root))]


def hear_folders(task: Task, root: Path) -> list[Path]:
    """HEAR task folders of this task and mode in ``root``, in its ``tasks/`` or in ``hear-<version>/tasks/`` below it.

    A folder of another mode (``small``) comes last.
    """
    fitting, others = [], []
    for folder, metadata in hear.folders_in(root) if task.hear else ():
        if metadata.get("task_name") == task.hear:
            mode = str(metadata.get("mode", "full"))
            if mode == task.hear_mode:
                fitting.append(folder)
            elif mode not in ("full", "5h"):
                others.append(folder)
    return fitting + others


def _recognise(task: Task, root: Path) -> tuple[Reader, Path] | None:
    for folder in hear_folders(task, root):
        return hear.READER, folder
    for folder in _candidates(task, root):
        for reader in task.readers:
            if reader.recognises(folder):
                return reader, folder
    return None


def _candidates(task: Task, root: Path) -> Iterator[Path]:
    """Where a layout may begin: ``root``, what has the task's name, then what lies below, the least deep first.

    Archives unpack into folders within folders; those with many are a dataset's own and are not gone into.
    """
    yield root
    yield from (root / name for name in task.folders if (root / name).is_dir())
    level = [root]
    for _ in range(_DEPTH):
        wrappers = (_below(folder) for folder in level)
        level = [path for below in wrappers if level == [root] or len(below) <= _FEW for path in below]
        yield from level


def _below(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if entry.is_dir() and entry.name[0] not in "._")
    except OSError:
        return []  # a folder that nobody may read holds no dataset


def _where_to_get_it(task: Task, roots: list[Path]) -> str:
    if not roots:
        looked = ", ".join(str(place) for place in dict.fromkeys([Path("$DUBAV_DATA") / task.name,
                                                                  Path("data") / task.name]))  # fmt: skip
        return (
            f"no data for {task.title}: looked at {looked}; {task.where}, unpack it there or give "
            "its folder with --data"
        )
    nearest, lacking = _nearest_layout(task, roots)
    layouts = "; ".join(task.layouts)
    return f"{nearest} lacks {', '.join(lacking)} of {task.title}'s layout ({layouts}): {seen(nearest)}; {task.where}"


def _nearest_layout(task: Task, roots: list[Path]) -> tuple[Path, list[str]]:
    """The folder that has most of a layout, and what it lacks."""
    best = (0.0, roots[0], list(task.readers[0].requires) if task.readers else [hear.METADATA])
    for root in roots:
        for folder in _candidates(task, root):
            for reader in (one for one in task.readers if not one.requires[0].startswith("../")):
                lacking = reader.missing(folder)
                share = 1 - len(lacking) / len(reader.requires)
                if lacking and share > best[0]:
                    best = (share, folder, lacking)
    return best[1], best[2]
