"""Prepare one film that the cache does not have."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from dubcli.cache import layout
from dubcli.cache.writer import MovieWriter, new_movie
from dubcli.core.mels import SAMPLE_RATE
from dubcli.errors import InputError
from dubcli.jobs.call import Report
from dubcli.jobs.outcomes import warned
from dubcli.media.identity import content_of, size_of
from dubcli.media.jpeg import JpegWriter
from dubcli.media.nvdec import GpuDecodeError, open_on_gpu
from dubcli.media.picture import SLOTS
from dubcli.media.shown import Cropper, Orientation, PixelAspect, Turns, frame_size
from dubcli.media.sound import StereoTrack
from dubcli.media.streams import MediaInfo, VideoTrack, is_encrypted, open_media
from dubcli.prep.config import SLOT, PrepConfig
from dubcli.prep.decoder import DecoderChoice, decoder_for
from dubcli.prep.demux import PictureReport, PictureSink, Size, decode_film
from dubcli.prep.dubs import TrackPass, check_dubs, decode_alone
from dubcli.prep.record import (
    language_warnings,
    left_out_details,
    left_out_meta,
    summarise,
    track_meta,
    versions,
)
from dubcli.prep.task import OpenFilm
from dubcli.prep.track_mels import TrackMels

_MOST_PICTURE_THREADS = 16

# Matroska cuts the last frame's start and its duration to milliseconds: nine seconds of film must be three clips.
TICKS_SECONDS = Fraction(2, 1000)


def prepare_new(film: OpenFilm, report: Report) -> dict[str, Any]:
    """Decode a film into a new movie folder. Returns details for the log. Raises InputError with the reason.

    What a GPU does not decode as a CPU would is begun again on the CPU, also in the middle of a film.
    """
    # the mels run beside the picture's threads: a second one would mostly wait, spinning
    threadpool_limits(limits=1, user_api="blas")
    with decoder_for(film.task.config.decoder, film.info, film.task.threads) as choice:
        if choice.device is not None:
            try:
                with open_on_gpu(film.info.path, choice.device) as on_gpu:
                    return _prepare(replace(film, container=on_gpu), choice, report)
            except (GpuDecodeError, InputError) as error:
                choice = DecoderChoice(note=f"begun again after the GPU's decoder failed: {error}")
    return _prepare(film, choice, report)


def _prepare(film: OpenFilm, choice: DecoderChoice, report: Report) -> dict[str, Any]:
    config, info = film.task.config, film.info
    with new_movie(config.cache, film.identity) as writer:
        traced = writer.folder if config.sync_check and len(film.chosen) > 1 else None
        passes = {
            language: TrackPass(track, partial(writer.add_mel, language), traced=traced)
            for language, track in film.chosen.items()
        }
        picture = _decode_container(film, passes, writer, report)
        n_clips = _clip_count(info, picture)
        for one in passes.values():
            if one.stereo is None:
                decode_alone(one, n_clips)
            else:
                one.mels.finish(n_clips)
        left_out = check_dubs(passes, writer.drop_mel, config, n_clips)
        _require_unchanged(film.task.film.video, film.content)
        meta = _meta(film, passes, left_out, picture, n_clips) | choice.to_json()
        meta["frame_size"] = list(writer.frame_size)
        _require_sound(meta, passes[config.primary], config.primary)
        writer.finish(meta)
    return _details(meta, config, picture, info, passes) | left_out_details(passes, left_out) | choice.to_json()


def _clip_count(info: MediaInfo, picture: PictureReport) -> int:
    """How many whole clips were decoded. Raises InputError where that is none, or noise."""
    # of an encrypted film some pictures may seem to decode
    if picture.problems and is_encrypted(info.path):
        raise InputError("it is encrypted")
    n_clips = int((picture.end_seconds + TICKS_SECONDS) // layout.CLIP_SECONDS)
    if n_clips == 0:
        decoded = f"{float(picture.end_seconds):.2f} s of picture could be decoded, a clip has 3"
        raise InputError("; ".join([decoded, *picture.problems[:1]]))
    return n_clips


def _decode_container(
    film: OpenFilm, passes: dict[str, TrackPass], writer: MovieWriter, report: Report
) -> PictureReport:
    """The one pass over the film's own container; a second one over the picture where it began in another size."""
    info, container = film.info, film.container
    tracks: dict[int, tuple[StereoTrack, TrackMels]] = {}
    for one in passes.values():
        # two languages on one stream (a manifest may say so): the second is decoded in a pass of its own, and so is
        # another programme's sound, which has another clock
        track = one.choice.track
        if one.choice.path == info.path and track.index not in tracks and not track.foreign:
            one.stereo = StereoTrack(container.streams[track.index], info.start_seconds)
            tracks[track.index] = (one.stereo, one.mels)
    found = _decode(film, tracks, writer, report, None)
    if found.sizes and found.usual_size != writer.frame_size:
        writer.drop_frames()
        with open_media(info.path) as again:
            _decode(replace(film, container=again), {}, writer, report, found.usual_size)
    return found


