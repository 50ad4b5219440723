"""The whole way: corpus, clip cache, two models, what they make of a clip's tracks, probes, one page.

Only the stages' public functions are used. What is there from an interrupted walk in the same folder is not done again:
every stage knows its own results.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dubcli.cache.reader import Cache
from dubcli.core.atomic import read_json, require_free, write_json, writing
from dubcli.core.languages import language_name
from dubcli.core.machine import choose_device
from dubcli.core.same import require_same
from dubcli.corpus.stage import Corpus, make_corpus
from dubcli.demo.config import DemoConfig
from dubcli.demo.likeness import PlacedClips, Placements, clips_of, likeness, place_clips
from dubcli.demo.questions import Question, judged, of_dub, of_pictures, of_results
from dubcli.demo.summary import DemoSummary
from dubcli.errors import UserError
from dubcli.jobs.options import JobOptions
from dubcli.jobs.outcomes import JobSummary
from dubcli.jobs.progress import SILENT, Progress

if TYPE_CHECKING:
    from dubcli.core.trained import TrainedModel
    from dubcli.pretrain import PretrainConfig

RECIPE_FILE, SUMMARY_FILE, PAGE_FILE, PICTURE_FILE = "demo.json", "summary.json", "index.html", "demo.png"
RANDOM = "random"
UNTRAINED_FILE = "untrained.pt"
_VALIDATION_CLIPS = 2  # the tracks' own step measures more, once
_LOADERS = 0  # an epoch is a few steps: starting processes would take longer than reading its pictures


def run_demo(config: DemoConfig = DemoConfig(), progress: Progress = SILENT) -> DemoSummary:  # noqa: B008 - frozen
    """Walk the whole way on a small corpus that is made for it, and show what came of it on one page.

    Args:
        config: the corpus, the variants, the folder.
        progress: takes bars and lines.

    Returns:
        Where everything is, and the numbers.

    Raises:
        UserError: the demo extra is not installed; the folder holds other things, a demo of other settings, or cannot
            be written.

    >>> from dubcli.demo import DemoConfig, run_demo
    >>> run_demo(DemoConfig(variants=("mono", "es"), steps=20)).page  # doctest: +SKIP
    PosixPath('demo/index.html')
    """
    _claim(config)
    return Walk(config, progress).run()


def _claim(config: DemoConfig) -> None:
    """Take a new folder, an empty one, or one that holds a demo of the same settings."""
    folder, file = config.out, config.out / RECIPE_FILE
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        next(folder.iterdir(), None)  # it can be read
    if file.is_file():
        advice = "give the same options to go on with it, or name another folder with --out"
        require_same(read_json(file), config.recipe, f"{folder} holds a demo with", advice)
    else:
        require_free(folder, ours=False)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"--out {folder} cannot be written; name another")
    write_json(file, config.recipe)


class Walk:
    """The steps of one walk, in ``config.out``."""

    def __init__(self, config: DemoConfig, progress: Progress) -> None:
        self.folder, self.config, self.progress = config.out, config, progress
        self.cache = config.out / "cache"
        self.options = JobOptions(workers=config.workers)
        self.seconds: dict[str, float] = {}

    def run(self) -> DemoSummary:
        """Every step in order."""
        config = self.config
        with self._step("corpus", _corpus_sentence(config)):
            corpus = make_corpus(self.folder / "corpus", config.corpus, options=self.options, progress=self.progress)
        with self._step(
            "prep",
            "films become clips of three seconds, 16 frames and a mel spectrogram for each language; dubs out of sync "
            "are found by the background that they share with the original",
        ):
            self._prepare(corpus)
        for variant in config.variants:
            with self._step(f"pretrain {variant}", _training_sentence(variant, config)):
                self.pretrain(variant)
        with self._step(
            "tracks",
            "each model places clips, their pictures and their sound in each language, of films that it learnt from "
            "and of films that it never saw: are a clip's languages alike to it, does a picture find its sound",
        ):
            shown = self._place()
        with self._step(
            "probe",
            "linear heads learn from the frozen features of sounds of other films, each in one of the languages, what "
            f"is heard ({', '.join(config.factors)}), and are tested on films of their own",
        ):
            questions = self._ask(corpus, shown)
        return self._show(corpus, shown, questions)

    @contextmanager
    def _step(self, name: str, why: str) -> Iterator[None]:
        begun = time.monotonic()
        self.progress.message(f"{name}: {why}.")
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)

    def _prepare(self, corpus: Corpus) -> None:
        from dubcli.prep import PrepConfig, prepare

        config = PrepConfig(languages=corpus.config.languages, cache=self.cache, short_side=self.config.short_side)
        _all_done(prepare([corpus.films], config, self.options, self.progress))

    def pretrain(self, variant: str) -> None:
        """One model; the signal that stops it is raised again when its step is saved."""
        from dubcli.pretrain import train

        stopped_by = train(self._pretrain_config(variant), self.progress).stopped_by
        if stopped_by is not None:  # it has saved its step; the rest of the walk is not begun
            signal.raise_signal(stopped_by)

    def _pretrain_config(self, variant: str) -> PretrainConfig:
        from dubcli.pretrain import PretrainConfig

        asked = self.config
        return PretrainConfig(
            cache=str(self.cache),
            variant=variant,
            preset=asked.preset,
            audio_backbone=asked.audio_backbone[0],
            audio_backbone_options=asked.audio_backbone[1],
            video_backbone=asked.video_backbone,
            epochs=asked.steps,
            max_steps=asked.steps,
            batch_size=asked.clips_a_step,
            k=asked.k,
            learning_rate=asked.learning_rate,
            val_fraction=asked.kept_share,
            val_clips=_VALIDATION_CLIPS,
            keep=1,
            loader_workers=_LOADERS,
            precision="fp32",  # models so small are slower in any other on CPUs
            seed=asked.seed,
            out=str(self._run_of(variant)),
        )

    def _untrained(self) -> TrainedModel:
        """The same networks with random weights; ``UNTRAINED_FILE`` is what heads are asked about."""
        from dubcli.core.checkpoint import model_entries, save_checkpoint
        from dubcli.core.trained import random_trained
        from dubcli.pretrain.model import named_backbones

        backbones = named_backbones(self._pretrain_config(self.config.variants[0]))
        made = random_trained(self.config.seed, self.config.preset, backbones)
        file = self.folder / UNTRAINED_FILE
        if not file.exists():
            entries = model_entries(made.model, mel_mean=made.mel_mean, mel_std=made.mel_std, config=made.config)
            save_checkpoint(file, entries)
        return made

    def _run_of(self, variant: str) -> Path:
        return self.folder / "runs" / variant

    def _place(self) -> Placements:
        from dubcli.core.checkpoint import load_trained

        config, device = self.config, choose_device(None)
        kept = set(read_json(self._run_of(config.variants[-1]) / "config.json")["held_out_films"])
        films = {"learnt": [m.id for m in Cache(self.cache).movies if m.id not in kept], "kept": sorted(kept)}
        models = {RANDOM: self._untrained()}
        models |= {variant: load_trained(self._run_of(variant)) for variant in config.variants}
        languages = config.corpus.languages
        placed: dict[str, dict[str, PlacedClips]] = {}
        for group, ids in films.items():
            clips = clips_of(self.cache, ids, languages, config.shown_clips)
            placed[group] = {
                name: place_clips(model, clips, languages, device, self.progress) for name, model in models.items()
            }
        return Placements(**placed)

    def _ask(self, corpus: Corpus, shown: Placements) -> tuple[Question, ...]:
        from dubcli.probe import ProbeConfig, probe

        config = self.config
        models = [str(self.folder / UNTRAINED_FILE), *(str(self._run_of(variant)) for variant in config.variants)]
        original, *dubs = config.corpus.languages
        questions = [of_dub(original, dub, shown.learnt) for dub in dubs]
        questions += [of_pictures(language, shown.learnt) for language in config.corpus.languages]
        for factor in config.factors:
            asked = ProbeConfig(data=corpus.probes / factor, out=self.folder / "results", protocol="logreg",
                                preset=config.preset, seed=config.seed)  # fmt: skip
            try:
                results = probe("folder", models, asked, self.progress)
            except UserError as error:  # of few films: a label that all sounds have, or that none has
                self.progress.message(f"  {factor} is not asked about: {error}")
                continue
            named = dict(zip((RANDOM, *config.variants), results, strict=True))
            questions.append(of_results(factor, named, corpus.probes / factor / "test"))
        return judged(questions)

    def _show(self, corpus: Corpus, shown: Placements, questions: tuple[Question, ...]) -> DemoSummary:
        from dubcli.demo.page import write_demo_page
        from dubcli.demo.picture import write_demo_picture

        config = self.config
        with self._step("page", "all of it, with players of one scene in every language, on one page"):
            summary = DemoSummary(
                folder=self.folder,
                page=self.folder / PAGE_FILE,
                picture=self.folder / PICTURE_FILE,
                films=config.corpus.films,
                clips=sum(movie.n_clips for movie in Cache(self.cache).movies),
                learnt=tuple(likeness(name, one) for name, one in shown.learnt.items()),
                kept=tuple(likeness(name, one) for name, one in shown.kept.items()),
                questions=questions,
                seconds=self.seconds,
            )
            write_demo_page(summary, shown, corpus.labels, self.progress)
            write_demo_picture(summary, shown)
        write_json(self.folder / SUMMARY_FILE, summary.as_dict())
        return summary


def _corpus_sentence(config: DemoConfig) -> str:
    languages = language_names(config.corpus.languages)
    return (
        f"{config.corpus.films} films are made. Each has one picture and one background (a place, events); in "
        f"{languages} other actors say other words over it, as in dubs. Of {config.corpus.heldout} more films only the "
        "sound is made, to ask about"
    )


def _training_sentence(variant: str, config: DemoConfig) -> str:
    if variant == "mono":
        return (
            f"in {config.steps} steps a model learns to match pictures with the original's sound alone, with its words "
            "and voices: what dubs are held against"
        )
    return (
        "the same films, clips and steps, but the same pictures must match their dubs too: what all versions share "
        "(the scene) is worth learning, what differs (words) is not"
    )


def language_names(languages: Sequence[str]) -> str:
    """``English, Spanish and French``."""
    names = [language_name(language) for language in languages]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _all_done(summary: JobSummary) -> None:
    for failure in summary.failures:
        raise UserError(f"the demo cannot go on: {failure.key}: {failure.reason}")
