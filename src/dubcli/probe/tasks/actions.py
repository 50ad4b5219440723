"""HMDB51 and UCF101 as published: videos in a folder per action, and three splits in text files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from dubcli.errors import UserError
from dubcli.probe.tasks.data import Clip, ClipSplit, Reader, TaskData, check_labels, in_fixed_order, sorted_classes
from dubcli.probe.tasks.tables import read_lines

HMDB_LAYOUT = "HMDB51 (testTrainMulti_7030_splits/, <action>/*.avi)"
UCF_LAYOUT = "UCF101 (ucfTrainTestlist/, UCF-101/<action>/*.avi)"
_HMDB_LISTS = ("testTrainMulti_7030_splits", "splits", "test_train_splits/testTrainMulti_7030_splits")
_HMDB_PARTS = {"0": "unused", "1": "train", "2": "test"}


def read_hmdb(folder: Path) -> TaskData:
    """The three splits of 70 training and 30 test clips per action; a clip marked 0 is not used in that split."""
    lists = next((folder / name for name in _HMDB_LISTS if (folder / name).is_dir()), folder)
    parts: dict[str, dict[str, str]] = {}
    for path in sorted(lists.glob("*_test_split[123].txt")):
        action, split = re.fullmatch(r"(.+)_test_split(\d)", path.stem).groups()  # type: ignore[union-attr]
        own = parts.setdefault(f"split{split}", {})
        for line in read_lines(path):
            name, _, mark = line.rpartition(" ")
            if mark not in _HMDB_PARTS:
                raise UserError(f"{path} holds {line[:80]!r}; a line is a video's name and 0, 1 or 2")
            own[f"{action}/{name.strip()}"] = _HMDB_PARTS[mark]
    videos = _videos(folder, next(iter(parts.values())), skipping=lists)
    return _task("hmdb51", HMDB_LAYOUT, folder, videos, parts)


def read_ucf(folder: Path) -> TaskData:
    """The three splits by groups of clips of one source video; classes from the lists' folder names."""
    lists = next(path.parent for path in (*folder.glob("trainlist01.txt"), *folder.glob("*/trainlist01.txt")))
    parts: dict[str, dict[str, str]] = {}
    for split in ("01", "02", "03"):
        own = parts.setdefault(f"split{int(split)}", {})
        for part in ("train", "test"):
            for line in read_lines(lists / f"{part}list{split}.txt"):
                own[line.split()[0]] = part
    videos = _videos(folder, next(iter(parts.values())), skipping=lists)
    return _task("ucf101", UCF_LAYOUT, folder, videos, parts)


def _videos(folder: Path, names: Mapping[str, str], *, skipping: Path) -> Path:
    """The folder that holds the action folders: ``folder`` itself or one in it, whichever has most of them."""
    actions = {name.split("/")[0] for name in names}
    places = [folder, *(path for path in sorted(folder.iterdir()) if path.is_dir() and path != skipping)]
    return max(places, key=lambda place: sum((place / action).is_dir() for action in actions))


def _task(name: str, layout: str, folder: Path, videos: Path, parts: Mapping[str, Mapping[str, str]]) -> TaskData:
    used = {video for own in parts.values() for video, part in own.items() if part != "unused"}
    clips = in_fixed_order(Clip(path=videos / video, labels=(video.split("/")[0],)) for video in used)
    number = {clip.path: index for index, clip in enumerate(clips)}

    def chosen(own: Mapping[str, str], wanted: str) -> tuple[int, ...]:
        return tuple(sorted(number[videos / video] for video, part in own.items() if part == wanted))

    splits: Sequence[ClipSplit] = [
        ClipSplit(name=split, train=chosen(own, "train"), valid=(), test=chosen(own, "test"))
        for split, own in sorted(parts.items())
    ]
    return check_labels(
        TaskData(
            name=name,
            kind="multiclass",
            folder=folder,
            layout=layout,
            classes=(sorted_classes(clip.labels[0] for clip in clips),),
            clips=clips,
            splits=tuple(splits),
            metrics=("top1_acc",),
        )
    )


HMDB51 = tuple(
    Reader(layout=HMDB_LAYOUT, requires=(f"{place}*_test_split1.txt",), read=read_hmdb)
    for place in (*(f"{name}/" for name in _HMDB_LISTS), "")
)
_UCF_LISTS = [f"{part}list0{split}.txt" for part in ("train", "test") for split in (1, 2, 3)]
UCF101 = tuple(
    Reader(layout=UCF_LAYOUT, requires=tuple(f"{place}{name}" for name in _UCF_LISTS), read=read_ucf)
    for place in ("ucfTrainTestlist/", "")
)
