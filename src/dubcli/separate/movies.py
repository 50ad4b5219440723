"""The no-speech mel of one film of a cache: the function that a worker process runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import dubcli
from dubcli.cache import layout
from dubcli.cache.reader import Movie
from dubcli.cache.writer import added_mel, update_movie
from dubcli.core.languages import found_as
from dubcli.core.same import first_difference
from dubcli.core.tracks import NOSPEECH, Track
from dubcli.errors import InputError, UserError
from dubcli.jobs.devices import Devices
from dubcli.media.clip_mels import ClipMels
from dubcli.media.identity import content_of
from dubcli.media.joined import is_there
from dubcli.media.kinds import walk
from dubcli.media.resample import resample_blocks
from dubcli.media.sound import track_blocks
from dubcli.separate.config import SeparateConfig
from dubcli.separate.run import separator_for
from dubcli.separate.stem_files import stem_of

SAMPLE_RATE = 44100
CLIP_SAMPLES = layout.CLIP_SECONDS * SAMPLE_RATE

Report = Callable[..., None]


def separate_movie(folder: str, report: Report, *, config: SeparateConfig, devices: Devices) -> dict[str, Any]:
    """Write the no-speech mel of the film in ``folder``. Returns details for the log.

    Raises InputError when its source is gone, changed or does not decode, UserError when the model cannot be used.
    """
    movie = Movie(Path(folder))
    language = found_as(config.lang or movie.primary, movie.languages)
    if not movie.has(language):
        return {"status": "skipped", "warning": f"lacks {language}"}
    separator = separator_for(config, devices)
    rate = separator.bag.sample_rate
    track = movie.tracks[language]
    recipe = separator.recipe() | {
        "source": _made_of(movie, language), "track": track["stream"], "dubcli": dubcli.__version__
    }  # fmt: skip
    if _is_done(movie, language, recipe):
        return {"status": "skipped"}
    if "fixed" in track:
        raise InputError(f"the {language} track runs beside the film and was moved by prep; its sound is not separated")
    source, start = _source(movie, language, config.source_root)
    _forget(config.cache, movie, language)
    begun = time.monotonic()
    problems: list[str] = []

    def sound() -> Iterator[Tensor]:
        problems.clear()
        samples = movie.n_clips * layout.CLIP_SECONDS * rate
        return exactly(track_blocks(source, track["stream"], start, rate, problems), samples)

    gain = float(track.get("level_gain", 1.0))
    with added_mel(movie.folder, Track(language, NOSPEECH)) as writer:
        mels = ClipMels(writer.append, SAMPLE_RATE, gain=gain)
        stems = (stem_of(block, separator.bag.vocals, "no_vocals") for block in separator.stems(sound, report))
        for block in resample_blocks(stems, rate, SAMPLE_RATE):
            mels.add(block.numpy())
        mels.finish(movie.n_clips)
    entry = recipe | separator.circumstances() | {"problems": list(dict.fromkeys(problems))[:10]}
    update_movie(config.cache, movie.folder, lambda meta: meta.setdefault(NOSPEECH, {}).update({language: entry}))
    seconds = movie.n_clips * layout.CLIP_SECONDS
    details = {"language": language, "clips": movie.n_clips, "speed": round(seconds / (time.monotonic() - begun), 3)}
    return details | separator.errors() | ({"warning": problems[0]} if problems else {})


def _is_done(movie: Movie, language: str, recipe: dict[str, Any]) -> bool:
    entry = movie.entries(NOSPEECH).get(language)
    # entries of earlier versions do not say of which file they are
    if entry is None or first_difference(entry, recipe, new_names_differ=False) is not None:
        return False
    try:
        movie.mel(Track(language, NOSPEECH))
    except UserError:
        return False
    return True


def _forget(cache: Path, movie: Movie, language: str) -> None:
    """Take a mel of another recipe out of ``movie.json`` before its file is replaced: a kill between leaves no lie."""
    if movie.has(Track(language, NOSPEECH)):
        update_movie(cache, movie.folder, lambda meta: meta[NOSPEECH].pop(language, None))


def _source(movie: Movie, language: str, root: Path | None) -> tuple[Path, Fraction | None]:
    """The file of a track, and its film's zero on that file's clock; None: the file's own start."""
    track = movie.tracks[language]
    recorded = Path(track["path"])
    own_file = _has_own_file(movie, language)
    wanted = _made_of(movie, language)
    # earlier versions did not say where the film begins on the clock of a file beside it
    recorded_start = track.get("start_seconds", None if own_file else movie.meta.get("start_seconds", 0))
    start = None if recorded_start is None else Fraction(str(recorded_start))
    if root is None:
        if not is_there(recorded):
            raise InputError(f"its source {recorded} is not there; if it was moved, give --source-root DIR")
        if wanted is not None and content_of(recorded) != wanted:
            raise InputError(f"its source {recorded} has changed since it was prepared; prepare it again")
        return recorded, start
    candidates = _candidates(root, recorded)
    for path in candidates:
        if wanted is None or content_of(path) == wanted:
            return path, start
    if candidates:
        raise InputError(f"{candidates[0]} is another film than the {recorded} that was prepared")
    raise InputError(f"no file {recorded.name} in {root}")


def _has_own_file(movie: Movie, language: str) -> bool:
    return bool(movie.tracks[language]["path"] != movie.meta["source"]["path"])


def _made_of(movie: Movie, language: str) -> str | None:
    """The fingerprint of the file that prep read a track of; None of a sidecar where a version did not record it."""
    film = None if _has_own_file(movie, language) else str(movie.meta["source"]["fingerprint"])
    return movie.tracks[language].get("fingerprint", film)


def _candidates(root: Path, recorded: Path) -> list[Path]:
    """Files in ``root`` that may be the recorded one: by the longest part of its path first, then by its name."""
    parts = recorded.parts[1:] if recorded.is_absolute() else recorded.parts
    by_path = [root.joinpath(*parts[first:]) for first in range(len(parts))]
    return [path for path in dict.fromkeys(by_path + _files_by_name(root).get(recorded.name, [])) if is_there(path)]


@lru_cache(maxsize=4)
def _files_by_name(root: Path) -> dict[str, list[Path]]:
    if not root.is_dir():
        raise UserError(f"--source-root {root} is no folder; give the one in which the films now lie")
    names: dict[str, list[Path]] = {}
    for found in walk(root, once=True):
        path = Path(found.path)
        names.setdefault(path.name, []).append(path)
    return {name: sorted(paths) for name, paths in names.items()}


def exactly(blocks: Iterator[Tensor], samples: int) -> Iterator[Tensor]:
    """The first ``samples`` of a (2, ...) track; silence after its end."""
    left = samples
    for block in blocks:  # to its end, where it is known what is wrong with it
        if left:
            yield block[:, :left]
        left -= min(left, block.shape[-1])
    while left:
        silence = min(left, CLIP_SAMPLES)
        yield torch.zeros(2, silence)
        left -= silence
