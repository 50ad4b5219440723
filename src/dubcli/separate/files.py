"""Sound files without speech, or the speech alone: what becomes of files and folders, and the work on one of them."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import soundfile
from torch import Tensor

import dubcli
from dubcli.core.atomic import read_json, temporary_beside, write_json
from dubcli.core.same import require_same
from dubcli.errors import InputError, UserError
from dubcli.jobs.devices import Devices
from dubcli.media.identity import content_of
from dubcli.media.kinds import is_marked_as_media, require_file, walk
from dubcli.media.sound import Extent, track_blocks
from dubcli.media.sources import choose_track
from dubcli.media.streams import AudioTrack, MediaInfo, read_info
from dubcli.separate.config import STEMS, SeparateConfig
from dubcli.separate.recipe import forget, owner, record, what_differs
from dubcli.separate.run import Separator, separator_for
from dubcli.separate.stem_files import SoundFormat, sound_file, stem_of

SETTINGS_FILE = "separate.json"
LOG_FILE = "separate.jsonl"
_ONLY_READ = ("MPEG_LAYER_I", "MPEG_LAYER_II")  # libsndfile says that it writes them, and then does not
_SUBTYPES = {"flac": "PCM_24", "wav": "FLOAT"}

Report = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class FileTask:
    """One file: what is written of it, as (stem, path); ``keep`` keeps the source's format; ``copy`` copies it.

    ``source`` and the targets are absolute, for workers in other folders; ``name`` is as the user gave it.
    """

    source: Path
    name: str
    targets: tuple[tuple[str, Path], ...]
    keep: bool = False
    copy: bool = False

    @property
    def paths(self) -> list[Path]:
        """The files that are written."""
        return [path for _, path in self.targets]


def plan_files(config: SeparateConfig) -> list[FileTask]:
    """What becomes of ``config.files``. Raises UserError when it cannot be said without writing over something.

    A file gives ``<stem>.vocals.flac`` and ``<stem>.no_vocals.flac``. A folder (a data set, given alone) keeps its
    layout: sounds under their own names without vocals, other files as copies, so that its readers still work.
    """
    assert config.out is not None
    folders = [path for path in config.files if path.is_dir()]
    if not folders:
        names = Counter(path.stem for path in {path.absolute() for path in config.files})
        tasks = [_file_task(path, config, alone=names[path.stem] == 1) for path in config.files]
        _refuse_collisions(tasks)
        return tasks
    if len(config.files) > 1:
        raise UserError(f"{folders[0]} is a folder; give a folder alone, since its layout is kept in --out")
    stems = config.stems or ("no_vocals",)
    if len(stems) > 1 or config.file_format is not None:
        raise UserError(
            f"{folders[0]} is a folder, whose sounds keep name and format; give one of --stems, no --format"
        )
    return list(_folder_tasks(folders[0], config.out, stems[0]))


def _file_task(path: Path, config: SeparateConfig, *, alone: bool) -> FileTask:
    """``alone``: no other file has its name but for the suffix, which is then left away."""
    assert config.out is not None
    if not path.is_file():
        raise UserError(f"{path} is not there; give sound or video files, or one folder")
    suffix = config.file_format or "flac"
    name = path.stem if alone else path.name
    targets = tuple((stem, config.out.absolute() / f"{name}.{stem}.{suffix}") for stem in config.stems or STEMS)
    return FileTask(source=path.absolute(), name=str(path), targets=targets)


def _refuse_collisions(tasks: Sequence[FileTask]) -> None:
    owners: dict[Path, Path] = {}
    for task in tasks:
        for _, target in task.targets:
            if target in owners:
                raise UserError(
                    f"{owners[target]} and {task.source} would both become {target}; give each its own --out"
                )
            owners[target] = task.source


def _folder_tasks(folder: Path, out: Path, stem: str) -> Iterator[FileTask]:
    if out.resolve() == folder.resolve():
        raise UserError(f"--out {out} is the folder itself; give another, such as {folder.name}-nospeech")
    for found in walk(folder, without=out):
        source = Path(found.path)
        target = out.absolute() / source.relative_to(folder)
        yield FileTask(
            source=source.absolute(), name=found.path, targets=((stem, target),), keep=True, copy=not found.is_media
        )


def separate_file(task: FileTask, report: Report, *, config: SeparateConfig, devices: Devices) -> dict[str, Any]:
    """Write a file's stems, or copy it. Returns details for the log.

    Raises InputError when it cannot be read or written, UserError when the model cannot be used or ``out`` holds the
    work of another one.
    """
    assert config.out is not None
    require_file(task.source)
    if task.copy:
        if is_marked_as_media(task.source):
            raise InputError(f"holds sound, though its name does not say so; name it as what it is{_stale(task)}")
        return _copied(task, config.out)
    try:
        info = read_info(task.source)
        if task.keep and not info.audio:
            return _copied(task, config.out)  # a picture without sound has no speech
        track = choose_track(info.audio, config.lang)
        shape = _shape(task, info, track, config)
    except InputError as error:
        raise InputError(f"{error}{_stale(task)}") from None
    separator = separator_for(config, devices)
    _settle(config.out, separator.recipe())
    recipes = _recipes(task, shape, track, separator)
    _require_own(task, config.out)
    reason = what_differs(config.out, recipes)
    if reason is None:
        return {"status": "skipped"}
    existed = any(path.exists() for path in task.paths)
    forget(config.out, task.paths)
    details = _write(task, track, shape, separator, report)
    record(config.out, recipes)
    return details | ({"note": f"{reason}; done again"} if existed else {})


def _recipes(task: FileTask, shape: SoundFormat, track: AudioTrack, separator: Separator) -> dict[Path, dict[str, Any]]:
    kind = {"format": shape.format, "subtype": shape.subtype, "rate": shape.sample_rate, "channels": shape.channels}
    made = {"file": task.source.name, "source": content_of(task.source), "track": track.index, "shape": kind}
    whole = separator.recipe() | made | {"dubcli": dubcli.__version__}
    return {path: whole | {"stem": stem} for stem, path in task.targets}


def _require_own(task: FileTask, out: Path) -> None:
    for path in task.paths:
        of = owner(out, path) if path.exists() else None
        if of not in (None, task.source.name):
            raise InputError(f"{path.name} is there and is of {of}; give another --out")


def _write(
    task: FileTask, track: AudioTrack, shape: SoundFormat, separator: Separator, report: Report
) -> dict[str, Any]:
    rate = separator.bag.sample_rate
    problems: list[str] = []
    extent = Extent()

    def sound() -> Iterator[Tensor]:
        problems.clear()
        return track_blocks(task.source, track.index, None, rate, problems, extent)

    blocks = separator.stems(sound, report)
    first = next(blocks)  # now the track was heard once
    shape = replace(shape, samples=round(extent.end_seconds * shape.sample_rate))
    with ExitStack() as stack:
        writers = {stem: stack.enter_context(sound_file(path, rate, shape)) for stem, path in task.targets}
        for stems in chain([first], blocks):
            for stem, writer in writers.items():
                writer.add(stem_of(stems, separator.bag.vocals, stem))
    clipped = sum(writer.clipped for writer in writers.values())
    if clipped:
        problems.insert(0, f"{clipped} samples were louder than {shape.subtype} holds and are clipped")
    details = {"seconds": round(extent.end_seconds, 3)} | separator.errors()
    return details | ({"warning": "; ".join(list(dict.fromkeys(problems))[:3])} if problems else {})


def _copied(task: FileTask, out: Path) -> dict[str, Any]:
    recipes = {path: {"copy": True, "source": content_of(task.source)} for path in task.paths}
    if what_differs(out, recipes) is None:
        return {"status": "skipped"}
    forget(out, task.paths)
    _copy(task.source, task.targets[0][1])
    record(out, recipes)
    return {"copied": True}


def _stale(task: FileTask) -> str:
    """What to say of an output that is there although none can be made: a copy by an earlier version, with speech."""
    there = [path for path in task.paths if path.exists()]
    return f"; {there[0]} is there from before and may hold speech: remove it" if there else ""


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(target)
    try:
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _settle(out: Path, recipe: dict[str, Any]) -> None:
    """Let one folder hold the work of one model. Raises UserError where it holds another's."""
    path = out / SETTINGS_FILE
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, recipe)
    made_with = f"{out} was made with"
    require_same(read_json(path), recipe, made_with, "give another --out", new_names_differ=False)


