"""The counterfactual corpus on disk: films, subtitles, truth, and held-out films or their sounds arranged as tasks.

::

    DIR/films/film-001.mkv       H.264, and a sound track per language over the identical background
              film-001.es.srt    what is said
    DIR/heldout/heldout-001.mkv  the same of held-out films, where they are asked for as films
    DIR/probes/<factor>/{train,valid,test}/<label>/*.wav    else their sounds, by the factors of ``truth.FACTORS``
    DIR/labels.csv               every 3-second clip of every film in every language with all its factors
    DIR/corpus.json              how it was made
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.core.atomic import atomic_write, read_json, write_json, writing
from dubcli.core.same import require_same
from dubcli.corpus import pictures, tracks
from dubcli.corpus.beds import Beds
from dubcli.corpus.config import CorpusConfig
from dubcli.corpus.plan import FilmPlan, film_seconds, plan_film
from dubcli.corpus.probes import probe_split, write_probe_sounds
from dubcli.corpus.truth import write_labels
from dubcli.corpus.voices import Lines, hiss, lines_of, speak
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import SILENT, Progress
from dubcli.jobs.runner import JobNames, run_jobs
from dubcli.media import mux
from dubcli.media.subtitles import Subtitle, write_srt

Sound = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Where everything is."""

    folder: Path
    config: CorpusConfig

    @property
    def films(self) -> Path:
        """The folder to give to ``dubav prep``."""
        return self.folder / "films"

    @property
    def heldout(self) -> Path:
        """Held-out films, where they are asked for as films."""
        return self.folder / "heldout"

    @property
    def probes(self) -> Path:
        """One task folder per factor, where held-out films are asked for as sounds."""
        return self.folder / "probes"

    @property
    def labels(self) -> Path:
        """The truth: a row for every clip of every film in every language."""
        return self.folder / "labels.csv"


def make_corpus(
    folder: str | Path,
    config: CorpusConfig = CorpusConfig(),  # noqa: B008 - frozen
    *,
    options: JobOptions = JobOptions(),
    progress: Progress = SILENT,
) -> Corpus:
    """Make films with dubs, and labelled sounds or more films; those that are there already are kept.

    Args:
        folder: where. A corpus of the same settings that is there may grow by more films.
        config: how many, how long, which languages, whose voices.
        options: workers and failures.
        progress: takes bars and lines.

    Returns:
        The folders of what was made.

    Raises:
        UserError: the speech or the recordings are not there, or the folder holds a corpus of other settings.

    >>> from dubcli.corpus import CorpusConfig, make_corpus
    >>> make_corpus("corpus", CorpusConfig(films=2)).films  # doctest: +SKIP
    PosixPath('corpus/films')
    """
    root = Path(folder)
    materials = Materials(config, root)  # says at once what is not installed
    _claim(root, config)
    work: list[tuple[int, bool]] = [(index, False) for index in range(config.films)]
    work += [(index, True) for index in range(config.heldout)]
    job = functools.partial(make_one, folder=root, config=config)
    summary = run_jobs(job, work, JobNames(key=_name), options=options, log=root / "corpus.jsonl", progress=progress)
    for failure in summary.failures:
        raise RuntimeError(f"{failure.key}: {failure.reason}")
    corpus = Corpus(root, config)
    write_labels(corpus.labels, _splits(materials, work), config, materials.lines)
    return corpus


class Materials:
    """What a corpus's sounds are made of: its lines and its beds."""

    def __init__(self, config: CorpusConfig, root: Path) -> None:
        self.config = config
        self.lines: Lines | None = lines_of(config, root / ".speech")
        self.beds = Beds(Path(config.beds) if config.beds else None)

    def plan(self, index: int, *, heldout: bool) -> FilmPlan:
        """Film number ``index``."""
        count = self.lines.count if self.lines is not None else 1
        return plan_film(self.config, index, self.beds.sizes, heldout=heldout, lines=count)

    def versions(self, plan: FilmPlan) -> tuple[dict[str, Sound], Sound]:
        """Each language's (6, samples), and the original's (people, samples) voices before they were mixed."""
        bed = self.beds.background(plan)
        mixes: dict[str, Sound] = {}
        original = np.zeros((2, bed.shape[1]), np.float32)
        for number, language in enumerate(self.config.languages):
            voices = speak(plan, language, self.lines, self.config)
            if number == 0:
                original = voices
            wrong = number > 0 and self.config.dubs == "wrong-background"
            heard = np.concatenate([voices, hiss(plan, language, self.config)])
            mixes[language] = tracks.six_channels(self.beds.background(plan, other=1) if wrong else bed, heard)
        tracks.common_gain(mixes)
        return mixes, original


