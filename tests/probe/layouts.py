"""Small datasets in their published layouts, made in a test's folder."""

import json
from pathlib import Path

import numpy as np
import soundfile

RATE = 16000
TONES = {"a": 220.0, "b": 660.0, "c": 1980.0}


def sound(path: Path, *, tone: float = 440.0, seconds: float = 0.25, seed: int = 0, rate: int = RATE) -> Path:
    """A tone in noise: different seeds, different bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time))
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * tone * time) + 0.02 * noise, rate, subtype="PCM_16")
    return path


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def folder_task(root: Path, *, parts=("train", "test"), labels=("a", "b"), each=6, seconds=0.25) -> Path:
    """<part>/<label>/*.wav"""
    seed = 0
    for part in parts:
        for label in labels:
            for number in range(each):
                seed += 1
                sound(root / part / label / f"{part}-{label}-{number}.wav", tone=TONES[label], seed=seed,
                      seconds=seconds)  # fmt: skip
    return root


def hear_task(root: Path, *, name="esc50", version="v2.0.0", mode="full", folds=5, each=4, rate=48000, integers=False,
              splits=None, kind="multiclass", evaluation=("top1_acc",), labels=("a", "b")) -> Path:  # fmt: skip
    """A HEAR task folder of tones in root/<name>-<version>-<mode>."""
    home = root / f"{name}-{version}-{mode}"
    splits = splits or [f"fold{i:02}" for i in range(folds)]
    seed = 0
    for split in splits:
        listed = {}
        for number in range(each):
            seed += 1
            label = number % len(labels)
            file = f"{split}-{number}.wav"
            sound(home / str(rate) / split / file, tone=TONES[labels[label]], seed=seed, rate=rate, seconds=0.1)
            listed[file] = [label] if integers else [labels[label]]
        (home / f"{split}.json").write_text(json.dumps(listed))
    shown = [str(number) for number in range(len(labels))] if integers else list(labels)
    text(home / "labelvocabulary.csv", "idx,label", *(f"{i},{label}" for i, label in enumerate(shown)))
    metadata = {"task_name": name, "version": version, "embedding_type": "scene", "prediction_type": kind,
                "split_mode": "presplit_kfold", "evaluation": list(evaluation), "mode": mode,
                "splits": splits}  # fmt: skip
    (home / "task_metadata.json").write_text(json.dumps(metadata))
    return home


def esc50(root: Path, *, each=2, with_sound=True) -> Path:
    rows = []
    for fold in range(1, 6):
        for target, label in enumerate(("dog", "rain")):
            for number in range(each):
                file = f"{fold}-{number}-A-{target}.wav"
                rows.append(f"{file},{fold},{target},{label},False,{number},A")
                if with_sound:
                    sound(root / "audio" / file, tone=(220.0, 1980.0)[target], seed=100 * fold + 10 * target + number)
    (root / "audio").mkdir(parents=True, exist_ok=True)
    text(root / "meta" / "esc50.csv", "filename,fold,target,category,esc10,src_file,take", *rows)
    return root
