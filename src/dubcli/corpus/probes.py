"""Sounds of held-out films, one file per 3-second clip, arranged by factor as folders of labelled sounds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from dubcli.corpus.config import CorpusConfig
from dubcli.corpus.plan import FilmPlan
from dubcli.corpus.sounds import CLIP_SAMPLES, SAMPLE_RATE
from dubcli.corpus.truth import clip_labels

Sound = npt.NDArray[np.float32]


def probe_split(index: int) -> str:
    """The part of the probe sets that held-out film ``index`` is in: of six films two test and one validates.

    Whole films: clips of one scene in two parts would let a probe choose by what it has seen.
    """
    return ("test", "train", "train", "test", "train", "valid")[index % 6]


def write_probe_sounds(
    folder: Path, plan: FilmPlan, versions: Mapping[str, Sound], split: str, config: CorpusConfig
) -> None:
    """Cut (2, samples) versions into clips: ``folder/<factor>/<split>/<label>/<film>-<clip>-<language>.wav``, 16 bits.

    Each clip is taken in one language, in turn; for ``words``, which have no meaning across languages, in the original.
    """
    languages = list(versions)
    for clip in range(plan.n_clips):
        turn = languages[clip % len(languages)]
        for factor, label in clip_labels(plan, clip, turn, config).items():
            language = languages[0] if factor == "words" else turn
            _write(
                folder, f"{factor}/{split}/{label}", f"{plan.name}-{clip:03d}-{language}.wav", versions[language], clip
            )


def _write(folder: Path, place: str, name: str, sound: Sound, clip: int) -> None:
    """One clip; the same sound under several factors is one file on disk with several names, where links are there."""
    target, kept = folder / place / name, folder / ".sounds" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        cut = np.ascontiguousarray(sound[:, clip * CLIP_SAMPLES : (clip + 1) * CLIP_SAMPLES].T)
        soundfile.write(kept, cut, SAMPLE_RATE, subtype="PCM_16")
    target.unlink(missing_ok=True)
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)
