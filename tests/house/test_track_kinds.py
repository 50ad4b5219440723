"""A new kind of sound track is one row of ``KINDS`` and what makes its mels: every other room knows it from there."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from dubcli.cache.check import check_movie
from dubcli.cache.reader import Cache
from dubcli.cache.writer import added_mel, update_movie
from dubcli.core.checkpoint import load_trained
from dubcli.core.tracks import KINDS, Track, TrackKind
from dubcli.core.variants import make_variant
from dubcli.errors import UserError
from dubcli.export import ExportConfig
from dubcli.export.card import model_card
from dubcli.ls import list_cache
from dubcli.pretrain import train
from helpers.caches import make_cache
from helpers.runs import small_config

VARIANT = """\
from dubcli.core.tracks import Track
from dubcli.core.variants import make_variant
def en_music(primary, languages):
    return make_variant("en-music", Track(primary), [Track(primary, "music")])
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setitem(KINDS, "music", TrackKind(sample_rate=32000, made_by="dubav music", title="music mel"))
    (tmp_path / "new_variant.py").write_text(VARIANT)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield make_cache(tmp_path / "cache", films=4, clips=6, languages=("en", "es"))
    sys.modules.pop("new_variant", None)


def add_music(cache, shape=(2, 96, 186)):  # 1 + (3 * 32000 - 1024) // 512 frames
    track = Track("en", "music")
    assert (*shape[:2], KINDS["music"].mel_frames) == shape
    for number, movie in enumerate(Cache(cache).movies):
        with added_mel(movie.folder, track) as writer:
            writer.append(np.random.default_rng(number).normal(size=(movie.n_clips, *shape)).astype(np.float16))
        update_movie(cache, movie.folder, lambda meta: meta.setdefault("music", {}).update({"en": {}}))


def test_a_kind_is_trained_listed_checked_and_named(cache, tmp_path):
    config = small_config(cache, tmp_path / "run", variant="new_variant:en_music", max_steps=2, val_fraction=0.5)
    with pytest.raises(UserError, match="variant en-music needs music mels of en, .*; run dubav music first"):
        train(config, device="cpu")
    add_music(cache)
    train(config, device="cpu")
    told = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"val/loss/en", "val/loss/en-music"} <= {name for line in told for name in line}
    assert [title.note for title in list_cache(cache).titles] == ["music: en"] * 4
    assert not any("music" in finding for movie in Cache(cache).movies for finding in check_movie(movie))
    broken = Cache(cache).movies[0].folder / "mel.en-music.npy"
    broken.write_bytes(broken.read_bytes()[:-2])
    assert any("mel.en-music.npy" in finding for finding in check_movie(Cache(cache).movies[0]))
    trained = load_trained(tmp_path / "run")
    assert trained.variant.secondaries[0].sample_rate == 32000
    on_music = replace(trained, variant=make_variant("music", Track("en", "music"), []))
    assert "Trained on music mels (`dubav music`)." in model_card(on_music, ExportConfig(), [])
