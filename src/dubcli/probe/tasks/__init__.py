"""The tasks of the paper's table B5 and one's own, with readers of HEAR's and the datasets' own layouts.

What a task of one's own is made of is here: see docs/extending.md.
"""

from dubcli.probe.tasks.data import Clip, ClipSplit, Reader, Task, TaskData, labelled_task
from dubcli.probe.tasks.files import Files, sounds, visible
from dubcli.probe.tasks.splits import by_fold, by_part, by_seed
from dubcli.probe.tasks.tables import read_rows, read_table

__all__ = [
    "Clip",
    "ClipSplit",
    "Files",
    "Reader",
    "Task",
    "TaskData",
    "by_fold",
    "by_part",
    "by_seed",
    "labelled_task",
    "read_rows",
    "read_table",
    "sounds",
    "visible",
]
