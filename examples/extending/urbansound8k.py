"""UrbanSound8K as published: ``dubav probe urbansound8k:TASK runs/efj --data UrbanSound8K/``."""

from pathlib import Path

from dubcli.probe.tasks import Clip, Reader, Task, TaskData, by_fold, labelled_task, read_table


def read(folder: Path) -> TaskData:
    rows = read_table(folder / "metadata" / "UrbanSound8K.csv", "slice_file_name", "fold", "class")
    clips = [
        Clip(
            path=folder / "audio" / f"fold{row['fold']}" / row["slice_file_name"],
            labels=(row["class"],),
            part=row["fold"],
        )
        for row in rows
    ]
    return labelled_task(folder, clips, by_fold)


TASK = Task(
    name="urbansound8k",
    title="UrbanSound8K",
    what="sounds of the city",
    licence="CC BY-NC 4.0",
    source="https://urbansounddataset.weebly.com/urbansound8k.html",
    readers=(Reader(layout="UrbanSound8K", requires=("metadata/UrbanSound8K.csv", "audio/fold1"), read=read),),
)
