"""What ``movie.json`` and the log say of a film's tracks."""

from __future__ import annotations

import platform
from typing import Any

import av
import numpy as np

import dubcli
from dubcli.core.channels import downmix_gain
from dubcli.errors import InputError
from dubcli.media.identity import content_of
from dubcli.media.sources import PROGRAMME
from dubcli.prep.config import PrepConfig
from dubcli.prep.dubs import TrackPass
from dubcli.prep.track_mels import valid_clips


def versions() -> dict[str, str]:
    """What wrote the files."""
    ffmpeg = ".".join(map(str, av.library_versions["libavcodec"]))
    return {"dubcli": dubcli.__version__, "av": av.__version__, "libavcodec": ffmpeg, "numpy": np.__version__,
            "python": platform.python_version()}  # fmt: skip


def track_meta(one: TrackPass, n_clips: int) -> dict[str, Any]:
    """A language's entry in ``movie.json``. Raises InputError where its file is not the one any more that was read."""
    assert one.stereo is not None
    if content_of(one.choice.path) != one.content:
        raise InputError(f"{one.choice.path.name} changed while it was read (is it still being written?); run it again")
    track = one.choice.track
    entry: dict[str, Any] = {
        "path": str(one.choice.path.absolute()),
        "fingerprint": one.content,
        "stream": track.index,
        "found_by": one.choice.how,
        "codec": track.codec,
        "tag": track.tag,
        "title": track.title,
        "channels": track.channels,
        "layouts": one.stereo.layouts,
        "sample_rate": track.sample_rate,
        "downmix_gain": {name: downmix_gain(name) for name in one.stereo.layouts},
        "program": track.program,
        "start_seconds": float(one.choice.start_seconds),
        "valid_clips": list(valid_clips(one.stereo.first_sample, one.stereo.position, n_clips, one.lag)),
        "problems": summarise(one.stereo.problems + one.stereo.changed),
    }
    if one.sync is not None:
        entry["sync"] = one.sync.to_json()
    if one.fixed is not None:
        entry["fixed"] = one.fixed
    if one.gain != 1.0:
        entry["level_gain"] = one.gain
    return entry


def left_out_meta(passes: dict[str, TrackPass], left_out: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Of the languages left out: the reasons, and the sync reports of those that have one."""
    reports = {language: passes[language].sync for language in left_out}
    return {
        "left_out": left_out,
        "left_out_sync": {language: report.to_json() for language, report in reports.items() if report is not None},
    }


def left_out_details(passes: dict[str, TrackPass], left_out: dict[str, str]) -> dict[str, Any]:
    """For the log: {language: verdict} of the languages left out, where there are any."""
    return {"left_out": {language: passes[language].verdict for language in left_out}} if left_out else {}


def summarise(problems: list[str]) -> list[str]:
    """Each problem once, with how often it came, at most ten."""
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem] = counts.get(problem, 0) + 1
    return [f"{text} ({count} times)" if count > 1 else text for text, count in list(counts.items())[:10]]


def language_warnings(meta: dict[str, Any], config: PrepConfig) -> list[str]:
    """What to know of the languages asked for: missing, left out, sync unknown, damaged sound."""
    found = []
    absent = [language for language in config.languages if language not in {**meta["tracks"], **meta["left_out"]}]
    if absent:
        found.append(f"lacks {', '.join(absent)}")
    found += [f"{language} left out: {reason}" for language, reason in meta["left_out"].items()]
    for language, entry in meta["tracks"].items():
        if entry.get("sync", {}).get("status") == "unknown":
            found.append(f"{language}: sync unknown, too little is shared with {meta['primary']} to tell")
        if entry["found_by"] == PROGRAMME:
            found.append(f"{language}: from programme {entry['program']}, which is not the picture's")
        if entry["problems"]:
            found.append(f"{language}: {entry['problems'][0]}")
    return found
