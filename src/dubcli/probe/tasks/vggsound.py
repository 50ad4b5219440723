"""VGGSound as published: ``vggsound.csv`` and clips named ``<YouTube id>_<start, 6 digits>.mp4``."""

from __future__ import annotations

from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.kinds import FILM, SOUND, walk
from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.splits import by_part
from dubcli.probe.tasks.tables import read_rows

LAYOUT = "VGGSound (vggsound.csv, <id>_<start>.mp4)"


def read(folder: Path) -> TaskData:
    """The published train and test sets. The clips may lie in any folder below; many have left YouTube since 2020."""
    table = next(path for path in (folder / "vggsound.csv", folder / "data" / "vggsound.csv") if path.is_file())
    where = _files(folder)
    clips = []
    for row in read_rows(table):
        if len(row) != 4 or not row[1].isdecimal():
            raise UserError(f"{table} holds {','.join(row)[:80]!r}; a row is id,start,label,split")
        video, start, label, part = row
        names = _names(video, int(start))
        path = next((where[name] for name in names if name in where), folder / "video" / f"{names[0]}.mp4")
        clips.append(Clip(path=path, labels=(label,), part=part))
    return labelled_task(folder, clips, by_part, may_lack_files=True)


def _names(video: str, start: int) -> tuple[str, ...]:
    """The names that VGGSound's authors and common downloaders give to a clip of 10 s, without suffixes."""
    milliseconds = f"{video}_{1000 * start}_{1000 * (start + 10)}"
    return (f"{video}_{start:06d}", f"{video}_{start}", f"{video}_{start}_{start + 10}", milliseconds, video)


def _files(folder: Path) -> dict[str, Path]:
    """Clips by their names without suffixes; a video before the sound taken out of it, whatever their folders."""
    found: dict[str, Path] = {}
    clips = [one for one in walk(folder) if one.kind in (FILM, SOUND)]
    for path in (Path(one.path) for one in sorted(clips, key=lambda one: (one.kind != FILM, one.path))):
        found.setdefault(path.stem, path)
    return found


READERS = tuple(Reader(layout=LAYOUT, requires=(name,), read=read) for name in ("vggsound.csv", "data/vggsound.csv"))
