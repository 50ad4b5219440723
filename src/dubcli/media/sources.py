"""From what the user names (files, folders, manifests) to films, each with the track of every language."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dubcli.errors import InputError, UserError
from dubcli.media.languages import language_tag
from dubcli.media.streams import AudioTrack, MediaInfo, probe

# fmt: off
VIDEO_SUFFIXES = frozenset((
    ".3gp", ".asf", ".avi", ".divx", ".flv", ".m2ts", ".m4v", ".mk3d", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
))
AUDIO_SUFFIXES = frozenset((
    ".aac", ".ac3", ".dts", ".eac3", ".ec3", ".flac", ".m4a", ".mka", ".mp2", ".mp3", ".ogg", ".opus", ".thd", ".wav",
    ".wma",
))
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Film:
    """A video file, and from a manifest a title of its own and the files (with stream index or None) of languages."""

    video: Path
    title: str | None = None
    named_tracks: tuple[tuple[str, Path, int | None], ...] = ()

    @property
    def name(self) -> str:
        """What the film is called in logs."""
        return self.title or str(self.video)


@dataclass(frozen=True, kw_only=True)
class ChosenTrack:
    """The track of one language: the file it is in (the video's own or another) and its stream."""

    language: str
    path: Path
    track: AudioTrack
    how: str


def find_films(sources: Sequence[str | Path]) -> list[Film]:
    """Films in the order given, a folder's sorted by path. Raises UserError for a source that holds none.

    A source is a video file, a folder (searched recursively) or a ``.csv`` manifest.
    """
    films: list[Film] = []
    for source in map(Path, sources):
        if source.is_dir():
            found = [Film(video=path) for path in _videos_below(source)]
            if not found:
                suffixes = " ".join(sorted(VIDEO_SUFFIXES))
                raise UserError(f"no video file in {source}; files with one of {suffixes} are taken")
            films += found
        elif source.suffix.lower() == ".csv" and source.is_file():
            films += read_manifest(source)
        elif source.exists():
            films.append(Film(video=source))
        else:
            raise UserError(f"{source} is not there; give video files, folders or a .csv manifest")
    return list({(film.video.absolute(), film.title): film for film in films}.values())


def _videos_below(folder: Path) -> list[Path]:
    found = []
    seen: set[tuple[int, int]] = set()  # links may lead in circles
    for root, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        status = os.stat(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root, name) for name in files if Path(name).suffix.lower() in VIDEO_SUFFIXES]
    return sorted(path for path in found if not path.name.startswith("._"))


def _refuse(error: OSError) -> None:
    """A folder that cannot be read must not be taken for an empty one."""
    raise UserError(f"folder {error.filename} cannot be read: {error.strerror}; give the films that can be, or rights")


def read_manifest(path: Path) -> list[Film]:
    """Columns ``movie,video,en,es,...``; a cell is a file or ``file:STREAM``, relative to the manifest.

    Raises UserError that names the line.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"manifest {path} cannot be read: {error}") from None
    if "movie" not in columns or "video" not in columns:
        raise UserError(f"manifest {path} lacks the columns movie,video; its first line is {','.join(columns)}")
    languages = {column: language_tag(column) for column in columns if column not in ("movie", "video")}
    unknown = [column for column, tag in languages.items() if tag is None]
    if unknown:
        raise UserError(f"manifest {path}: column {unknown[0]!r} is no ISO 639 language; name it such as en, es, fr")
    films = []
    for number, row in enumerate(rows, start=2):
        if not (row["video"] or "").strip():
            raise UserError(f"manifest {path}, line {number}: no video; give its file")
        video, _ = _cell(path, row["video"])
        named = [
            (tag, *_cell(path, row[column])) for column, tag in languages.items() if tag and (row[column] or "").strip()
        ]
        films.append(Film(video=video, title=(row["movie"] or "").strip() or None, named_tracks=tuple(named)))
    return films


def _cell(manifest: Path, text: str) -> tuple[Path, int | None]:
    """A file, or a file and the digits after the last colon where no file has that whole name."""
    whole = manifest.parent / text.strip()
    match = re.fullmatch(r"(.*):(\d+)", text.strip(), re.DOTALL)
    if match is None or whole.exists():
        return whole, None
    return manifest.parent / match[1], int(match[2])


def choose_tracks(
    film: Film,
    info: MediaInfo,
    languages: Sequence[str],
    *,
    assume_primary: bool = False,
    problems: list[str] | None = None,
) -> dict[str, ChosenTrack]:
    """The track of each language that the film has, by manifest, else tag, else sidecar file (DESIGN section 2).

    A language whose file cannot be used (a sidecar's, or what a manifest names) is left out, and ``problems`` says so.
    Raises InputError where that is the primary one, ``languages[0]``.
    """
    chosen = {}
    primary = languages[0]
    for language in languages:
        try:
            found = _named(film, language) or _tagged(info, language) or _sidecar(film, language)
        except InputError as error:
            if language == primary:
                raise
            if problems is not None:
                problems.append(f"{language}: {error}")
            continue
        if found is not None:
            chosen[language] = found
    if assume_primary and primary not in chosen:
        untagged = [track for track in info.audio if track.decodable and track.language is None and not track.special]
        if len(untagged) == 1:
            chosen[primary] = ChosenTrack(language=primary, path=info.path, track=untagged[0], how="assumed")
    return {language: chosen[language] for language in languages if language in chosen}


def _named(film: Film, language: str) -> ChosenTrack | None:
    for named, path, index in film.named_tracks:
        if named != language:
            continue
        tracks = [track for track in _audio_of(path) if index is None or track.index == index]
        if not tracks:
            where = "no audio stream" if index is None else f"no audio stream {index}"
            raise InputError(f"{path} has {where}, which the manifest names for {language}")
        if not tracks[0].decodable:
            raise InputError(f"{path}: no decoder for the stream that the manifest names for {language}")
        # a file of its own needs no stream number; of several tracks in it the language's own is meant
        match = next((track for track in tracks if track.language == language and not track.special), tracks[0])
        return ChosenTrack(language=language, path=path, track=match, how="manifest")
    return None


def _audio_of(path: Path) -> tuple[AudioTrack, ...]:
    """The sound tracks of a file beside the film. Raises InputError that names it."""
    try:
        return probe(path).audio
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _tagged(info: MediaInfo, language: str) -> ChosenTrack | None:
    tracks = [t for t in info.audio if t.language == language and t.decodable and not t.special]
    if not tracks:
        return None
    # of two tracks in a language the default one, then the one with more channels, then the first
    best = min(tracks, key=lambda track: (not track.default, -track.channels, track.index))
    return ChosenTrack(language=language, path=info.path, track=best, how="tag")


def _sidecar(film: Film, language: str) -> ChosenTrack | None:
    """``<stem>.<lang>.<ext>`` beside the video; the language in any way that ISO 639 or a region writes it."""
    stem = film.video.stem
    try:
        names = sorted(os.listdir(film.video.parent))
    except OSError:
        return None
    for name in names:
        path = film.video.parent / name
        middle = path.stem.removeprefix(stem + ".")
        if path.suffix.lower() not in AUDIO_SUFFIXES or middle == path.stem or language_tag(middle) != language:
            continue
        tracks = [track for track in _audio_of(path) if track.decodable]
        if tracks:
            return ChosenTrack(language=language, path=path, track=tracks[0], how="sidecar")
    return None
