"""From what the user names (files, folders, manifests) to films, each with the track of every language."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from dubcli.errors import InputError, UserError
from dubcli.media.kinds import CLOSED, FILM, FILM_SUFFIXES, SOUND, as_read, kind_of, walk
from dubcli.media.languages import language_tag, met_by, parse_language, regional_distance
from dubcli.media.special import says_special
from dubcli.media.streams import AudioTrack, MediaInfo, probe

AUTO = "auto"  # of a manifest's cell
_FLAGS = frozenset({"default"})  # of file names that players know and that say nothing of the sound


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


@dataclass(frozen=True, kw_only=True)
class ChosenTrack:
    """The track of one language: the file it is in (the video's own or another) and its stream."""

    language: str
    path: Path
    track: AudioTrack
    how: str


def find_films(sources: Sequence[str | Path]) -> list[Film]:
    """Films in the order given, a folder's sorted by path. Raises UserError for a source that holds none.

    A source is a video file, a folder (searched recursively) or a ``.csv`` manifest. A folder that cannot be read is
    given as a film, which then fails for that reason.
    """
    films: list[Film] = []
    for source in map(Path, sources):
        if source.is_dir():
            found = sorted(Path(one.path) for one in walk(source, once=True) if one.kind in (FILM, CLOSED))
            if not found:
                suffixes = " ".join(sorted(FILM_SUFFIXES))
                raise UserError(f"no video file in {source}; files with one of {suffixes} are taken")
            films += [Film(video=path) for path in found]
        elif source.suffix.lower() == ".csv" and source.is_file():
            films += read_manifest(source)
        elif source.exists():
            films.append(Film(video=source))
        else:
            raise UserError(f"{source} is not there; give video files, folders or a .csv manifest")
    return list({(film.video.absolute(), film.title): film for film in films}.values())


def read_manifest(path: Path) -> list[Film]:
    """Columns ``movie,video,en,es,...``; a cell is a file or ``file:STREAM``, relative to the manifest.

    An empty cell says that there is none, ``auto`` that it is found as without a manifest; so is a language that has
    no column.
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
    option = f"manifest {path}, column"
    languages = {name: parse_language(name, option) for name in columns if name not in ("movie", "video")}
    films = []
    for number, row in enumerate(rows, start=2):
        if not (row["video"] or "").strip():
            raise UserError(f"manifest {path}, line {number}: no video; give its file")
        video, _ = _cell(path, row["video"])
        cells = {tag: (row[column] or "").strip() for column, tag in languages.items()}
        named = [(tag, *_cell(path, text)) for tag, text in cells.items() if text and text.lower() != AUTO]
        films.append(
            Film(
                video=video,
                title=(row["movie"] or "").strip() or None,
                named_tracks=tuple(named),
                without=tuple(tag for tag, text in cells.items() if not text),
            )
        )
    return films


def _cell(manifest: Path, text: str) -> tuple[Path, int | None]:
    """A file, or a file and the digits after the last colon where no file has that whole name."""
    whole = _on_disk(manifest.parent / text.strip())
    match = re.fullmatch(r"(.*):(\d+)", text.strip(), re.DOTALL)
    if match is None or whole.exists():
        return whole, None
    return _on_disk(manifest.parent / match[1]), int(match[2])


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


def choose_track(tracks: Sequence[AudioTrack], language: str | None = None) -> AudioTrack:
    """The track that is meant, by one rule for every stage: that of a language (a tag), or of None the main one.

    Never one of another programme than the picture's. Never a special one (``dubcli.media.special``), unless the file
    has no other: then naming the file means it. An
    untagged one is never taken for a language. Of several the default one, then the fullest, then the first; of no
    language in particular the default one or the first, and what is best in its language.
    Raises InputError that says what there is.
    """
    usable = [track for track in tracks if track.decodable and not track.foreign]
    if not usable:
        raise InputError("no sound track that can be decoded" if tracks else "no sound track")
    plain = _plain(tracks)
    if language is None:
        if not plain and len(usable) > 1:
            raise InputError(f"no plain sound track (there are: {_there(tracks)})")
        first = min(plain or usable, key=lambda track: (not track.default, track.index))
        return min((track for track in plain or usable if track.language == first.language), key=_preference)
    found = _in_language(plain, language)
    if found is None:
        raise InputError(f"no sound track in {language} (there are: {_there(tracks)})")
    return found


def _plain(tracks: Sequence[AudioTrack]) -> list[AudioTrack]:
    return [track for track in tracks if track.decodable and not track.special and not track.foreign]


def _preference(track: AudioTrack) -> tuple[bool, int, int]:
    return not track.default, -track.channels, track.index


def _in_language(tracks: Sequence[AudioTrack], language: str, region: str = "") -> AudioTrack | None:
    """The best of the plain tracks in a language; its own tag comes before those of members of a macrolanguage.

    ``region``: the language with the region that is wished (``pt-BR``), whose tracks come first.
    """
    for tag in met_by(language):
        found = [track for track in tracks if track.language == tag]
        if found:
            return min(found, key=lambda track: (regional_distance(region, track.tag), *_preference(track)))
    return None


def _there(tracks: Sequence[AudioTrack]) -> str:
    return ", ".join(track.described for track in tracks)


def choose_tracks(
    film: Film,
    info: MediaInfo,
    languages: Sequence[str],
    *,
    assume_primary: bool = False,
    problems: list[str] | None = None,
    regions: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, ChosenTrack]:
    """The track of each language that the film has, by manifest, else tag, else sidecar file (DESIGN section 2).

    ``regions``: {language: the tag with the region that is wished for it}, whose tracks come first.
    A language whose file cannot be used (a sidecar's, or what a manifest names) is left out, and ``problems`` says so.
    Raises InputError where that is the primary one, ``languages[0]``.
    """
    chosen = {}
    primary = languages[0]
    for language in languages:
        try:
            found = _find(film, info, language, languages, regions.get(language, ""))
        except InputError as error:
            if language == primary:
                raise
            if problems is not None:
                problems.append(f"{language}: {error}")
            continue
        if found is not None:
            chosen[language] = found
    if assume_primary and primary not in chosen and primary not in film.without:
        untagged = [track for track in _plain(info.audio) if track.untagged]
        if len(untagged) == 1:
            chosen[primary] = ChosenTrack(language=primary, path=info.path, track=untagged[0], how="assumed")
    return {language: chosen[language] for language in languages if language in chosen}


def _find(film: Film, info: MediaInfo, language: str, languages: Sequence[str], region: str) -> ChosenTrack | None:
    if language in film.without:
        return None
    named = _named(film, language, region)
    return named or _tagged(info, language, languages, region) or _sidecar(film, language, languages, region)


def _named(film: Film, language: str, region: str) -> ChosenTrack | None:
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
        match = _in_language(_plain(tracks), language, region) or tracks[0]
        return ChosenTrack(language=language, path=path, track=match, how="manifest")
    return None


def _audio_of(path: Path) -> tuple[AudioTrack, ...]:
    """The sound tracks of a file beside the film. Raises InputError that names it."""
    try:
        return probe(path).audio
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _tagged(info: MediaInfo, language: str, languages: Sequence[str], region: str) -> ChosenTrack | None:
    free = [track for track in _plain(info.audio) if track.language in _tags_for(language, languages)]
    found = _in_language(free, language, region)
    return None if found is None else ChosenTrack(language=language, path=info.path, track=found, how="tag")


def _tags_for(language: str, languages: Sequence[str]) -> list[str]:
    """The tags that mean a language, the best first, where ``languages`` are asked for: each tag is for the nearest."""
    return [tag for tag in met_by(language) if tag == language or tag not in languages]


def _sidecar(film: Film, language: str, languages: Sequence[str], region: str) -> ChosenTrack | None:
    """``<stem>.<lang>.<ext>`` beside the video; the language in any way in which it can be written."""
    tags = _tags_for(language, languages)
    found = [
        (tags.index(tag), regional_distance(region, written), path)
        for written, path in _sidecars(film.video)
        if (tag := language_tag(written)) in tags
    ]
    for _, _, path in sorted(found):
        plain = _plain(_audio_of(path))
        if plain:
            track = _in_language(plain, language, region) or choose_track(plain)
            return ChosenTrack(language=language, path=path, track=track, how="sidecar")
    return None


def _sidecars(video: Path) -> Iterator[tuple[str, Path]]:
    """(language as written, file) of the sounds beside a video that are named after it and a language.

    Names are compared as they read: macOS writes an accent as a letter of its own (NFD), others do not (NFC).
    """
    try:
        names = os.listdir(video.parent)
    except OSError:
        return
    stem = as_read(video.stem) + "."
    for name in names:
        read = as_read(os.path.splitext(name)[0])
        middle = read.removeprefix(stem)
        if kind_of(name) != SOUND or middle == read or says_special(middle):
            continue
        parts = [part for part in middle.split(".") if part.lower() not in _FLAGS]
        if len(parts) == 1 and language_tag(parts[0]) is not None:
            yield parts[0], video.parent / name
