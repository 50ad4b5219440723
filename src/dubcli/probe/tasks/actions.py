"""HMDB51 and UCF101 as published: videos in a folder per action, and three splits in text files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.kinds import FILM
from dubcli.probe.tasks.data import Clip, ClipSplit, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import Files, located, visible
from dubcli.probe.tasks.tables import read_lines

HMDB_LAYOUT = "HMDB51 (testTrainMulti_7030_splits/, <action>/*.avi)"
UCF_LAYOUT = "UCF101 (ucfTrainTestlist/, UCF-101/<action>/*.avi)"
_HMDB_PLACES = ("testTrainMulti_7030_splits", "", "*", "*/*")
_UCF_PLACES = ("ucfTrainTestlist", "", "*/ucfTrainTestlist", "*", "*/*")
_HMDB_VIDEOS = ("*/*_np[0-9]_*.*", "*/*/*_np[0-9]_*.*")
_UCF_VIDEOS = ("*/v_*_g[0-9][0-9]_c[0-9][0-9].*",)
"""What must be in a folder for lists beside it to be its own."""
_HMDB_PARTS = {"0": "unused", "1": "train", "2": "test"}
_SPLITS = (1, 2, 3)


def read_hmdb(folder: Path, *, place: str) -> TaskData:
    """The three splits of 70 training and 30 test clips per action; a clip marked 0 is not used in that split."""
    lists = located(folder, _in(place, "*_test_split1.txt")).parent
    tables = {path.stem.lower(): path for path in visible(lists, "*_test_split[123].txt")}
    actions = sorted({re.sub(r"_test_split\d$", "", name) for name in tables})
    parts: dict[str, dict[str, str]] = {f"split{split}": {} for split in _SPLITS}
    for action in actions:
        for split in _SPLITS:
            path = tables.get(f"{action}_test_split{split}", lists / f"{action}_test_split{split}.txt")
            for line in read_lines(path):
                name, _, mark = line.rpartition(" ")
                if mark not in _HMDB_PARTS:
                    raise UserError(f"{path} holds {line[:80]!r}; a line is a video's name and 0, 1 or 2")
                _put(parts[f"split{split}"], f"{action}/{name.strip()}", _HMDB_PARTS[mark], path)
    return _task(folder, parts, lambda video: video.split("/")[0])


def read_ucf(folder: Path, *, place: str) -> TaskData:
    """The three splits by groups of clips of one source video; classes from the lists' folder names."""
    lists = located(folder, _in(place, "trainlist01.txt")).parent
    parts: dict[str, dict[str, str]] = {}
    for split in _SPLITS:
        own = parts.setdefault(f"split{split}", {})
        for part in ("train", "test"):
            path = located(lists, f"{part}list0{split}.txt")
            for line in read_lines(path):
                video = re.sub(r" +\d+$", "", line).replace(
                    "\\", "/"
                )  # the number of the class, in lists of training clips
                if "/" not in video:
                    raise UserError(f"{path} holds {line[:80]!r}; a line is <action>/<video>.avi")
                _put(own, video, part, path)
    return _task(folder, parts, lambda _: "")  # v_<action>_...: a name is one action's, in whatever folder


def _in(place: str, name: str) -> str:
    return f"{place}/{name}" if place else name


def _put(own: dict[str, str], video: str, part: str, path: Path) -> None:
    """Note a video's part of a split. Raises UserError where it is in another one already."""
    if own.setdefault(video, part) != part:
        raise UserError(f"{path} puts {video} into {part}, where it is in {own[video]} already; get the lists again")


def _task(folder: Path, parts: Mapping[str, Mapping[str, str]], within: Callable[[str], str]) -> TaskData:
    """Unpacking leaves the action folders any number of levels down; ``within``: the one that a video must be in."""
    files = Files(folder, FILM)
    videos = dict.fromkeys(video for own in parts.values() for video, part in own.items() if part != "unused")
    path_of = {video: files.find(video, within=within(video)) for video in videos}

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


def _places(below: Sequence[str], videos: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where the lists may lie, below the videos' folder or beside it, and what else must be there."""
    yield from ((place, ()) for place in below)
    yield from ((f"../{place}", (pattern,)) for place in (below[0], f"*/{below[0]}") for pattern in videos)


HMDB51 = tuple(
    Reader(
        layout=HMDB_LAYOUT, requires=(_in(place, "*_test_split1.txt"), *videos), read=partial(read_hmdb, place=place)
    )
    for place, videos in _places(_HMDB_PLACES, _HMDB_VIDEOS)
)
_LISTS = [f"{part}list0{split}.txt" for part in ("train", "test") for split in _SPLITS]
UCF101 = tuple(
    Reader(
        layout=UCF_LAYOUT,
        requires=(*(_in(place, name) for name in _LISTS), *videos),
        read=partial(read_ucf, place=place),
    )
    for place, videos in _places(_UCF_PLACES, _UCF_VIDEOS)
)
