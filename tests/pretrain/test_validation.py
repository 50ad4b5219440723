"""Held-out films: which they are, when they are asked, and their numbers against loops over every pair."""

import math
import threading

import numpy as np
import pytest
import torch

from dubcli.core.models import DubModel
from dubcli.core.transforms import eval_video
from dubcli.pretrain import loader, train
from dubcli.pretrain.corpus import held_out_films, mel_statistics, read_corpus
from dubcli.pretrain.loader import ClipDataset
from dubcli.pretrain.step import Stepper
from dubcli.pretrain.validation import alignment, retrieval, validate
from helpers.runs import metrics, small_config


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
    corpus = read_corpus(cache, "es", 0.34)
    assert {m.id for m in corpus.train.movies}.isdisjoint(m.id for m in corpus.held_out.movies)
    torch.manual_seed(1)
    model = DubModel(corpus.variant, "minute")
    mean, std = mel_statistics(corpus.train, corpus.variant)
    stepper = Stepper(model, corpus.variant, config, torch.device("cpu"), (mean, std), 32)
    dataset = ClipDataset(corpus.held_out, corpus.variant, config, on_device=False)
    found = validate(stepper, model, dataset, 1000)
    assert model.training
    decoders = set()
    decode = loader.decode_clip
    monkeypatch.setattr(loader, "decode_clip", lambda *a: decoders.add(threading.current_thread().name) or decode(*a))
    assert validate(stepper, model, dataset, 1000, threads=2) == found
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
