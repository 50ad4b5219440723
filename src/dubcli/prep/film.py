"""Prepare one film: the function that a worker process runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import torch

from dubcli.cache import layout
from dubcli.cache.reader import Movie
from dubcli.cache.writer import MovieWriter, new_movie
from dubcli.errors import InputError
from dubcli.media.identity import fingerprint
from dubcli.media.jpeg import JpegWriter, frame_size
from dubcli.media.sound import StereoTrack
from dubcli.media.sources import ChosenTrack, Film, choose_tracks
from dubcli.media.streams import MediaInfo, describe, open_media
from dubcli.prep.config import SHORT_SIDE, PrepConfig
from dubcli.prep.demux import PictureReport, decode_film
from dubcli.prep.dubs import TrackPass, check_dubs, decode_alone
from dubcli.prep.identity import movie_id
from dubcli.prep.languages import add_languages
from dubcli.prep.record import language_warnings, summarise, track_meta, versions
from dubcli.prep.sound import ClipMels


@dataclass(frozen=True, kw_only=True)
class FilmTask:
    """A film to prepare. ``replaces``: id of the movie that was made of an earlier content of the same file."""

    film: Film
    config: PrepConfig
    threads: int
    replaces: str | None = None


Report = Callable[..., None]


def prepare_film(task: FilmTask, report: Report) -> dict[str, Any]:
    """Prepare a film, or what is missing of it. Returns details for the log. Raises InputError with the reason."""
    torch.set_num_threads(task.threads)
    film, config = task.film, task.config
    try:
        content = fingerprint(film.video)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    identity = movie_id(film.title or film.video.stem, content)
    folder = layout.movie_folder(config.cache, identity)
    with open_media(film.video) as container:
        info = describe(container, film.video)
        chosen = _choose(film, info, config)
        if (folder / layout.MOVIE_FILE).exists():
            return add_languages(task, Movie(folder), info, chosen, report)
        details = _prepare_new(task, container, info, chosen, identity, content, report)
    if task.replaces is not None and task.replaces != identity:
        shutil.rmtree(layout.movie_folder(config.cache, task.replaces), ignore_errors=True)
        details["note"] = f"the source changed since it was prepared; replaces {task.replaces}"
    return details


def _choose(film: Film, info: MediaInfo, config: PrepConfig) -> dict[str, ChosenTrack]:
    if info.video is None:
        what = "only sound" if info.audio else "no stream that FFmpeg can decode"
        raise InputError(f"no video stream, {what}")
    chosen = choose_tracks(film, info, config.languages, assume_primary=config.assume_primary)
    if config.primary not in chosen:
        tags = ", ".join(track.tag or "untagged" for track in info.audio) or "none"
        untagged = [track for track in info.audio if track.language is None]
        hint = "; --assume-primary takes a single untagged track for it" if len(untagged) == 1 else ""
        raise InputError(f"no {config.primary} track (audio tracks: {tags}){hint}")
    return chosen


def _prepare_new(
    task: FilmTask,
    container: Any,
    info: MediaInfo,
    chosen: dict[str, ChosenTrack],
    identity: str,
    content: str,
    report: Report,
) -> dict[str, Any]:
    config = task.config
    assert info.video is not None
    with new_movie(config.cache, identity) as writer:
        passes = {
            language: TrackPass(choice, partial(writer.add_mel, language), traced=_traced(config, chosen))
            for language, choice in chosen.items()
        }
        picture = _decode_container(task, container, info, passes, writer, report)
        n_clips = int(picture.end_seconds // layout.CLIP_SECONDS)
        if n_clips == 0:
            reason = f"; {picture.problems[0]}" if picture.problems else ""
            raise InputError(f"{float(picture.end_seconds):.2f} s of picture could be decoded, a clip has 3{reason}")
        for one in passes.values():
            if one.stereo is None:
                decode_alone(one, info.start_seconds if one.choice.path == info.path else None, n_clips)
            else:
                one.mels.finish(n_clips)
        left_out = check_dubs(passes, writer.drop_mel, config, n_clips)
        meta = _meta(task, info, passes, left_out, picture, writer, identity, content, n_clips)
        _require_sound(meta, config.primary)
        writer.finish(meta)
    return _details(meta, config, picture, info)


def _traced(config: PrepConfig, chosen: dict[str, ChosenTrack]) -> bool:
    return config.sync_check and len(chosen) > 1


def _decode_container(
    task: FilmTask,
    container: Any,
    info: MediaInfo,
    passes: dict[str, TrackPass],
    writer: MovieWriter,
    report: Report,
) -> PictureReport:
    """The one pass over the film's own container."""
    assert info.video is not None
    picture = container.streams[info.video.index]
    picture.thread_type = "AUTO"
    picture.codec_context.thread_count = task.threads
    limit = None if info.duration_seconds is None else info.duration_seconds + 60
    tracks: dict[int, tuple[StereoTrack, ClipMels]] = {}
    for one in passes.values():
        # two languages on one stream (a manifest may say so): the second is decoded in a pass of its own
        if one.choice.path == info.path and one.choice.track.index not in tracks:
            one.stereo = StereoTrack(container.streams[one.choice.track.index], info.start_seconds, limit)
            tracks[one.choice.track.index] = (one.stereo, one.mels)

    def writer_for(frame: Any) -> tuple[JpegWriter, Callable[[bytes], None]]:
        ratio = info.video.sample_aspect_ratio if info.video else Fraction(1)
        writer.frame_size = frame_size(frame.width, frame.height, ratio, round(frame.rotation), SHORT_SIDE)
        return JpegWriter(writer.frame_size), writer.add_frame

    return decode_film(
        container, picture, tracks, start=info.start_seconds, writer_for=writer_for, tell=_teller(info, report)
    )