def _decode(
    film: OpenFilm,
    tracks: dict[int, tuple[StereoTrack, TrackMels]],
    writer: MovieWriter,
    report: Report,
    size: Size | None,
) -> PictureReport:
    """One pass; pictures of another ``size`` (None: the first one's) are scaled to it."""
    video = film.info.video
    assert video is not None
    picture = film.container.streams[video.index]
    if picture.codec_context.is_hwaccel:
        picture.thread_type, picture.codec_context.thread_count = "NONE", 1
    else:
        picture.thread_type = "AUTO"
        # a skipped frame leaves its thread nothing to do, so four times as many keep the cores busy; each has a frame
        picture.codec_context.thread_count = min(_MOST_PICTURE_THREADS, 4 * film.task.threads)
    aspect = PixelAspect(picture.codec_context, video.sample_aspect_ratio)
    cropper = Cropper(video.crop, (video.width, video.height))
    turns, short_side = Turns(), film.task.config.short_side

    def shown_as(frame: Any) -> tuple[Size, Orientation]:
        turn = turns(frame)
        return frame_size(*cropper.size(frame), aspect(), turn.transposed, short_side), turn

    def writer_for(first: Size) -> tuple[JpegWriter, Callable[[bytes], None]]:
        writer.frame_size = size or first
        return JpegWriter(writer.frame_size, cropper), writer.add_frame

    return decode_film(
        film.container,
        picture,
        tracks,
        PictureSink(shown_as=shown_as, writer_for=writer_for, tell=_teller(film.info, report)),
        start=film.info.start_seconds,
        frame_rule=SLOTS if film.task.config.frames == SLOT else film.task.config.frame_rule,
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
    film: OpenFilm,
    passes: dict[str, TrackPass],
    left_out: dict[str, str],
    picture: PictureReport,
    n_clips: int,
) -> dict[str, Any]:
    info, task = film.info, film.task
    assert info.video is not None
    video = asdict(info.video) | {
        "sample_aspect_ratio": str(info.video.sample_aspect_ratio),
        "frame_rate": None if info.video.frame_rate is None else str(info.video.frame_rate),
        **picture.orientation.to_json(),
        "shown_sizes": {f"{width}x{height}": count for (width, height), count in picture.sizes.most_common()},
        "interlaced": picture.interlaced or info.video.interlaced,
    }
    return {
        "id": film.identity,
        "source": {
            "path": str(task.film.video.absolute()),
            "size": size_of(task.film.video),
            "fingerprint": film.content,
        },
        "title": task.film.short_name,
        "duration_seconds": float(picture.end_seconds),
        "start_seconds": float(info.start_seconds),
        "n_clips": n_clips,
        "primary": task.config.primary,
        layout.FRAMES: task.config.frames,
        "video": video,
        "tracks": {language: track_meta(one, n_clips) for language, one in passes.items() if language not in left_out},
        **left_out_meta(passes, left_out),
        "problems": summarise(picture.problems),
        "versions": versions(),
    }


def _require_unchanged(video: Path, content: str) -> None:
    """What was read is the file whose fingerprint is recorded: none that was still being copied, or that is gone."""
    if content_of(video) != content:
        raise InputError("the file changed while it was read (is it still being written?); run it again")


def _require_sound(meta: dict[str, Any], one: TrackPass, primary: str) -> None:
    if one.stereo is not None and one.stereo.refusal is not None:
        raise InputError(f"the {primary} track: {one.stereo.refusal}")
    first, stop = meta["tracks"][primary]["valid_clips"]
    if stop <= first:
        reasons = meta["tracks"][primary]["problems"][:1]
        raise InputError("; ".join([f"no whole clip of the {primary} track could be decoded", *reasons]))


def _details(
    meta: dict[str, Any],
    config: PrepConfig,
    picture: PictureReport,
    info: MediaInfo,
    passes: dict[str, TrackPass],
) -> dict[str, Any]:
    details: dict[str, Any] = {
        "movie": meta["id"],
        "clips": meta["n_clips"],
        "seconds": round(meta["duration_seconds"], 3),
        "languages": list(meta["tracks"]),
    }
    ends = [one.stereo.position / SAMPLE_RATE for one in passes.values() if one.stereo is not None]
    return warned(details, _warnings(meta, config, picture, info, max(ends)))


def _warnings(
    meta: dict[str, Any], config: PrepConfig, picture: PictureReport, info: MediaInfo, sound_end_seconds: float
) -> list[str]:
    found = language_warnings(meta, config)
    header, decoded = info.duration_seconds or 0.0, max(float(picture.end_seconds), sound_end_seconds)
    is_short = header - decoded > 0.5
    if picture.problems or is_short:
        short = f", {decoded:.1f} s of the {header:.1f} s that its header says" if is_short else ""
        reason = f" ({meta['problems'][0]})" if meta["problems"] else ""
        found.append(f"damaged or cut short{short}{reason}; its whole clips were kept")
    if meta["video"]["interlaced"]:
        found.append("interlaced (its fields are blended when it is scaled down)")
    if info.video is not None:
        found += _picture_warnings(info.video, picture)
    return found


def _picture_warnings(video: VideoTrack, picture: PictureReport) -> list[str]:
    found = []
    if video.programs > 1:
        found.append(
            f"{video.programs} programmes in one file; picture and sound of programme {video.program} were taken"
        )
    if len(picture.sizes) > 1:
        (width, height), rest = picture.usual_size, picture.sizes.total() - picture.sizes[picture.usual_size]
        found.append(
            f"its aspect changes; {100 * rest / picture.sizes.total():.0f} % of it was scaled to the rest's "
            f"{width}x{height}"
        )
    if video.dolby_vision is not None:
        found.append(
            f"Dolby Vision profile {video.dolby_vision}: without a decoder for it its colours are wrong (green and "
            f"purple); take another version of the film"
        )
    return found
