"""The counterfactual corpus on disk: films, subtitles, ground truth, and sounds of held-out films arranged as tasks.

::

    DIR/films/film-001.mkv       H.264, and one sound track per language over the identical background
              film-001.es.srt    what is said
    DIR/labels.csv               every 3-second clip of every film with all its factors
    DIR/probes/<factor>/{train,test}/<label>/*.wav    factors place, event, mood, speakers, language, words
    DIR/corpus.json              how it was made
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.core.atomic import atomic_write, read_json, write_json
from dubcli.core.features import downmix
from dubcli.core.same import require_same
from dubcli.corpus import pictures, sounds, voices
from dubcli.corpus.config import CorpusConfig
from dubcli.corpus.plan import FilmPlan, lines, plan_film, words_plan
from dubcli.corpus.probes import write_probe_sounds, write_word_sounds
from dubcli.jobs.options import JobOptions
from dubcli.jobs.progress import SILENT, Progress
from dubcli.jobs.runner import Named, run_jobs
from dubcli.media import mux
from dubcli.media.subtitles import Subtitle, write_srt
from dubcli.speech.engines import named_engines
from dubcli.speech.speaker import Speaker

LAYOUT = "5.1(side)"
# one original in 5.1, and dubs as releases have them: some 5.1, some stereo, in the two codecs of discs and streams
_DUB_FORMS = (("ac3", LAYOUT), ("aac", "stereo"), ("ac3", "stereo"))
CSV_COLUMNS = ("film", "split", "clip", "start_seconds", "place", "event", "mood", "speakers", "event_seconds")


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
    def probes(self) -> Path:
        """One task folder per factor."""
        return self.folder / "probes"

    @property
    def labels(self) -> Path:
        """The truth: a row for every clip of every film."""
        return self.folder / "labels.csv"


def make_corpus(
    folder: str | Path,
    config: CorpusConfig = CorpusConfig(),  # noqa: B008 - frozen
    *,
    options: JobOptions = JobOptions(),
    progress: Progress = SILENT,
) -> Corpus:
    """Make films with dubs in synthesised speech, and labelled sounds; films that are there already are kept.

    Args:
        folder: where.
        config: how many, how long, which languages.
        options: workers and failures.
        progress: takes bars and lines.

    Returns:
        The folders of what was made.

    Raises:
        UserError: the speech engines are not installed, or the folder holds a corpus of other settings.

    >>> from dubcli.corpus import CorpusConfig, make_corpus
    >>> make_corpus("corpus", CorpusConfig(films=2)).films  # doctest: +SKIP
    PosixPath('corpus/films')
    """
    root = Path(folder)
    _speaker(config)  # says at once what is not installed
    _claim(root, config)
    work: list[tuple[int, bool]] = [(index, False) for index in range(config.films)]
    work += [(index, True) for index in range(config.heldout)]
    job = functools.partial(_make_one, folder=root, config=config)
    summary = run_jobs(job, work, Named(key=_name), options=options, log=root / "corpus.jsonl", progress=progress)
    for failure in summary.failures:
        raise RuntimeError(f"{failure.key}: {failure.reason}")
    corpus = Corpus(root, config)
    _write_labels(corpus)
    return corpus


def _speaker(config: CorpusConfig, folder: Path | None = None) -> Speaker:
    speaker = Speaker(named_engines(config.engine), folder)
    for language in config.languages:
        speaker.engine(language)
    return speaker


def _name(item: tuple[int, bool]) -> str:
    return f"{'heldout' if item[1] else 'film'}-{item[0] + 1:03d}"


def _claim(root: Path, config: CorpusConfig) -> None:
    content = {"format": 1, **dataclasses.asdict(config), "languages": list(config.languages)}
    file = root / "corpus.json"
    if file.exists():
        advice = "choose another folder"
        require_same(read_json(file), content, f"{root} holds a corpus made with other settings:", advice)
    write_json(file, content)


def _make_one(
    item: tuple[int, bool],
    report: Callable[..., None],
    *,
    folder: Path,
    config: CorpusConfig,
) -> dict[str, Any]:
    index, heldout = item
    plan = plan_film(config, index, heldout=heldout)
    done = folder / ".done" / plan.name
    if done.exists():
        return {"status": "skipped"}
    speaker = _speaker(config, folder / ".speech")
    versions = {language: voices.speak(plan, language, speaker, config.speech_db) for language in config.languages}
    mixes = mix(plan, versions)
    report(0.4)
    if heldout:
        stereo = {language: downmixed(six) for language, six in mixes.items()}
        split = probe_split(index)
        write_probe_sounds(folder / "probes", plan, stereo, split=split)
        original = config.languages[0]
        said = words_plan(plan)
        spoken = mix(said, {original: voices.speak(said, original, speaker, config.speech_db)})
        write_word_sounds(folder / "probes", said, downmixed(spoken[original]), split=split)
    else:
        write_film(folder / "films" / f"{plan.name}.mkv", plan, versions, mixes, config)
        for language in config.languages:
            write_srt(folder / "films" / f"{plan.name}.{language}.srt", subtitles(plan, language))
    done.parent.mkdir(exist_ok=True)
    done.touch()
    return {}


def probe_split(index: int) -> str:
    """The part of the probe sets that held-out film ``index`` is in: of six films two test and one validates.

    Whole films: clips of one scene in two parts would let a probe choose by what it has seen.
    """
    return ("test", "train", "train", "test", "train", "valid")[index % 6]


def mix(plan: FilmPlan, versions: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
    """Each language's (6, samples): the one background, and that language's voices in the centre channel."""
    bed = sounds.background(plan)
    total: dict[str, npt.NDArray[np.float32]] = {}
    for language, people in versions.items():
        six = bed.copy()
        six[sounds.CENTRE] += people.sum(0)
        total[language] = six
    # one gain for all versions: a gain of each its own would make the backgrounds differ
    peak = max(float(np.abs(six).max()) for six in total.values())
    return {language: six * np.float32(min(1.0, 0.95 / peak)) for language, six in total.items()}


def downmixed(six: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(6, samples) -> (2, samples) as ``dubav prep`` would: the same level on stereo and 5.1 tracks."""
    import torch

    stereo: npt.NDArray[np.float32] = downmix(torch.from_numpy(six), LAYOUT).numpy()
    return stereo