def _teller(info: MediaInfo, report: Report) -> Callable[[Fraction], None]:
    """Report at every second of film, with the speed as a multiple of real time."""
    begun, last = time.monotonic(), [0.0]

    def tell(at: Fraction) -> None:
        seconds = float(at)
        if seconds - last[0] >= 1.0:
            last[0] = seconds
            share = min(1.0, seconds / info.duration_seconds) if info.duration_seconds else 0.0
            report(share, speed=f"{seconds / max(1e-3, time.monotonic() - begun):.1f}x real time")

    return tell


def _meta(
    task: FilmTask,
    info: MediaInfo,
    passes: dict[str, TrackPass],
    left_out: dict[str, str],
    picture: PictureReport,
    writer: MovieWriter,
    identity: str,
    content: str,
    n_clips: int,
) -> dict[str, Any]:
    assert info.video is not None
    video = asdict(info.video) | {
        "sample_aspect_ratio": str(info.video.sample_aspect_ratio),
        "frame_rate": None if info.video.frame_rate is None else str(info.video.frame_rate),
        "rotation": picture.rotation,
        "interlaced": picture.interlaced or info.video.interlaced,
    }
    return {
        "id": identity,
        "source": {
            "path": str(task.film.video.absolute()),
            "size": task.film.video.stat().st_size,
            "fingerprint": content,
        },
        "title": task.film.title or task.film.video.stem,
        "duration_seconds": float(picture.end_seconds),
        "start_seconds": float(info.start_seconds),
        "n_clips": n_clips,
        "primary": task.config.primary,
        "frame_size": list(writer.frame_size),
        "video": video,
        "tracks": {language: track_meta(one, n_clips) for language, one in passes.items() if language not in left_out},
        "left_out": left_out,
        "problems": summarise(picture.problems),
        "versions": versions(),
    }


def _require_sound(meta: dict[str, Any], primary: str) -> None:
    first, stop = meta["tracks"][primary]["valid_clips"]
    if stop <= first:
        problems = meta["tracks"][primary]["problems"]
        raise InputError(f"no whole clip of the {primary} track could be decoded" + f"; {problems[0]}" * bool(problems))


def _details(meta: dict[str, Any], config: PrepConfig, picture: PictureReport, info: MediaInfo) -> dict[str, Any]:
    details: dict[str, Any] = {
        "movie": meta["id"],
        "clips": meta["n_clips"],
        "seconds": round(meta["duration_seconds"], 3),
        "languages": list(meta["tracks"]),
    }
    warning = "; ".join(_warnings(meta, config, picture, info))
    return details | ({"warning": warning} if warning else {})


def _warnings(meta: dict[str, Any], config: PrepConfig, picture: PictureReport, info: MediaInfo) -> list[str]:
    found = language_warnings(meta, config)
    header, decoded = info.duration_seconds or 0.0, float(picture.end_seconds)
    if picture.problems or header - decoded > layout.CLIP_SECONDS:
        short = f", {decoded:.1f} s of the {header:.1f} s that its header says" if header - decoded > 1 else ""
        reason = f" ({meta['problems'][0]})" if meta["problems"] else ""
        found.append(f"damaged or cut short{short}{reason}; its whole clips were kept")
    if meta["video"]["interlaced"]:
        found.append("interlaced (its fields are blended when it is scaled down)")
    return found
