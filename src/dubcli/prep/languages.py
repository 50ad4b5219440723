"""Add languages to a film that is in the cache already: their sound alone is decoded."""

from __future__ import annotations

from typing import Any

from dubcli.cache.layout import entries_key
from dubcli.cache.reader import Movie
from dubcli.cache.writer import added_mel, update_movie
from dubcli.core.tracks import FULL, KINDS
from dubcli.jobs.call import Report
from dubcli.jobs.outcomes import warned
from dubcli.media.sources import ChosenTrack
from dubcli.media.streams import MediaInfo
from dubcli.prep.dubs import TrackPass, check_dubs, decode_alone
from dubcli.prep.record import language_warnings, left_out_details, left_out_meta, track_meta
from dubcli.prep.task import FilmTask


def add_languages(
    task: FilmTask,
    movie: Movie,
    info: MediaInfo,
    chosen: dict[str, ChosenTrack],
    missing: dict[str, ChosenTrack],
    report: Report,
) -> dict[str, Any]:
    """Decode and write the languages of ``missing``. Returns details for the log.

    Where the dubs' sync is checked the primary track is decoded once more, to compare them with.
    """
    config = task.config
    passes: dict[str, TrackPass] = {}
    left_out: dict[str, str] = {}
    for number, (language, choice) in enumerate(missing.items()):
        report(number / len(missing), adding=language)
        passes[language], reason = _add_one(task, movie, info, chosen[config.primary], language, choice)
        left_out |= reason

    def record(changed: dict[str, Any]) -> None:
        for key, entries in left_out_meta(passes, left_out).items():
            changed[key] = {**changed.get(key, {}), **entries}

    if left_out:
        update_movie(config.cache, movie.folder, record)
    now = Movie(movie.folder)
    added = [language for language in missing if language in now.tracks]
    details: dict[str, Any] = {"languages": list(now.tracks), "added": added}
    return warned(details | left_out_details(passes, left_out), language_warnings(now.meta, config))


def _add_one(
    task: FilmTask, movie: Movie, info: MediaInfo, primary: ChosenTrack, language: str, choice: ChosenTrack
) -> tuple[TrackPass, dict[str, str]]:
    """The pass, and {language: reason} where it is left out."""
    config = task.config
    # the file appears when the block ends
    with added_mel(movie.folder, language) as mel:
        one = TrackPass(choice, mel.append, traced=movie.folder if config.sync_check else None)
        decode_alone(one, movie.n_clips)
        passes = {language: one}
        if config.sync_check or config.match_level:
            passes = {config.primary: _primary_again(primary, movie), language: one}
        left_out = check_dubs(passes, lambda _: mel.truncate(0), config, movie.n_clips)
        mel.discarded = bool(left_out)
    one.trace = one.mels.trace = None  # its files, which the other languages do not need
    if left_out:
        return one, left_out

    def record(changed: dict[str, Any]) -> None:
        changed["tracks"][language] = track_meta(one, movie.n_clips)
        for key in ("left_out", "left_out_sync"):
            changed.get(key, {}).pop(language, None)
        for kind in KINDS:
            if kind != FULL:  # they were made of the former sound
                changed.get(entries_key(kind), {}).pop(language, None)

    update_movie(config.cache, movie.folder, record)
    return one, {}


def _primary_again(choice: ChosenTrack, movie: Movie) -> TrackPass:
    one = TrackPass(choice, lambda rows: None, traced=movie.folder)
    decode_alone(one, movie.n_clips)
    return one
