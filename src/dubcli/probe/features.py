"""Features of a task's clips: made once per (model, data) and kept, or read from a folder of ``dubav embed``."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from dubcli.core.atomic import atomic_write
from dubcli.embed import EmbedConfig, Embedder, Features, embed_files, load_features
from dubcli.embed.stereo import Heard, stereo_blocks
from dubcli.errors import InputError, UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import Progress
from dubcli.probe.tasks.data import Clip
from dubcli.probe.tasks.folder import file_name_part


@dataclass(frozen=True, kw_only=True)
class ClipFeatures:
    """``array``: float32 (clips, dim), a row per clip. ``failed``: why a clip, by its number, has none (zeros).

    ``widths``: of the modalities that were asked for, side by side in that order; empty where there is one.
    """

    array: np.ndarray
    failed: dict[int, str]
    widths: tuple[int, ...] = ()


def feature_folder(root: Path, model: str, task: str, clips: Sequence[Clip], identity: Sequence[Any]) -> Path:
    """Where the features of these clips by this model are kept: ``<root>/<model>/<task>-<12 hex digits>``.

    The digits depend on ``identity`` (the model's content, its precision, the modalities) and on the clips' places.
    """
    places = sorted(f"{clip.path.resolve()} {clip.start_seconds} {clip.seconds}" for clip in clips)
    digest = hashlib.sha256(json.dumps([list(identity), places]).encode()).hexdigest()[:12]
    return root / file_name_part(model) / f"{file_name_part(task)}-{digest}"


def checkpoint_features(
    embedder: Embedder,
    clips: Sequence[Clip],
    folder: Path,
    config: EmbedConfig,
    options: JobOptions,
    progress: Progress,
) -> ClipFeatures:
    """A checkpoint's features of clips, kept in ``folder``; several modalities stand side by side, (clips, 2048).

    A clip that lacks one of the modalities counts as failed. Raises UserError as ``embed_files`` does.
    """
    uncut: dict[int, str] = {}
    paths: list[str] = []
    for number, clip in enumerate(clips):
        try:
            paths.append(str(segment_file(clip, folder.parent / "segments")))
        except InputError as error:
            uncut[number] = str(error)
            paths.append("")
    distinct = sorted(set(filter(None, paths)))
    if not distinct:
        return ClipFeatures(array=np.zeros((len(clips), 0), dtype=np.float32), failed=uncut)

    def embed(files: Sequence[str], wanted: EmbedConfig, out: Path) -> Features:
        return embed_files(files, embedder, wanted, out=out, options=options, progress=progress)

    features = embed(distinct, config, folder)
    sounds = _sounds_beside(clips, paths, features) if "audio" in config.modalities else {}
    if sounds:
        progress.message(f"{len(sounds)} videos have no sound; that of the sound files beside them is taken")
        files = sorted({*map(str, sounds.values())})
        beside = embed(files, replace(config, modalities=("audio",)), folder.with_name(f"{folder.name}-sounds"))
        found = _matched_with_sounds(features, beside, paths, sounds, config.modalities)
    else:
        found = matched(features, paths, config.modalities)
    told_elsewhere = {paths[number] for number in (*sounds, *found.failed)}
    _tell_of_damage(features, told_elsewhere, folder, progress)
    return replace(found, failed={**found.failed, **uncut})


def _tell_of_damage(features: Features, told_elsewhere: Container[str], folder: Path, progress: Progress) -> None:
    """Clips that were used though something is wrong with them; ``items.csv`` has them all.

    ``told_elsewhere``: files of clips that are not used, or whose sound lies beside them.
    """
    told = [
        item
        for item in features.items
        if item["status"] == "ok" and item["reason"] and str(item["path"]) not in told_elsewhere
    ]
    if told:
        first = f"{Path(str(told[0]['path'])).name}: {told[0]['reason']}"
        progress.message(f"{len(told)} clips were used with a warning, the first {first}; all in {folder}/items.csv")


def _sounds_beside(clips: Sequence[Clip], paths: Sequence[str], features: Features) -> dict[int, Path]:
    """The sounds beside those clips, by number, in whose own files none was found."""
    row_of = {str(item["path"]): row for row, item in enumerate(features.items)}
    there = features.has("audio")
    return {
        number: clip.sound
        for number, (clip, path) in enumerate(zip(clips, paths, strict=True))
        if clip.sound is not None and path and not (path in row_of and there[row_of[path]])
    }


def _matched_with_sounds(
    features: Features, beside: Features, paths: Sequence[str], sounds: Mapping[int, Path], modalities: Sequence[str]
) -> ClipFeatures:
    """As ``matched``, with the audio of the clips in ``sounds`` from the features of these files."""
    parts = []
    for modality in modalities:
        if modality == "video":
            part = matched(features, paths, (modality,))
        else:
            others = matched(beside, [str(sounds.get(number, "")) for number in range(len(paths))], ("audio",))
            none_own = features.audio is None  # no video has sound
            part = others if none_own else matched(features, paths, ("audio",))
            array = part.array.copy()
            array[list(sounds)] = others.array[list(sounds)]
            failed = {number: why for number, why in part.failed.items() if number not in sounds}
            failed |= {number: why for number, why in others.failed.items() if number in sounds}
            part = replace(part, array=array, failed=failed)
        parts.append(part)
    together: dict[int, str] = {}
    for part in parts:
        together |= {number: why for number, why in part.failed.items() if number not in together}
    array = np.concatenate([part.array for part in parts], axis=1)
    array[list(together)] = 0
    return ClipFeatures(array=array, failed=together, widths=tuple(part.array.shape[1] for part in parts))


def matched(features: Features, paths: Sequence[str], modalities: Sequence[str]) -> ClipFeatures:
    """The rows of ``features`` that belong to ``paths``, by their names in ``items.csv``."""
    row_of = {str(item["path"]): row for row, item in enumerate(features.items)}
    rows = [row_of.get(path) for path in paths]
    arrays = []
    failed: dict[int, str] = {}
    for modality in modalities:
        whole = _per_file(features, modality)
        if whole is None:
            raise UserError(f"the features hold no {modality}; make them again with dubav embed on clips that have it")
        there = features.has(modality)
        for clip, row in enumerate(rows):
            if row is None:
                failed.setdefault(clip, "not among the features")
            elif not there[row]:
                failed.setdefault(clip, str(features.items[row]["reason"]) or f"has no {modality}")
        arrays.append(whole)
    widths = tuple(array.shape[1] for array in arrays)
    out = np.zeros((len(paths), sum(widths)), dtype=np.float32)
    usable = [clip for clip in range(len(paths)) if clip not in failed]
    own = np.array([row_of[paths[clip]] for clip in usable], dtype=np.int64)
    if usable:
        out[usable] = np.concatenate([array[own] for array in arrays], axis=1)
    return ClipFeatures(array=out, failed=failed, widths=widths)


def embedded_features(folder: Path, clips: Sequence[Clip], modalities: Sequence[str]) -> tuple[ClipFeatures, str]:
    """Features of clips from an output folder of ``dubav embed``, and their content hash.

    A clip belongs to the item of the same file, else to the only one whose path ends in most of the same names: the
    features may have been made on another machine. Raises UserError when none of the clips is there.
    """
    features = load_features(folder)
    paths = match_paths([str(item["path"]) for item in features.items], [str(clip.path) for clip in clips])
    found = matched(features, paths, modalities)
    if len(found.failed) == len(clips):
        raise UserError(f"{folder} has features of none of the task's {len(clips)} clips; embed that dataset's folder")
    return found, array_hash(found.array)


def match_paths(items: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """For each wanted path the item that is the same file, or the only one with the longest common end, else ''."""
    exact = {os.path.realpath(item): item for item in items}
    by_name: dict[str, list[str]] = {}
    for item in items:
        by_name.setdefault(os.path.basename(item), []).append(item)
    found = []
    for path in wanted:
        item = exact.get(os.path.realpath(path), "")
        if not item:
            rated = sorted((-_common_end(other, path), other) for other in by_name.get(os.path.basename(path), ()))
            unique = len(rated) == 1 or (len(rated) > 1 and rated[0][0] < rated[1][0])
            item = rated[0][1] if unique else ""
        found.append(item)
    return found


def segment_file(clip: Clip, folder: Path | None) -> Path:
    """``clip.path``, or a file in ``folder`` with the part of it that the clip is, cut once.

    Without a folder it lies in the system's temporary one. Raises InputError where there is nothing to cut.
    """
    if clip.whole:
        return clip.path
    place = folder if folder is not None else Path(tempfile.gettempdir()) / "dubav-segments"
    source = hashlib.sha256(str(clip.path.resolve()).encode()).hexdigest()[:8]
    end = "end" if clip.seconds is None else f"{clip.seconds:.3f}"
    path = place / f"{clip.path.stem}-{source}-{clip.start_seconds:.3f}-{end}.wav"
    if not path.exists():
        samples, rate = _part(clip)
        if not len(samples):
            raise InputError(f"holds nothing from {clip.start_seconds:g} s on")
        with atomic_write(path) as file:
            soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return path


def _part(clip: Clip) -> tuple[np.ndarray, int]:
    """(frames, channels) of the clip and their rate: read in place where libsndfile can, else decoded up to its end."""
    try:
        with soundfile.SoundFile(clip.path) as file:
            rate = int(file.samplerate)
            frames = -1 if clip.seconds is None else round(clip.seconds * rate)
            file.seek(min(round(clip.start_seconds * rate), file.frames))
            return np.asarray(file.read(frames, dtype="float32")), rate
    except (soundfile.SoundFileError, OSError):
        pass  # FFmpeg knows more formats, and says what is wrong
    rate, position, held = 48000, 0, []
    first = round(clip.start_seconds * rate)
    last = None if clip.seconds is None else first + round(clip.seconds * rate)
    for block in stereo_blocks(clip.path, rate, Heard()):
        held.append(block[:, max(0, first - position) : None if last is None else max(0, last - position)])
        position += block.shape[1]
        if last is not None and position >= last:
            break
    return np.concatenate([block.numpy() for block in held], axis=1).T if held else np.zeros((0, 2)), rate


def array_hash(array: np.ndarray) -> str:
    """sha256 of the numbers and their shape."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _per_file(features: Features, modality: str) -> np.ndarray | None:
    """(items, dim): the features per file, averaged here where the folder holds them per chunk."""
    array = features.array(modality)
    if array is None or not features.chunks:
        return array
    out = np.zeros((len(features.items), array.shape[1]), dtype=np.float32)
    number = {str(item["path"]): row for row, item in enumerate(features.items)}
    rows = np.array([number[str(chunk["path"])] for chunk in features.chunks], dtype=np.int64)
    has = np.array([bool(chunk[modality]) for chunk in features.chunks], dtype=bool)
    np.add.at(out, rows[has], array[has])
    counts = np.bincount(rows[has], minlength=len(out)).astype(np.float32)
    return out / np.maximum(counts, 1)[:, None]


def _common_end(one: str, other: str) -> int:
    count = 0
    for left, right in zip(reversed(Path(one).parts), reversed(Path(other).parts), strict=False):
        if left != right:
            break
        count += 1
    return count
