"""HMDB51 and UCF101 as published: videos in a folder per action, and three splits in text files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.kinds import FILM, walk
from dubcli.probe.tasks.data import Clip, ClipSplit, Reader, TaskData, labelled_task, visible
from dubcli.probe.tasks.tables import read_lines

HMDB_LAYOUT = "HMDB51 (testTrainMulti_7030_splits/, <action>/*.avi)"
UCF_LAYOUT = "UCF101 (ucfTrainTestlist/, UCF-101/<action>/*.avi)"
_HMDB_LISTS = ("testTrainMulti_7030_splits", "splits", "test_train_splits/testTrainMulti_7030_splits", "")
_UCF_LISTS = ("ucfTrainTestlist", "", "*/ucfTrainTestlist")
_HMDB_FIRST = "*_test_split1.txt"
_HMDB_PARTS = {"0": "unused", "1": "train", "2": "test"}


def read_hmdb(folder: Path) -> TaskData:
    """The three splits of 70 training and 30 test clips per action; a clip marked 0 is not used in that split."""
    lists = next(folder / name for name in _HMDB_LISTS if next(visible(folder / name, _HMDB_FIRST), None))
    parts: dict[str, dict[str, str]] = {}
    for path in visible(lists, "*_test_split[123].txt"):
        action, split = re.fullmatch(r"(.+)_test_split(\d)", path.stem).groups()  # type: ignore[union-attr]
        own = parts.setdefault(f"split{split}", {})
        for line in read_lines(path):
            name, _, mark = line.rpartition(" ")
            if mark not in _HMDB_PARTS:
                raise UserError(f"{path} holds {line[:80]!r}; a line is a video's name and 0, 1 or 2")
            own[f"{action}/{name.strip()}"] = _HMDB_PARTS[mark]
    return _task(folder, parts)


def read_ucf(folder: Path) -> TaskData:
    """The three splits by groups of clips of one source video; classes from the lists' folder names."""
    lists = next(
        path.parent for place in _UCF_LISTS for path in visible(folder, f"{place}/trainlist01.txt".lstrip("/"))
    )
    parts: dict[str, dict[str, str]] = {}
    for split in ("01", "02", "03"):
        own = parts.setdefault(f"split{int(split)}", {})
        for part in ("train", "test"):
            for line in read_lines(lists / f"{part}list{split}.txt"):
                own[line.split()[0]] = part
    return _task(folder, parts)


def _found(folder: Path, videos: Iterable[str]) -> dict[str, Path]:
    """Where each ``<action>/<name>`` is: unpacking leaves the action folders any number of levels down.

    Another suffix (.mp4 of a copy) does. What is not there gets the place where it would be looked for first.
    """
    by_stem: dict[str, list[Path]] = {}
    for path in (Path(one.path) for one in walk(folder) if one.kind == FILM):
        by_stem.setdefault(path.stem, []).append(path)
    found = {}
    for video in videos:
        action, name = video.split("/", 1)
        there = [path for path in by_stem.get(Path(name).stem, ()) if action in path.parts]
        there.sort(key=lambda path: (path.name != name, len(path.parts), str(path)))
        found[video] = there[0] if there else folder / video
    return found


def _task(folder: Path, parts: Mapping[str, Mapping[str, str]]) -> TaskData:
    path_of = _found(folder, {video for own in parts.values() for video, part in own.items() if part != "unused"})

    def split(clips: Sequence[Clip]) -> tuple[ClipSplit, ...]:
        number = {clip.path: index for index, clip in enumerate(clips)}

        def chosen(own: Mapping[str, str], wanted: str) -> tuple[int, ...]:
            return tuple(sorted(number[path_of[video]] for video, part in own.items() if part == wanted))

        return tuple(
            ClipSplit(name=name, train=chosen(own, "train"), valid=(), test=chosen(own, "test"))
            for name, own in sorted(parts.items())
        )

    clips = [Clip(path=path, labels=(video.split("/")[0],)) for video, path in path_of.items()]
    return labelled_task(folder, clips, split, metrics=("top1_acc",))


HMDB51 = tuple(
    Reader(layout=HMDB_LAYOUT, requires=(f"{place}/{_HMDB_FIRST}".lstrip("/"),), read=read_hmdb)
    for place in _HMDB_LISTS
)
_UCF_FILES = [f"{part}list0{split}.txt" for part in ("train", "test") for split in (1, 2, 3)]
UCF101 = tuple(
    Reader(layout=UCF_LAYOUT, requires=tuple(f"{place}/{name}".lstrip("/") for name in _UCF_FILES), read=read_ucf)
    for place in _UCF_LISTS
)
