"""From a film's streams and the files beside it to the track of each language, and why each of the others is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from dubcli.core.languages import language_tag, met_by, regional_distance
from dubcli.errors import InputError
from dubcli.media.films import Film
from dubcli.media.kinds import SOUND, as_read, kind_of
from dubcli.media.special import file_says_special
from dubcli.media.streams import AudioTrack, MediaInfo, read_info, zero_beside

PROGRAMME = "programme"  # how a track of another programme than the picture's was found
_FLAGS = frozenset({"default"})  # of file names that players know and that say nothing of the sound


@dataclass(frozen=True, kw_only=True)
class ChosenTrack:
    """The track of one language: the file it is in (the video's own or another) and its stream.

    ``start_seconds``: where the film's zero is on that file's clock.
    """

    language: str
    path: Path
    track: AudioTrack
    how: str
    start_seconds: Fraction


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What becomes of one track: the languages that it is ``taken_for``, if any, and ``why``."""

    path: Path
    track: AudioTrack
    taken_for: tuple[str, ...]
    why: str


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


def refusal(track: AudioTrack, *, foreign: bool = False) -> str | None:
    """Why a track is taken for no language, whatever else there is; None where it may be."""
    if not track.decodable:
        return "FFmpeg has no decoder for it"
    if track.foreign and not foreign:
        return f"sound of programme {track.program}, the picture is of another"
    return "commentary, description or the like" if track.special else None


def _plain(tracks: Sequence[AudioTrack], *, foreign: bool = False) -> list[AudioTrack]:
    return [track for track in tracks if refusal(track, foreign=foreign) is None]


# Of several tracks in one language: (what is said for one, what is smaller of it), in this order.
_PREFERENCES: tuple[tuple[str, Callable[[AudioTrack], int]], ...] = (
    ("is the default one", lambda track: not track.default),
    ("has more channels", lambda track: -track.channels),
    ("comes first", lambda track: track.index),
)


def _preference(track: AudioTrack) -> tuple[int, ...]:
    return tuple(key(track) for _, key in _PREFERENCES)


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

    A dub that is in none of these is taken from another programme of the container, if there.

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
            chosen[primary] = _chosen(primary, info, info, untagged[0], "assumed")
    return {language: chosen[language] for language in languages if language in chosen}


def require_primary(film: Film, info: MediaInfo, chosen: Mapping[str, ChosenTrack], primary: str) -> None:
    """Raises InputError that says what there is, where no track was chosen in the primary language."""
    if primary in chosen:
        return
    if primary in film.without:
        raise InputError(f"no {primary} track: its cell in the manifest is empty; auto takes the film's own")
    untagged = [track for track in _plain(info.audio) if track.untagged]
    hint = "; --assume-primary takes a single untagged track for it" if len(untagged) == 1 else ""
    raise InputError(f"no {primary} track (audio tracks: {_there(info.audio) or 'none'}){hint}")


def languages_of(film: Film, info: MediaInfo) -> tuple[str, ...]:
    """Every language that a film has a track in, in the container, in files beside it or by a manifest."""
    own = [track.language for track in _plain(info.audio)]
    beside = [language_tag(written) for written, _ in sidecars(film.video)]
    named = [language for language, _, _ in film.named_tracks]
    found = dict.fromkeys([*own, *beside, *named])
    return tuple(tag for tag in found if tag is not None and tag not in film.without)


_HOW = {
    "tag": "by its tag",
    "sidecar": "by its file's name",
    "manifest": "by the manifest",
    "assumed": "by --assume-primary",
    PROGRAMME: "by its tag, from another programme than the picture's",
}


def judge_tracks(
    film: Film, info: MediaInfo, languages: Sequence[str], chosen: Mapping[str, ChosenTrack]
) -> list[Verdict]:
    """Of every track of a film what became of it, in the order of the file; then those that are in files beside it.

    ``chosen``: what ``choose_tracks`` made of the same arguments.
    """
    verdicts = []
    beside = {(one.path, one.track.index): one.track for one in chosen.values() if one.path != info.path}
    for path, track in [*((info.path, track) for track in info.audio), *((key[0], t) for key, t in beside.items())]:
        taken = [one for one in chosen.values() if (one.path, one.track.index) == (path, track.index)]
        why = _HOW[taken[0].how] if taken else _why_left(film, info, track, languages, chosen)
        verdicts.append(Verdict(path=path, track=track, taken_for=tuple(one.language for one in taken), why=why))
    return verdicts + _files_left(film, languages, chosen, {path for path, _ in beside})


def _files_left(
    film: Film, languages: Sequence[str], chosen: Mapping[str, ChosenTrack], taken: Collection[Path]
) -> list[Verdict]:
    """Of the sounds beside a film that are named after it and of which nothing is taken."""
    verdicts = []
    for middle, path in sorted(_sounds_beside(film.video)):
        written = _language_written(middle)
        wanted = None if written is None else _wanted(language_tag(written), languages)
        if file_says_special(middle):
            why = "its name says commentary, description or the like"
        elif written is None:
            why = "its name says no language, or more than that"
        elif wanted is None:
            why = f"{language_tag(written)} is not asked for"
        elif wanted in film.without:
            why = f"the manifest says that there is no {wanted}"
        else:
            other = chosen.get(wanted)
            why = "it cannot be used" if other is None else f"{other.path.name} is taken for it {_HOW[other.how]}"
        with suppress(InputError):
            if path not in taken and (tracks := read_info(path).audio):
                verdicts.append(Verdict(path=path, track=tracks[0], taken_for=(), why=why))
    return verdicts


def _wanted(tag: str | None, languages: Sequence[str]) -> str | None:
    """Which of the languages asked for a tag is meant for."""
    return next((language for language in languages if tag in _tags_for(language, languages)), None)


def _why_left(
    film: Film,
    info: MediaInfo,
    track: AudioTrack,
    languages: Sequence[str],
    chosen: Mapping[str, ChosenTrack],
) -> str:
    reason = refusal(track)
    if reason is not None:
        return reason
    if track.untagged:
        primary = languages[0] if languages else "the primary one"  # of films that name no language none is asked for
        alone = sum(other.untagged for other in _plain(info.audio)) == 1 and primary not in chosen
        return "its language is not said" + (f"; --assume-primary takes it for {primary}" if alone else "")
    if track.language is None:
        return f"its tag {track.tag} is no one language"
    wanted = _wanted(track.language, languages)
    if wanted is None:
        return f"{track.language} is not asked for"
    if wanted in film.without:
        return f"the manifest says that there is no {wanted}"
    return _why_another(track, chosen.get(wanted))


def _why_another(track: AudioTrack, other: ChosenTrack | None) -> str:
    if other is None:
        return "what the manifest names for it cannot be used"
    if other.how != "tag":
        return f"{other.path.name}, track {other.track.index}, is taken for it {_HOW[other.how]}"
    differing = ((what, key(other.track), key(track)) for what, key in _PREFERENCES)
    what, its, ours = next((what, its, ours) for what, its, ours in differing if its != ours)
    nearer = other.track.language != track.language or its > ours  # language and region come before the preferences
    return f"track {other.track.index} {'is nearer to what is asked for' if nearer else what}"


def _find(film: Film, info: MediaInfo, language: str, languages: Sequence[str], region: str) -> ChosenTrack | None:
    if language in film.without:
        return None
    return (
        _named(film, info, language, region)
        or _tagged(info, language, languages, region)
        or _sidecar(film, info, language, languages, region)
        # a dub can be compared with the primary track, which nothing else says to be the picture's
        or (_tagged(info, language, languages, region, foreign=True) if language != languages[0] else None)
    )


def _named(film: Film, info: MediaInfo, language: str, region: str) -> ChosenTrack | None:
    for named, path, index in film.named_tracks:
        if named != language:
            continue
        source = info if path == info.path else _probed(path)
        tracks = [track for track in source.audio if index is None or track.index == index]
        if not tracks:
            where = "no audio stream" if index is None else f"no audio stream {index}"
            raise InputError(f"{path} has {where}, which the manifest names for {language}")
        if not tracks[0].decodable:
            raise InputError(f"{path}: no decoder for the stream that the manifest names for {language}")
        # a file of its own needs no stream number; of several tracks in it the language's own is meant
        match = _in_language(_plain(tracks), language, region) or tracks[0]
        return _chosen(language, info, source, match, "manifest")
    return None


def _chosen(language: str, film: MediaInfo, source: MediaInfo, track: AudioTrack, how: str) -> ChosenTrack:
    start = film.start_seconds if source.path == film.path else zero_beside(film, source)
    if track.start_seconds is not None:
        start = track.start_seconds
    return ChosenTrack(language=language, path=source.path, track=track, how=how, start_seconds=start)


def _probed(path: Path) -> MediaInfo:
    """What a file beside the film holds. Raises InputError that names it."""
    try:
        return read_info(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _tagged(
    info: MediaInfo, language: str, languages: Sequence[str], region: str, *, foreign: bool = False
) -> ChosenTrack | None:
    """``foreign``: of another programme than the picture's, which is taken where there is nothing else."""
    free = [track for track in _plain(info.audio, foreign=foreign) if track.language in _tags_for(language, languages)]
    found = _in_language(free, language, region)
    return None if found is None else _chosen(language, info, info, found, PROGRAMME if foreign else "tag")


def _tags_for(language: str, languages: Sequence[str]) -> list[str]:
    """The tags that mean a language, the best first, where ``languages`` are asked for: each tag is for the nearest."""
    return [tag for tag in met_by(language) if tag == language or tag not in languages]


def _sidecar(film: Film, info: MediaInfo, language: str, languages: Sequence[str], region: str) -> ChosenTrack | None:
    """``<stem>.<lang>.<ext>`` beside the video; the language in any way in which it can be written."""
    tags = _tags_for(language, languages)
    found = [
        (tags.index(tag), regional_distance(region, written), path)
        for written, path in sidecars(film.video)
        if (tag := language_tag(written)) in tags
    ]
    for _, _, path in sorted(found):
        source = _probed(path)
        plain = _plain(source.audio)
        if plain:
            track = _in_language(plain, language, region) or choose_track(plain)
            return _chosen(language, info, source, track, "sidecar")
    return None


def sidecars(video: Path) -> Iterator[tuple[str, Path]]:
    """(language as written, file) of the sounds beside a video that are named after it and a language.

    Names are compared as they read: macOS writes an accent as a letter of its own (NFD), others do not (NFC).
    """
    for middle, path in _sounds_beside(video):
        written = None if file_says_special(middle) else _language_written(middle)
        if written is not None:
            yield written, path


def _sounds_beside(video: Path) -> Iterator[tuple[str, Path]]:
    """(what its name has between the film's and its suffix, file) of every sound that is named after a film."""
    try:
        names = os.listdir(video.parent)
    except OSError:
        return
    stem = as_read(video.stem) + "."
    for name in names:
        read = as_read(name)
        if read.startswith(stem) and kind_of(name) == SOUND:
            yield os.path.splitext(read)[0][len(stem) :], video.parent / name


def _language_written(middle: str) -> str | None:
    """The language that this is, and nothing else."""
    parts = [part for part in middle.split(".") if part.lower() not in _FLAGS]
    return parts[0] if len(parts) == 1 and language_tag(parts[0]) is not None else None
