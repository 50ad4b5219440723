"""A folder as users have it after training and probing: results, a run, and a cache made from a real small film."""

import json
from fractions import Fraction

import numpy as np
import pytest

from dubcli.core.checkpoint import model_entries, save_checkpoint
from dubcli.core.models import DubModel
from dubcli.core.variants import parse_variant
from dubcli.media.mux import SoundTrack, write_mkv

LANGUAGES = ("en", "fr")
CLIPS = 4


def write_result(folder, task, model, mean, *, std=None, variant=None, metric="top1_acc", right=None, **more):
    """A results file. With ``right``, one bool per test clip, the predictions of two classes beside it."""
    path = folder / task / f"{model}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "task": task,
        "model": model,
        "metric": metric,
        "mean": mean,
        "std": std,
        "scores": [mean],
        "splits": [{"name": "test"}],
        "protocol": {"name": "hear"},
        "identity": {"seed": 0},
        "features": {"variant": variant} if variant else {},
        **more,
    }
    if right is not None:
        content = {"kind": "multiclass", "classes": ["dog", "<b>rain</b>"], "modality": "A", "format": 2} | content
    path.write_text(json.dumps(content))
    if right is not None:
        labels = np.arange(len(right)) % 2
        arrays = {
            "clips": np.array([f"{number}.wav" for number in range(len(right))]),
            "test.rows": np.arange(len(right)),
            "test.labels": labels,
            "test.scores.0": np.eye(2)[np.where(right, labels, 1 - labels)],
        }
        np.savez(path.with_suffix(".predictions.npz"), **arrays)
    return path


def trained(seed=0, **more):
    """``features`` of a model whose training is known."""
    features = {
        name: more.pop(name) for name in ("content_hash", "film_set", "epochs", "preset", "name") if name in more
    }
    training = {"variant": more.get("variant", "efj"), "seed": seed, "out": f"runs/{seed}", **more}
    return {
        "kind": "checkpoint", "variant": training["variant"], "preset": "tiny", "epochs": 10, "film_set": "f",
        "content_hash": f"hash{sorted(training.items())}", "training": training, **features,
    }  # fmt: skip


def write_run(folder, variant="fr"):
    folder.mkdir(parents=True)
    lines = [{"step": step, "epoch": step / 10, "loss": 5 - step / 10} for step in range(21)]
    for epoch in (1, 2):
        lines.append(
            {
                "step": epoch * 10,
                "epoch": epoch,
                f"val/video->audio/{variant}/r@1": 0.1 * epoch,
                f"val/audio->video/{variant}/r@1": 0.2 * epoch,
                f"val/alignment/{variant}/same": 0.3 * epoch,
                "val/loss/en": 4.0 - epoch,
            }
        )
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 30, "lo'  # killed while writing
    (folder / "metrics.jsonl").write_text(text)
    (folder / "config.json").write_text(json.dumps({"variant": variant, "held_out_films": []}))
    return folder


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """Twelve seconds of moving colours, two tagged sound tracks over the same noise."""
    path = tmp_path_factory.mktemp("films") / "colours.mkv"
    rng = np.random.default_rng(0)
    rate = Fraction(8)
    pictures = [np.full((96, 128, 3), (n * 2 % 256, 80, 255 - n % 256), np.uint8) for n in range(CLIPS * 3 * 8 + 1)]
    noise = rng.normal(0, 0.05, (2, CLIPS * 3 * 48000)).astype(np.float32)
    time = np.arange(noise.shape[1]) / 48000
    tracks = [
        SoundTrack(sound=noise + 0.1 * np.sin(2 * np.pi * pitch * time).astype(np.float32), language=language,
              layout="stereo", codec="ac3")
        for language, pitch in zip(LANGUAGES, (300, 700), strict=True)
    ]  # fmt: skip
    write_mkv(path, pictures, rate, (128, 96), tracks)
    return path


@pytest.fixture(scope="session")
def project(film, tmp_path_factory):
    """results/, runs/fr, cache/: what ``dubav report`` is given."""
    from dubcli.prep import PrepConfig, prepare

    root = tmp_path_factory.mktemp("project")
    assert prepare([film], PrepConfig(languages=LANGUAGES, cache=root / "cache")).failed == 0
    run = write_run(root / "runs" / "fr")
    model = DubModel(parse_variant("fr", "en", ["fr"]), "tiny")
    save_checkpoint(run / "ckpt.pt", model_entries(model, mel_mean=-6.0, mel_std=5.0, config={"variant": "fr"}))
    results = root / "results"
    for model_name, mean in (("mono-ckpt", 0.5), ("fr-ckpt", 0.75), ("random-seed0", 0.25)):
        right = np.arange(80) < round(80 * mean)
        write_result(results, "esc50", model_name, mean, std=0.01, variant=model_name.split("-")[0], right=right,
                     interval=[mean - 0.1, mean + 0.1])  # fmt: skip
    for epoch, mean in ((2, 0.6), (4, 0.7)):
        write_result(results, "esc50", f"fr-epoch-{epoch:02d}", mean, std=0.02, variant="fr")
    write_result(results, "fluent-speech-commands", "fr-ckpt", 0.4, variant="fr")
    write_result(results, "fluent-speech-commands-nospeech", "fr-ckpt", 0.3, variant="fr")
    write_result(results, "folder-mine", "fr-ckpt", 0.9, variant="fr")
    return root