def write_film(
    path: Path,
    plan: FilmPlan,
    versions: Mapping[str, npt.NDArray[np.float32]],
    mixes: Mapping[str, npt.NDArray[np.float32]],
    config: CorpusConfig,
) -> None:
    """One Matroska file: the picture, the original in 5.1 AC-3, and the dubs."""
    rate = Fraction(24000, 1001 * config.frame_rate_divisor)
    size = (config.width, config.height)
    tracks = []
    for number, (language, six) in enumerate(mixes.items()):
        codec, layout = ("ac3", LAYOUT) if number == 0 else _DUB_FORMS[(number - 1) % len(_DUB_FORMS)]
        sound = six if layout == LAYOUT else downmixed(six)
        tracks.append(mux.SoundTrack(sound=sound, language=language, layout=layout, codec=codec))
    # one picture more than fits, so that the video's duration is not below the last whole clip
    number_of_pictures = int(plan.n_clips * CLIP_SECONDS * rate) + 1
    mouths = pictures.mouth_openings(versions[config.languages[0]], rate, number_of_pictures)
    with atomic_path(path) as temporary:
        mux.write_mkv(temporary, pictures.frames(plan, mouths, rate, size), rate, size, tracks)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` for a writer that opens files by name; renamed when the block ends well."""
    with atomic_write(path) as file:
        yield Path(file.name)


def subtitles(plan: FilmPlan, language: str) -> list[Subtitle]:
    """What is said, and when."""
    return [
        Subtitle(
            start_seconds=line.start_seconds,
            stop_seconds=line.start_seconds + line.room_seconds,
            text=lines()[line.text][language],
        )
        for scene in plan.scenes
        for line in scene.lines
    ]


def _write_labels(corpus: Corpus) -> None:
    config = corpus.config
    with atomic_write(corpus.labels, "w") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*CSV_COLUMNS, *(f"words_{language}" for language in config.languages)])
        for heldout, count in ((False, config.films), (True, config.heldout)):
            for index in range(count):
                writer.writerows(_rows(plan_film(config, index, heldout=heldout), config, heldout))


def _rows(plan: FilmPlan, config: CorpusConfig, heldout: bool) -> Iterator[list[object]]:
    for clip in range(plan.n_clips):
        scene, start = plan.scene_of(clip), clip * CLIP_SECONDS
        spoken = [line for line in scene.lines if start <= line.start_seconds < start + CLIP_SECONDS]
        times = " ".join(f"{at:.3f}" for at in scene.event_seconds if start <= at < start + CLIP_SECONDS)
        words = [" / ".join(lines()[line.text][language] for line in spoken) for language in config.languages]
        split = "heldout" if heldout else "film"
        yield [plan.name, split, clip, start, scene.place, scene.event, scene.mood, scene.speakers, times, *words]
