"""Held-out films: which they are, when they are asked, and their numbers against loops over every pair."""

import json
import math
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from dubcli.core.checkpoint import load_trained
from dubcli.core.models import DubModel
from dubcli.core.retrieval import retrieval
from dubcli.core.transforms import eval_video
from dubcli.core.variants import Variant, View
from dubcli.pretrain import loader, train
from dubcli.pretrain.loader import ClipDataset, Request
from dubcli.pretrain.step import Stepper
from dubcli.pretrain.training_films import held_out_films, mel_statistics, read_training_films
from dubcli.pretrain.validation import HeldOut, alignment, validate
from helpers.runs import metrics, pretrain, small_config


def test_held_out_films_are_a_function_of_the_ids_alone():
    films = [f"film{number}" for number in range(200)]
    held_out = held_out_films(films, 0.05)
    assert len(held_out) == 10
    assert held_out == held_out_films(films[::-1], 0.05)
    # films that come or go move the border of the order, not the films in it
    assert held_out <= held_out_films(films, 0.1)
    assert len(held_out - held_out_films(films[:190], 0.05)) <= 10
    assert held_out_films(films, 0.0) == set()
    assert len(held_out_films(films[:2], 0.9)) == 1


def brute_rank(queries, targets):
    """1 + targets nearer than the own one + half of those as near."""
    ranks = []
    for i, query in enumerate(queries):
        scores = [sum(a * b for a, b in zip(query.tolist(), target.tolist(), strict=True)) for target in targets]
        above = sum(score > scores[i] + 1e-9 for score in scores)
        equal = sum(abs(score - scores[i]) <= 1e-9 for j, score in enumerate(scores) if j != i)
        ranks.append(1 + above + equal / 2)
    return ranks


