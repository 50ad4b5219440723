"""Sounds of held-out films, one file per 3-second clip, arranged by factor as folders of labelled sounds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.corpus.plan import FilmPlan, Scene

SAMPLE_RATE = 48000
FACTORS = ("place", "event", "mood", "speakers", "language", "words")


def write_probe_sounds(
    folder: Path, plan: FilmPlan, versions: Mapping[str, npt.NDArray[np.float32]], *, split: str
) -> None:
    """Cut (2, samples) versions into clips: ``folder/<factor>/<split>/<label>/<film>-<clip>.wav``, 16 bits.

    Each clip is taken in one language (in turn), except for ``language``, which takes each spoken one in all.
    """
    languages = list(versions)
    for clip in range(plan.n_clips):
        scene = plan.scene_of(clip)
        turn = languages[clip % len(languages)]
        for factor in ("place", "event", "mood", "speakers"):
            label = _label(scene, factor)
            if label != "":
                _write(folder / factor / split / label, plan, clip, turn, versions)
        if scene.speakers:
            for language in languages:
                _write(folder / "language" / split / language, plan, clip, language, versions)


def write_word_sounds(folder: Path, plan: FilmPlan, sound: npt.NDArray[np.float32], *, split: str) -> None:
    """The same for ``words``: (2, samples) of a ``words_plan``, labelled by the line that is said."""
    for scene in plan.scenes:
        for line in scene.lines:
            clip = int(line.start_seconds // CLIP_SECONDS)
            target = folder / "words" / split / f"line{line.text}"
            target.mkdir(parents=True, exist_ok=True)
            soundfile.write(target / f"{plan.name}-{clip:03d}.wav", _cut(sound, clip), SAMPLE_RATE, subtype="PCM_16")


def _cut(sound: npt.NDArray[np.float32], clip: int) -> npt.NDArray[np.float32]:
    first = clip * CLIP_SECONDS * SAMPLE_RATE
    return np.ascontiguousarray(sound[:, first : first + CLIP_SECONDS * SAMPLE_RATE].T)


def _label(scene: Scene, factor: str) -> str:
    value = str(getattr(scene, factor))
    return "" if factor == "mood" and value == "none" else value


def _write(
    folder: Path, plan: FilmPlan, clip: int, language: str, versions: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    """One clip; the same sound under several factors is one file on disk with several names, where links are there."""
    folder.mkdir(parents=True, exist_ok=True)
    store = folder.parents[2] / ".sounds"
    target, kept = (place / f"{plan.name}-{clip:03d}-{language}.wav" for place in (folder, store))
    if not kept.exists():
        store.mkdir(exist_ok=True)
        soundfile.write(kept, _cut(versions[language], clip), SAMPLE_RATE, subtype="PCM_16")
    target.unlink(missing_ok=True)
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)
