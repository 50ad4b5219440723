"""VGGSound as published: ``vggsound.csv`` and clips named ``<YouTube id>_<start, 6 digits>.mp4``."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from pathlib import Path

from dubcli.errors import UserError
from dubcli.media.kinds import FILM, SOUND, walk
from dubcli.probe.tasks.data import Clip, Reader, TaskData, labelled_task
from dubcli.probe.tasks.files import located
from dubcli.probe.tasks.splits import PARTS, by_part
from dubcli.probe.tasks.tables import is_blank, read_rows, whole_number

LAYOUT = "VGGSound (vggsound.csv, <id>_<start>.mp4)"
SECONDS = 10

Key = tuple[str, int]
"""A clip: YouTube's id and the second at which it starts."""


def read(folder: Path, *, table: str) -> TaskData:
    """The published train and test sets. The clips may lie in any folder below; many have left YouTube since 2020."""
    rows = _rows(located(folder, table))
    where = _files(folder, list(rows))
    clips = []
    for key, (label, part) in rows.items():
        path, sound = where.get(key, (folder / "video" / f"{key[0]}_{key[1]:06d}.mp4", None))
        clips.append(Clip(path=path, labels=(label,), part=part, sound=sound))
    return labelled_task(folder, clips, by_part, may_lack_files=True)


def _rows(path: Path) -> dict[Key, tuple[str, str]]:
    """What the list says of each clip: its label and its part."""
    found: dict[Key, tuple[str, str]] = {}
    for number, row in enumerate(read_rows(path), start=1):
        if number == 1 and len(row) == 4 and not re.search(r"\d", row[1]):
            continue  # a header, which copies have
        part = {"val": "valid"}.get(row[3].lower(), row[3].lower()) if len(row) == 4 else ""
        if part not in PARTS or any(map(is_blank, row)):
            raise UserError(f"{path} holds {','.join(row)[:80]!r}; a row is id,start,label,split")
        key = (row[0], whole_number(row[1], path, "start"))
        if found.setdefault(key, (row[2], part)) != (row[2], part):
            raise UserError(f"{path} lists {key[0]} at {key[1]} s twice, as {row[2]!r} and as {found[key][0]!r}")
    return found


def _files(folder: Path, keys: list[Key]) -> dict[Key, tuple[Path, Path | None]]:
    """Where the clips are, and of a video the sound taken out of it, if that is there: by name, then the least deep."""
    known, starts = set(keys), Counter(video for video, _ in keys)
    only = {video: start for video, start in keys if starts[video] == 1}
    found: dict[str, dict[Key, tuple[tuple[object, ...], Path]]] = {FILM: {}, SOUND: {}}
    for one in walk(folder):
        if one.kind not in (FILM, SOUND):
            continue
        path = Path(one.path)
        named = _meant(path.stem, known, only)
        if named is not None:
            key, form = named
            rating = (form, len(path.parts), one.path)
            of_kind = found[one.kind]
            if key not in of_kind or rating < of_kind[key][0]:
                of_kind[key] = (rating, path)
    films, sounds = ({key: path for key, (_, path) in found[kind].items()} for kind in (FILM, SOUND))
    return {**{key: (path, None) for key, path in sounds.items()},
            **{key: (path, sounds.get(key)) for key, path in films.items()}}  # fmt: skip


def _meant(stem: str, known: set[Key], only: dict[str, int]) -> tuple[Key, int] | None:
    """The clip that a file's name without suffix means, as VGGSound's authors and common downloaders name them.

    ``<id>_<start>`` and ``<id>_<start>_<end>``, also with ``-`` between them, in seconds or milliseconds, with zeros
    before them or not, and the id alone where the list has one clip of that video. Ids hold ``_``, ``-`` and digits
    themselves. The second value orders the forms.
    """
    for form, pieces in enumerate((1, 2)):
        named = re.fullmatch("(.+)" + pieces * r"[_-](\d+(?:\.\d+)?)", stem)
        if named is None:
            continue
        video, *times = named.groups()
        start, length = float(times[0]), float(times[-1]) - float(times[0])
        for scale in (1, 1000):
            key = (video, int(start // scale))
            if start % scale == 0 and key in known and (pieces == 1 or length == SECONDS * scale):
                return key, form + 2 * (scale == 1000)
    return ((stem, only[stem]), 4) if stem in only else None


READERS = tuple(
    Reader(layout=LAYOUT, requires=(table,), read=partial(read, table=table))
    for table in ("vggsound.csv", "data/vggsound.csv", "*/vggsound.csv")
)
