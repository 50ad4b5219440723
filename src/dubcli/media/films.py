"""A film, and manifests: films and their tracks said by hand."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dubcli.core.atomic import atomic_write, writing
from dubcli.core.languages import parse_language
from dubcli.errors import UserError
from dubcli.media.joined import name_of
from dubcli.media.kinds import as_read

AUTO, NONE = "auto", "none"  # of a manifest's cell
NOTE = "note"
_COLUMNS = ("movie", "video")


@dataclass(frozen=True, kw_only=True)
class Film:
    """A video file, and from a manifest a title of its own and the files (with stream index or None) of languages.

    ``without``: languages of which it has none, whatever is in the file.
    """

    video: Path
    title: str | None = None
    named_tracks: tuple[tuple[str, Path, int | None], ...] = ()
    without: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the film is called in logs."""
        return self.title or str(self.video)

    @property
    def short_name(self) -> str:
        """What it is called in the cache."""
        return self.title or name_of(self.video)

    def absolute(self) -> Film:
        """The same for a process in another folder."""
        named = tuple((language, path.absolute(), stream) for language, path, stream in self.named_tracks)
        return replace(self, video=self.video.absolute(), named_tracks=named)


def read_manifest(path: Path) -> list[Film]:
    """Columns ``movie,video,en,es,...``; a cell is a file or ``file:STREAM``, relative to the manifest.

    An empty cell (or ``none``) says that there is none, ``auto`` that it is found as without a manifest; so is a
    language that has no column. A column ``note`` is for people; a ``movie`` that is the file's own name says nothing
    more than that. Cells are apart by commas, or by semicolons or tabs, as spreadsheets of other countries write them.
    Raises UserError that names the line.
    """
    columns, rows = _table(path)
    option = f"manifest {path}, column"
    of_languages = [name for name in columns if name and name not in (*_COLUMNS, NOTE)]
    tags = [parse_language(name, option) for name in of_languages]
    for tag, count in Counter(tags).items():
        if count > 1:
            raise UserError(f"manifest {path} has two columns for {tag}; leave one")
    languages = dict(zip(of_languages, tags, strict=True))
    films: dict[tuple[Path, str | None], Film] = {}
    for number, row in rows:
        film = _film(path, number, row, languages)
        if films.setdefault((film.video, film.title), film) != film:
            raise UserError(f"manifest {path}, line {number}: {film.name} was said before, with other tracks")
    return list(films.values())


def _table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """A manifest's columns, and (line, cells) of the rows that hold anything. Raises UserError."""
    try:
        with open(path, "rb") as file:
            encoding = "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        # names of files need not be UTF-8; all else is
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        with open(path, newline="", encoding=encoding, errors=errors) as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count))
            columns = [name.strip().lower() for name in next(reader, [])]
            rows = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (OSError, csv.Error, UnicodeError) as error:
        raise UserError(f"manifest {path} cannot be read: {error}") from None
    if "movie" not in columns or "video" not in columns:
        raise UserError(f"manifest {path} lacks the columns movie,video; its first line is {first.strip()}")
    for number, cells in rows:
        if any(cell.strip() for cell in cells[len(columns) :]):
            raise UserError(f"manifest {path}, line {number}: {len(cells)} cells for {len(columns)} columns")
    empty = [""] * len(columns)
    return columns, [(number, dict(zip(columns, [*cells, *empty], strict=False))) for number, cells in rows]


def _film(path: Path, number: int, row: Mapping[str, str], languages: Mapping[str, str]) -> Film:
    """What a manifest's row says."""
    if not row["video"].strip():
        raise UserError(f"manifest {path}, line {number}: no video; give its file")
    video, _ = _cell(path, row["video"])
    title = row["movie"].strip()
    _require_text(path, number, video, title)
    cells = {tag: row[column] for column, tag in languages.items()}
    without = tuple(tag for tag, text in cells.items() if _says_none(path, text))
    return Film(
        video=video,
        title=title if title not in ("", name_of(video).strip()) else None,
        named_tracks=tuple(
            (tag, *_cell(path, text))
            for tag, text in cells.items()
            if tag not in without and text.strip().lower() != AUTO
        ),
        without=without,
    )


def _says_none(manifest: Path, text: str) -> bool:
    written = text.strip()
    return not written or (written.lower() == NONE and not (manifest.parent / written).exists())


def _require_text(manifest: Path, line: int, video: Path, title: str) -> None:
    """Raises UserError for bytes that are no UTF-8 and no file's name, as of a manifest in another encoding."""
    for text in (title, str(video)):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            if not video.exists() or text not in (name_of(video).strip(), str(video)):
                where = f"manifest {manifest} cannot be read: line {line}"
                raise UserError(f"{where} is not UTF-8; save it as UTF-8") from None


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """One film and its tracks by language, as (file, stream); ``note`` is for people."""

    film: Film
    tracks: Mapping[str, tuple[Path, int]]
    note: str = ""


def require_new(path: Path) -> None:
    """Raises UserError where a manifest is there already."""
    if path.exists():
        raise UserError(f"{path} is there, and may have been edited; remove it or give another --manifest")


def write_manifest(path: Path, languages: Sequence[str], rows: Sequence[ManifestRow]) -> None:
    """What ``read_manifest`` reads back to the same films and tracks. Raises UserError where it cannot be written."""
    require_new(path)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, *languages, NOTE])
    for row in rows:
        cells = [_as_cell(path, *row.tracks[language]) if language in row.tracks else "" for language in languages]
        writer.writerow([row.film.short_name, _as_named(path, row.film.video), *cells, row.note])
    with writing(path, "--manifest"), atomic_write(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def _as_named(manifest: Path, file: Path) -> str:
    """A file as a manifest names it: by its path from the manifest on, or by its whole path."""
    folder, whole = Path(os.path.abspath(manifest)).parent, Path(os.path.abspath(file))
    return str(whole.relative_to(folder) if folder in whole.parents else whole)


def _as_cell(manifest: Path, file: Path, stream: int) -> str:
    name, number = _as_named(manifest, file), str(stream)
    while (manifest.parent / f"{name}:{number}").exists():
        number = "0" + number  # a file has the whole cell's name
    return f"{name}:{number}"


def _cell(manifest: Path, text: str) -> tuple[Path, int | None]:
    """A file, or a file and the digits after the last colon where no file has that whole name."""
    for written in (text, text.strip()):  # a name may begin or end with spaces
        whole = _on_disk(manifest.parent / written)
        match = re.fullmatch(r"(.*):(\d+)", written, re.DOTALL)
        file, stream = (
            (whole, None) if match is None or whole.exists() else (_on_disk(manifest.parent / match[1]), int(match[2]))
        )
        if file.exists():
            break
    return file, stream


def _on_disk(path: Path) -> Path:
    """A path as it is spelt on the disk, where accents are written in another way there."""
    if path.exists() or path.parent == path:
        return path
    parent = _on_disk(path.parent)
    try:
        names = os.listdir(parent)
    except OSError:
        return path
    return next((parent / name for name in names if as_read(name) == as_read(path.name)), path)