def _splits(materials: Materials, work: list[tuple[int, bool]]) -> Iterator[tuple[FilmPlan, str]]:
    for index, heldout in work:
        yield materials.plan(index, heldout=heldout), probe_split(index) if heldout else "film"


def _name(item: tuple[int, bool]) -> str:
    return f"{'heldout' if item[1] else 'film'}-{item[0] + 1:03d}"


def _claim(root: Path, config: CorpusConfig) -> None:
    content = {"format": 2, **config.recipe(), "languages": list(config.languages)}
    file = root / "corpus.json"
    if file.exists():
        advice = "choose another folder"
        require_same(read_json(file), content, f"{root} holds a corpus made with other settings:", advice)
    with writing(root, "folder"):
        write_json(file, {**content, "films": config.films, "heldout": config.heldout})


@functools.lru_cache(maxsize=1)
def _materials(config: CorpusConfig, root: Path) -> Materials:
    """Of a worker process, which makes many films."""
    return Materials(config, root)


def make_one(
    item: tuple[int, bool],
    report: Callable[..., None],
    *,
    folder: Path,
    config: CorpusConfig,
) -> dict[str, Any]:
    """One film, or a held-out film's sounds: ``run_jobs``' function."""
    index, heldout = item
    as_sounds = heldout and config.heldout_as == "sounds"
    materials = _materials(config, folder)
    plan = materials.plan(index, heldout=heldout)
    done = folder / ".done" / f"{plan.name}{'-sounds' if as_sounds else ''}"
    if done.exists():
        return {"status": "skipped"}
    versions, voices = materials.versions(plan)
    report(0.4)
    if as_sounds:
        stereo = {language: tracks.mixed_down(six) for language, six in versions.items()}
        write_probe_sounds(folder / "probes", plan, stereo, probe_split(index), config)
    else:
        films = folder / ("heldout" if heldout else "films")
        released = write_film(films / f"{plan.name}.mkv", plan, versions, voices, config, whole=heldout)
        if materials.lines is not None:
            for language in released:
                write_srt(films / f"{plan.name}.{language}.srt", subtitles(plan, language, materials.lines, config))
    done.parent.mkdir(exist_ok=True)
    done.touch()
    return {}


def write_film(
    path: Path, plan: FilmPlan, versions: dict[str, Sound], voices: Sound, config: CorpusConfig, *, whole: bool
) -> list[str]:
    """One Matroska file: the picture, the original in 5.1 AC-3, and the dubs that there are. Returns its languages."""
    rate = Fraction(24000, 1001 * config.frame_rate_divisor)
    size = (config.width, config.height)
    released = {name: how for name, how in tracks.releases(plan, config, whole=whole).items() if not how.missing}
    sound = [tracks.sound_track(versions[language], language, how) for language, how in released.items()]
    # one picture more than fits, so that the video's duration is not below the last whole clip
    number_of_pictures = int(film_seconds(plan) * rate) + 1
    mouths = pictures.mouth_openings(plan, voices, rate, number_of_pictures)
    with atomic_path(path) as temporary:
        mux.write_mkv(temporary, pictures.frames(plan, mouths, rate, size), rate, size, sound)
    return list(released)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` for a writer that opens files by name; renamed when the block ends well."""
    with atomic_write(path) as file:
        yield Path(file.name)


def subtitles(plan: FilmPlan, language: str, lines: Lines, config: CorpusConfig) -> list[Subtitle]:
    """What is said: a subtitle for each clip, both lines."""
    spoken = config.languages[0] if config.dubs == "same" else language
    return [
        Subtitle(
            start_seconds=number * CLIP_SECONDS + 0.05,
            stop_seconds=(number + 1) * CLIP_SECONDS - 0.05,
            text=" ".join(lines.text(line, spoken) for line in clip.lines),
        )
        for number, clip in enumerate(plan.clips)
    ]