def test_retrieval_against_every_pair():
    generator = torch.Generator().manual_seed(2)
    targets = torch.nn.functional.normalize(torch.randn(30, 4, generator=generator, dtype=torch.float64), dim=1)
    noisy = targets + 0.4 * torch.randn(30, 4, generator=generator, dtype=torch.float64)
    queries = torch.nn.functional.normalize(noisy, dim=1)
    ranks = brute_rank(queries, targets)
    found = retrieval(queries, targets)
    for k in (1, 5, 10):
        assert found[f"r@{k}"] == pytest.approx(np.mean([rank <= k for rank in ranks]))
    assert found["median_rank"] == sorted(ranks)[(len(ranks) - 1) // 2]
    assert found["r@1"] < found["r@10"]


def test_a_model_that_gives_one_vector_retrieves_at_chance():
    same = torch.ones(21, 3) / math.sqrt(3)
    assert retrieval(same, same)["median_rank"] == 11
    assert retrieval(same, same)["r@10"] == 0


def test_alignment_against_every_pair():
    a, b = (torch.nn.functional.normalize(torch.randn(9, 5, dtype=torch.float64), dim=1) for _ in range(2))
    cosines = a @ b.T
    found = alignment(a, b)
    assert found["same"] == pytest.approx(float(cosines.diagonal().mean()))
    others = [float(cosines[i, j]) for i in range(9) for j in range(9) if i != j]
    assert found["others"] == pytest.approx(np.mean(others))


def test_validation_embeds_each_held_out_clip_as_it_is_decoded_ahead_or_not(cache, tmp_path, monkeypatch):
    config = small_config(cache, tmp_path, variant="es", val_fraction=0.34)
    corpus = read_training_films(cache, "es", 0.34)
    assert {m.id for m in corpus.train.movies}.isdisjoint(m.id for m in corpus.held_out.movies)
    torch.manual_seed(1)
    model = DubModel(corpus.variant, "minute")
    mean, std = mel_statistics(corpus.train, corpus.variant)
    stepper = Stepper(model, corpus.variant, config, torch.device("cpu"), (mean, std), 32)
    dataset = ClipDataset(corpus.held_out, corpus.variant, config, on_device=False)
    found = validate(stepper, model, HeldOut(dataset, 1000))
    assert model.training
    decoders = set()
    decode = loader.decode_clip
    monkeypatch.setattr(loader, "decode_clip", lambda *a: decoders.add(threading.current_thread().name) or decode(*a))
    assert validate(stepper, model, HeldOut(dataset, 1000, threads=2)) == found
    assert decoders
    assert threading.main_thread().name not in decoders

    model.eval()
    rows = {"en": [], "es": [], "video": []}
    for clip in range(corpus.held_out.clips):
        movie, number = corpus.held_out.locate(clip)
        frames, _ = dataset.eval_batch([clip], ["en"], [])
        video = torch.stack([eval_video(frame, dataset.sizes) for frame in frames])
        with torch.no_grad():
            rows["video"].append(model.heads["video"](model.embed_video(stepper.pixels(video)))[0])
            for language, head in (("en", "primary"), ("es", "secondary")):
                mel = (torch.from_numpy(movie.mel(language)[number].astype(np.float32)) - mean) / std
                rows[language].append(model.heads[head](model.embed_audio(mel[None]))[0])
    unit = {name: torch.nn.functional.normalize(torch.stack(r), dim=1) for name, r in rows.items()}
    for language in ("en", "es"):
        ranks = brute_rank(unit["video"], unit[language])
        assert found[f"val/video->audio/{language}/r@5"] == pytest.approx(np.mean([rank <= 5 for rank in ranks]))
        ranks = brute_rank(unit[language], unit["video"])
        assert found[f"val/audio->video/{language}/median_rank"] == sorted(ranks)[(len(ranks) - 1) // 2]
    assert {"val/loss/en", "val/loss/es", "val/alignment/es/same", "val/alignment/es/others"} <= found.keys()


def test_early_numbers_after_half_an_epoch_then_after_each(cache, tmp_path):
    config = small_config(cache, tmp_path, variant="a-efj", val_fraction=0.34, batch_size=3, epochs=2)
    train(config, device="cpu")
    lines = [line for line in metrics(tmp_path) if any(name.startswith("val/") for name in line)]
    assert [line["step"] for line in lines] == [2, 4, 8]  # 14 clips, 3 a step: 4 steps an epoch
    for language in ("es", "fr", "ja"):
        assert f"val/loss/{language}" in lines[0]
        assert f"val/primary->audio/{language}/median_rank" in lines[0]


def last_validation(out):
    return [line for line in metrics(out) if any(name.startswith("val/") for name in line)][-1]


def test_every_view_has_a_curve_of_its_own(cache, tmp_path):
    options = ("--val-fraction", "0.34", "--epochs", "1")
    for variant in ("mono", "ns"):
        done = pretrain(cache, tmp_path / variant, "--variant", variant, *options)
        assert done.returncode == 0, done.stderr
    mono, ns = last_validation(tmp_path / "mono"), last_validation(tmp_path / "ns")
    for found, track in ((mono, "en-secondary"), (ns, "en-nospeech")):
        names = {name for name in found if name.startswith("val/loss/")}
        assert names == {"val/loss/en", f"val/loss/{track}"}
        assert {f"val/video->audio/{track}/r@1", f"val/audio->video/{track}/median_rank"} <= found.keys()
    assert mono["val/loss/en"] != mono["val/loss/en-secondary"]
    assert {"val/alignment/en-nospeech/same", "val/alignment/en-nospeech/others"} <= ns.keys()
    assert {line.get("secondary") for line in metrics(tmp_path / "ns") if "loss" in line} == {"en-nospeech"}
    config = json.loads((tmp_path / "ns" / "config.json").read_text())
    assert config["tracks"] == {"en": {"sample_rate": 48000, "mel_frames": 280},
                                "en-nospeech": {"sample_rate": 44100, "mel_frames": 257}}  # fmt: skip
    assert load_trained(tmp_path / "ns").sample_rate == 48000


def test_the_secondary_sound_of_ns_is_the_primary_without_speech(cache, tmp_path):
    corpus = read_training_films(cache, "ns", 0.0)
    dataset = ClipDataset(corpus.train, corpus.variant, small_config(cache, tmp_path), on_device=False)
    batch = dataset[Request(0, 0, (2, 8), corpus.variant.secondary_at(0, 0))]
    assert (batch.primary.shape, batch.secondary.shape) == ((2, 2, 96, 280), (2, 2, 96, 257))
    for row, clip in enumerate((2, 8)):
        movie, number = corpus.train.locate(clip)
        stored = np.load(movie.folder / "mel.en-nospeech.npy")
        assert torch.equal(batch.secondary[row], torch.from_numpy(stored[number]))


def test_variants_of_ones_own(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parents[2] / "examples" / "extending")
    options = ("--val-fraction", "0.34", "--max-steps", "2")
    done = pretrain(cache, tmp_path / "one", "--variant", "own_variant:all_together", *options)
    assert done.returncode == 0, done.stderr
    found = last_validation(tmp_path / "one")
    names = {name for name in found if name.startswith("val/loss/")}
    dubs = ["de", "es", "fr", "it", "ja", "en-nospeech"]
    assert names == {"val/loss/en", *(f"val/loss/{dub}{end}" for dub in dubs for end in ("", "-primary-secondary"))}
    line = [line for line in metrics(tmp_path / "one") if "loss" in line][-1]
    assert {"loss/video-primary", "loss/video-secondary", "loss/primary-secondary"} <= line.keys()
    assert load_trained(tmp_path / "one").variant.view("primary").augmentation == "none"
    done = pretrain(cache, tmp_path / "two", "--variant", "own_variant:dubs_without_video", "--max-steps", "1")
    assert done.returncode == 0, done.stderr
    done = pretrain(cache, tmp_path / "three", "--variant", "own_variant:all_togther")
    assert (done.returncode, "did you mean all_together" in done.stderr) == (2, True)
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_view_without_augmentation_is_the_plain_one(cache, tmp_path):
    corpus = read_training_films(cache, "mono", 0.0)
    views = tuple(View(head=view.head, tracks=view.tracks, augmentation="none") for view in corpus.variant.views)
    plain = Variant(name="plain", views=views, terms=corpus.variant.terms)
    dataset = ClipDataset(corpus.train, plain, small_config(cache, tmp_path), on_device=False)
    batch = dataset[Request(0, 0, (2, 8), plain.secondary_at(0, 0))]
    frames, _ = dataset.eval_batch([2, 8], plain.tracks, [])
    assert torch.equal(batch.video, torch.stack([eval_video(frame, dataset.sizes) for frame in frames]))
    assert (batch.primary_masks, batch.secondary_masks) == (None, None)