def _shape(task: FileTask, info: MediaInfo, track: AudioTrack, config: SeparateConfig) -> SoundFormat:
    """The source's rate, its channels (more than two become two) and, in a data set, its format."""
    rate, channels = track.sample_rate, min(track.channels, 2)
    if not task.keep:
        kind = config.file_format or "flac"
        return SoundFormat(sample_rate=rate, channels=channels, format=kind.upper(), subtype=_SUBTYPES[kind])
    file_format, subtype = _written_again(task.source, info, track)
    return SoundFormat(sample_rate=rate, channels=channels, format=file_format, subtype=subtype)


def _written_again(path: Path, info: MediaInfo, track: AudioTrack) -> tuple[str, str]:
    """libsndfile's format and subtype of a file, where it can write such a one. Raises InputError where it cannot."""
    if info.format == "mp3" and (track.codec or "").startswith("mp3"):
        return "MP3", "MPEG_LAYER_III"  # libsndfile would tell of damage on stderr
    with suppress(soundfile.SoundFileError, OSError):
        found = soundfile.info(os.fsencode(path))  # a name that is no text
        if found.subtype not in _ONLY_READ and soundfile.check_format(found.format, found.subtype):
            return str(found.format), str(found.subtype)
    raise InputError("cannot be written again in its own format; give the file itself, not its folder")
