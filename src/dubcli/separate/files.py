"""Sound files without speech, or the speech alone: what becomes of files and folders, and the work on one of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
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
from dubcli.media.sound import track_blocks
from dubcli.media.sources import choose_track
from dubcli.media.streams import probe
from dubcli.separate.config import STEMS, SeparateConfig
from dubcli.separate.recipe import forget, record, what_differs
from dubcli.separate.run import Separator, separator_for
from dubcli.separate.sound import Shape, sound_file, stem_of

SETTINGS_FILE = "separate.json"
LOG_FILE = "separate.jsonl"
_ONLY_READ = ("MPEG_LAYER_I", "MPEG_LAYER_II")  # libsndfile says that it writes them, and then does not
_SUBTYPES = {"flac": "PCM_24", "wav": "FLOAT"}

Report = Callable[..., None]


@dataclass(frozen=True, kw_only=True)
class FileTask:
    """One file: what is written of it, as (stem, path); ``keep`` keeps the source's format; ``copy`` copies it."""

    source: Path
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
        tasks = [_file_task(path, config) for path in config.files]
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


def _file_task(path: Path, config: SeparateConfig) -> FileTask:
    assert config.out is not None
    if not path.is_file():
        raise UserError(f"{path} is not there; give sound or video files, or one folder")
    suffix = config.file_format or "flac"
    targets = tuple((stem, config.out / f"{path.stem}.{stem}.{suffix}") for stem in config.stems or STEMS)
    return FileTask(source=path, targets=targets)


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
        target = out / source.relative_to(folder)
        yield FileTask(source=source, targets=((stem, target),), keep=True, copy=not found.is_media)


def separate_file(task: FileTask, report: Report, *, config: SeparateConfig, devices: Devices) -> dict[str, Any]:
    """Write a file's stems, or copy it. Returns details for the log.

    Raises InputError when it cannot be read or written, UserError when the model cannot be used or ``out`` holds the
    work of another one.
    """
    assert config.out is not None
    require_file(task.source)
    if task.copy:
        return _copied(task, config.out)
    try:
        shape = _shape(task, config)
        stream = choose_track(probe(task.source).audio, config.lang).index
    except InputError as error:
        raise InputError(f"{error}{_stale(task)}") from None
    separator = separator_for(config, devices)
    _settle(config.out, separator.recipe())
    recipe = separator.recipe() | {
        "source": content_of(task.source), "track": stream, "shape": asdict(shape), "dubcli": dubcli.__version__
    }  # fmt: skip
    reason = what_differs(config.out, task.paths, recipe)
    if reason is None:
        return {"status": "skipped"}
    existed = any(path.exists() for path in task.paths)
    forget(config.out, task.paths)
    problems: list[str] = []

    def sound() -> Iterator[Tensor]:
        problems.clear()
        return track_blocks(task.source, stream, None, separator.bag.sample_rate, problems)

    details = _write(task, sound, shape, separator, report, problems)
    record(config.out, task.paths, recipe)
    return details | ({"note": f"{reason}; done again"} if existed else {})


def _write(
    task: FileTask,
    sound: Callable[[], Iterator[Tensor]],
    shape: Shape,
    separator: Separator,
    report: Report,
    problems: list[str],
) -> dict[str, Any]:
    rate = separator.bag.sample_rate
    with ExitStack() as stack:
        writers = {stem: stack.enter_context(sound_file(path, rate, shape)) for stem, path in task.targets}
        seconds = 0.0
        for stems in separator.stems(sound, report):
            seconds += stems.shape[-1] / rate
            for stem, writer in writers.items():
                writer.add(stem_of(stems, separator.bag.vocals, stem))
    clipped = sum(writer.clipped for writer in writers.values())
    if clipped:
        problems.insert(0, f"{clipped} samples were louder than {shape.subtype} holds and are clipped")
    details = {"seconds": round(seconds, 3)} | separator.errors()
    return details | ({"warning": "; ".join(list(dict.fromkeys(problems))[:3])} if problems else {})


def _copied(task: FileTask, out: Path) -> dict[str, Any]:
    if is_marked_as_media(task.source):
        raise InputError(f"holds sound, though its name does not say so; name it as what it is{_stale(task)}")
    recipe = {"copy": True, "source": content_of(task.source)}
    if what_differs(out, task.paths, recipe) is None:
        return {"status": "skipped"}
    forget(out, task.paths)
    _copy(task.source, task.targets[0][1])
    record(out, task.paths, recipe)
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
    require_same(read_json(path), recipe, f"{out} was made with", "give another --out")


def _shape(task: FileTask, config: SeparateConfig) -> Shape:
    """The source's rate, its channels (more than two become two) and, in a data set, its format."""
    known = _libsndfile_info(task.source)
    if known is None:
        if task.keep:
            raise InputError("cannot be written again in its own format; give the file itself, not its folder")
        chosen = choose_track(probe(task.source).audio, config.lang)
        rate, channels, samples = chosen.sample_rate, chosen.channels, None
    else:
        rate, channels, samples = known.samplerate, known.channels, known.frames
    if task.keep:
        assert known is not None
        file_format, subtype = known.format, known.subtype
    else:
        file_format, subtype = (config.file_format or "flac").upper(), _SUBTYPES[config.file_format or "flac"]
    return Shape(
        sample_rate=rate, channels=min(channels, 2), format=file_format, subtype=subtype, samples=samples or None
    )


def _libsndfile_info(path: Path) -> Any:
    """What libsndfile says of a file that it can also write; None of any other."""
    try:
        info = soundfile.info(os.fsencode(path))  # a name that is no text
    except (soundfile.SoundFileError, OSError):
        return None
    writes = info.subtype not in _ONLY_READ and soundfile.check_format(info.format, info.subtype)
    return info if writes else None
