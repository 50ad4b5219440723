"""One film's task in a worker process: what is there already, what is missing, and no torch until something is."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dubcli.cache import layout
from dubcli.cache.reader import Movie
from dubcli.cache.writer import cache_lock, update_movie
from dubcli.core.atomic import read_json
from dubcli.errors import InputError, UserError
from dubcli.jobs.call import Report
from dubcli.jobs.outcomes import warned
from dubcli.media.films import Film
from dubcli.media.identity import content_of
from dubcli.media.joined import is_there, name_of
from dubcli.media.sources import ChosenTrack, choose_tracks, require_primary
from dubcli.media.streams import MediaInfo, info_of, open_media
from dubcli.prep.config import OFF, PrepConfig, kept_verdicts
from dubcli.prep.identity import movie_id
from dubcli.prep.landmarks import add_landmarks, landmarks_file
from dubcli.prep.settled import film_state, settle
from dubcli.prep.task import FilmTask, OpenFilm


def prepare_film(task: FilmTask, report: Report) -> dict[str, Any]:
    """Prepare a film, or what is missing of it. Returns details for the log. Raises InputError with the reason."""
    film, config = task.film, task.config
    state = film_state(film, config)
    content = content_of(film.video)
    identity = _known_as(film, config.cache, content) or movie_id(film.short_name, content)
    folder = layout.movie_folder(config.cache, identity)
    with open_media(film.video) as container:
        info = info_of(container, film.video, config.primary)
        unusable: list[str] = []
        chosen = _choose(film, info, config, unusable)
        movie = Movie(folder) if (folder / layout.MOVIE_FILE).exists() else None
        changed = set() if movie is None else _changed_files(movie, chosen)
        others = [] if movie is None else _changed_others(movie, chosen) + _kept_before(movie, chosen, config)
        if movie is not None and config.primary not in changed:
            details = _complete(task, movie, info, chosen, changed, report)
        else:
            from dubcli.prep.film import prepare_new

            opened = OpenFilm(
                task=task, container=container, info=info, chosen=chosen, identity=identity, content=content
            )
            details = prepare_new(opened, report)
    if not landmarks_file(folder).is_file():
        with suppress(UserError):  # a mel that was damaged since; what reads it says so
            add_landmarks(Movie(folder))
    settle(config.cache, folder, None if others else state)  # what is to be done again is told again
    if task.replaces is not None and task.replaces != identity and _remove(task, task.replaces):
        details["note"] = f"the source changed since it was prepared; replaces {task.replaces}"
    if changed:
        details["note"] = f"the files of {', '.join(sorted(changed))} changed since they were prepared; done again"
    return warned(details, unusable + others)


def _changed_files(movie: Movie, chosen: dict[str, ChosenTrack]) -> set[str]:
    """Languages whose track is in a file of its own, which is not the one any more that it was made of."""
    changed = set()
    for language, choice in chosen.items():
        made_of = movie.tracks.get(language, {}).get("fingerprint")
        if made_of is not None and made_of != content_of(choice.path):
            changed.add(language)
    return changed


def _changed_others(movie: Movie, chosen: dict[str, ChosenTrack]) -> list[str]:
    """A line for each language that is not asked for now and whose own file is another than was prepared."""
    film = movie.meta["source"]["path"]
    return [
        f"{language}: {track['path']} changed since it was prepared; name it in --lang to do it again"
        for language, track in movie.tracks.items()
        if language not in chosen and track["path"] != film and Path(track["path"]).is_file()
        if track.get("fingerprint") not in (None, content_of(Path(track["path"])))
    ]


def _kept_before(movie: Movie, chosen: Mapping[str, ChosenTrack], config: PrepConfig) -> list[str]:
    """A line for each language asked for that is there with a verdict that today's options leave out."""
    verdicts = {language: movie.tracks.get(language, {}).get("sync", {}).get("status") for language in chosen}
    return [
        f"{language}: stays as it was kept, with its sync {verdict}; a new --cache leaves it out"
        for language, verdict in verdicts.items()
        if verdict is not None and verdict not in kept_verdicts(config, _how(chosen, language))
    ]


