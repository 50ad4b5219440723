"""One film of the sources: what its header says, and what prep would take of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dubcli.errors import InputError
from dubcli.ls.title import TitleRow, TrackRow
from dubcli.media.films import Film, ManifestRow
from dubcli.media.sources import (
    ChosenTrack,
    Verdict,
    choose_tracks,
    judge_tracks,
    languages_of,
    require_primary,
)
from dubcli.media.streams import AudioTrack, MediaInfo, read_info


@dataclass(frozen=True, kw_only=True)
class AskedLanguages:
    """Whose tracks are looked for: ``languages`` as ``dubav prep --lang`` has them; none: all that there are."""

    languages: tuple[str, ...] = ()
    regions: Mapping[str, str]
    assume_primary: bool = False


@dataclass(frozen=True, kw_only=True)
class LookedAt:
    """A film and its header, or why that cannot be read. ``languages``: all in which it has a track to be taken."""

    film: Film
    info: MediaInfo | None = None
    problem: str | None = None
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A film for the table and for a manifest."""

    row: TitleRow
    in_manifest: ManifestRow


def look(film: Film) -> LookedAt:
    """Read a film's header."""
    try:
        info = read_info(film.video)
    except InputError as error:
        return LookedAt(film=film, problem=str(error))
    if info.video is None:
        return LookedAt(film=film, info=info, problem="no video stream")
    return LookedAt(film=film, info=info, languages=languages_of(film, info))


def most_have(films: Iterable[LookedAt]) -> str:
    """The language that is taken for the primary one where none is said: English, else the most frequent."""
    counts: dict[str, int] = {}
    for one in films:
        for language in one.languages:
            counts[language] = counts.get(language, 0) + 1
    return "en" if "en" in counts else max(counts, key=lambda language: counts[language], default="")


def judge(one: LookedAt, choice: AskedLanguages, primary: str) -> Judged:
    """What prep would take of a film, by prep's own rule."""
    if one.info is None:
        row = TitleRow(title=one.film.name, problem=one.problem)
        return Judged(row=row, in_manifest=ManifestRow(film=one.film, tracks={}, note=one.problem or ""))
    info = one.info
    if info.video is not None and info.video.programs > 1 and primary:
        info = read_info(one.film.video, primary)
    problems: list[str] = []
    languages, chosen = _choose(one.film, info, choice, primary, one.languages, problems)
    verdicts = judge_tracks(one.film, info, languages, chosen)
    lacking = one.problem
    if lacking is None and choice.languages:
        try:
            require_primary(one.film, info, chosen, primary)
        except InputError as error:
            lacking = str(error)
    tracks = {language: (choice.path, choice.track.index) for language, choice in chosen.items()}
    left = [f"{v.track.index} {v.track.described}: {v.why}" for v in verdicts if not v.taken_for]
    return Judged(
        row=_row(info, one.film, verdicts, lacking, problems),
        in_manifest=ManifestRow(film=one.film, tracks=tracks, note="; ".join([*problems, *left])),
    )


def _choose(
    film: Film, info: MediaInfo, choice: AskedLanguages, primary: str, own: tuple[str, ...], problems: list[str]
) -> tuple[tuple[str, ...], dict[str, ChosenTrack]]:
    """Where no languages are asked for, each is looked for on its own: nobody knows what it will be beside."""
    together = [choice.languages] if choice.languages else [(tag,) for tag in dict.fromkeys((primary, *own)) if tag]
    chosen: dict[str, ChosenTrack] = {}
    for languages in together:
        try:
            chosen |= choose_tracks(
                film,
                info,
                languages,
                assume_primary=choice.assume_primary and languages[0] == primary,
                problems=problems,
                regions=choice.regions,
            )
        except InputError as error:
            problems.append(f"{languages[0]}: {error}")
    return tuple(language for languages in together for language in languages), chosen


def _row(info: MediaInfo, film: Film, verdicts: list[Verdict], problem: str | None, problems: list[str]) -> TitleRow:
    video = info.video
    notes = []
    if video is not None:
        programme = f"picture of programme {video.program}, one of {video.programs}" if video.programs > 1 else None
        notes = [video.hdr, "interlaced" if video.interlaced else None, programme]
    return TitleRow(
        title=film.name,
        duration_seconds=info.duration_seconds or 0.0,
        video="" if video is None else f"{video.codec} {video.width}x{video.height}",
        tracks=tuple(_track(verdict, beside=verdict.path != info.path) for verdict in verdicts),
        note=", ".join([*(note for note in notes if note), *problems]),
        problem=problem,
    )


def _track(verdict: Verdict, *, beside: bool) -> TrackRow:
    track = verdict.track
    return TrackRow(
        language=track.language or (verdict.taken_for[0] if verdict.taken_for else "und"),
        codec=track.codec or "no decoder",
        channels=track.channels,
        layout=track.layout,
        note=_note(track),
        index=track.index,
        file=str(verdict.path) if beside else "",
        tag=track.tag,
        title=track.title,
        flags=track.flags,
        taken_for=verdict.taken_for,
        why=verdict.why,
    )


def _note(track: AudioTrack) -> str:
    return f"not taken: {track.title or 'commentary or description'}" if track.special else ""
