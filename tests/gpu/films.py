"""Section prep: films decoded by the GPU against the same films decoded by the CPU, and how many an hour."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from gpu.harness import Check

CODECS = {
    "h264": ("libx264", {"preset": "veryfast", "x264-params": "log-level=none:bframes=3"}),
    "hevc": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3"}),
}
FILM_HOURS = 2  # of a film that films an hour are counted in


def prep(check: Check) -> None:
    """The whole cache of H.264 and HEVC films byte for byte, and the speed of each decoder over several copies."""
    from dubcli.media.nvdec import why_not

    reason = why_not(check.device.index or 0) if check.gpu else "this is a CPU"
    other = "auto" if reason else "cuda"
    if check.gpu:
        check.expect("the GPU decodes pictures", reason is None, reason or "")
    for codec, (encoder, options) in CODECS.items():
        folder = check.work / f"films-{codec}"
        _make(check, folder, encoder, options)
        for decoder in ("cpu", other):
            cache = check.work / f"prepared-{codec}-{decoder}"
            begun = time.monotonic()
            check.dubav("prep", folder, "--lang", "en", "--decoder", decoder, "--cache", cache)
            speed = _seconds_of_film(cache) / (time.monotonic() - begun)
            check.note(
                f"prep {codec} --decoder {decoder}",
                f"{speed:.1f} x real time, the start included: {speed / FILM_HOURS:.1f} films of 2 h an hour, "
                f"decoded by {', '.join(sorted(_decoders(cache)))}",
            )
        caches = [check.work / f"prepared-{codec}-{decoder}" for decoder in ("cpu", other)]
        check.expect(f"{codec}: the same pictures and mels from both", _contents(caches[0]) == _contents(caches[1]))
        if reason is None:
            check.expect(
                f"{codec}: the GPU decoded", all(name != "cpu" for name in _decoders(caches[1])), _notes(caches[1])
            )


def _make(check: Check, folder: Path, encoder: str, options: dict[str, str]) -> None:
    """One film and, on a GPU, links to it: each is a film of its own."""
    from helpers.containers import Track, make_film

    folder.mkdir(exist_ok=True)
    seconds, size, count = (12, (1280, 720), 16) if check.gpu else (4, (96, 64), 1)
    first = folder / "film-00.mkv"
    make_film(first, seconds=seconds, size=size, video_codec=encoder, video_options=options, tracks=[Track("eng")])
    for number in range(1, count):
        os.link(first, folder / f"film-{number:02}.mkv")


def _metas(cache: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(cache.glob("movies/*/movie.json"))]


def _seconds_of_film(cache: Path) -> float:
    return sum(meta["duration_seconds"] for meta in _metas(cache))


def _decoders(cache: Path) -> set[str]:
    return {meta["decoder"] for meta in _metas(cache)}


def _notes(cache: Path) -> list[str]:
    return sorted({meta["decoder_note"] for meta in _metas(cache) if "decoder_note" in meta})


def _contents(cache: Path) -> dict[str, bytes]:
    """Frames, their index and mels of every film, by path in the cache."""
    files = [path for path in cache.glob("movies/*/*") if path.name != "movie.json"]
    return {str(path.relative_to(cache)): path.read_bytes() for path in files}