def _complete(
    task: FilmTask,
    movie: Movie,
    info: MediaInfo,
    chosen: dict[str, ChosenTrack],
    changed: set[str],
    report: Report,
) -> dict[str, Any]:
    _follow_moved_source(task, movie)
    settled = {*movie.tracks, *_still_left_out(movie, task.config, chosen)} - changed
    missing = {language: choice for language, choice in chosen.items() if language not in settled}
    details: dict[str, Any] = {"movie": movie.id, "clips": movie.n_clips, "languages": list(movie.tracks)}
    if not missing:
        return details | {"status": "skipped"}
    from dubcli.prep.languages import add_languages

    return details | add_languages(task, movie, info, chosen, missing, report)


def _known_as(film: Film, cache: Path, content: str) -> str | None:
    """The id of the movie that was made of the same content under another name, where neither has a title of its own.

    A film that was renamed stays the one that it was.
    """
    if film.title is not None:
        return None
    for file in sorted((cache / layout.MOVIES_FOLDER).glob(f"*-{content[:8]}/{layout.MOVIE_FILE}")):
        meta = read_json(file)
        source = meta["source"]
        if source["fingerprint"] == content and meta["title"] == name_of(Path(source["path"])):
            return str(meta["id"])
    return None


def _still_left_out(movie: Movie, config: PrepConfig, chosen: Mapping[str, ChosenTrack]) -> set[str]:
    """Languages left out before that today's options leave out too; not those that are silent, with --keep-same."""
    reports = movie.meta.get("left_out_sync", {})
    return {
        language
        for language in movie.meta.get("left_out", {})
        # what was off was so by the cache's own parameters
        if reports.get(language, {}).get("status") not in kept_verdicts(config, _how(chosen, language)) - {OFF}
    }


def _how(chosen: Mapping[str, ChosenTrack], language: str) -> str | None:
    return chosen[language].how if language in chosen else None


def _follow_moved_source(task: FilmTask, movie: Movie) -> None:
    """The same content found under another path, and no longer under the old one: note where it is now."""
    source, new = movie.meta["source"], str(task.film.video.absolute())
    if source["path"] == new or _is_still_there(source):
        return

    def follow(meta: dict[str, Any]) -> None:
        # a track of the film's own file has moved with it
        for entry in meta["tracks"].values():
            if entry.get("path") == source["path"]:
                entry["path"] = new
        meta["source"].update(path=new)
        meta["title"] = task.film.short_name

    update_movie(task.config.cache, movie.folder, follow)


def _is_still_there(source: Mapping[str, Any]) -> bool:
    path = Path(source["path"])
    try:
        return is_there(path) and content_of(path) == source["fingerprint"]
    except InputError:
        return False


def _remove(task: FilmTask, former: str) -> bool:
    """Remove the movie of the former content of a film's path, unless that content was found elsewhere meanwhile."""
    folder = layout.movie_folder(task.config.cache, former)
    with cache_lock(task.config.cache):
        if read_json(folder / layout.MOVIE_FILE)["source"]["path"] != str(task.film.video.absolute()):
            return False
        shutil.rmtree(folder, ignore_errors=True)
    return True


def _choose(film: Film, info: MediaInfo, config: PrepConfig, unusable: list[str]) -> dict[str, ChosenTrack]:
    if info.video is None:
        what = "only sound" if info.audio else "no stream that FFmpeg can decode"
        raise InputError(f"no video stream, {what}")
    chosen = choose_tracks(
        film,
        info,
        config.languages,
        assume_primary=config.assume_primary,
        problems=unusable,
        regions=dict(zip(config.languages, config.regions, strict=True)),
    )
    require_primary(film, info, chosen, config.primary)
    return chosen
