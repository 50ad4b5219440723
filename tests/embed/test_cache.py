"""Features of a clip cache: of each clip, from its stored mels and frames."""

import numpy as np
import pytest
import torch

from dubcli.cache.reader import Cache
from dubcli.core.transforms import normalise_mels
from dubcli.embed import EmbedConfig, embed, load_features
from dubcli.embed.blocks import wanted_of
from dubcli.jobs.options import JobOptions
from dubcli.prep import PrepConfig, prepare
from helpers.films import make_film


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for name, seconds in (("one", 7), ("two", 9.2)):
        make_film(folder / f"{name}.mkv", seconds, tracks=("eng", "fre"))
    config = PrepConfig(languages=("en", "fr"), cache=folder / "cache")
    summary = prepare([folder / "one.mkv", folder / "two.mkv"], config, JobOptions(workers=1))
    assert summary.ok == 2
    return folder / "cache"


def test_features_of_clips(cache, tmp_path, tiny):
    summary = embed(cache, tiny, tmp_path / "out", EmbedConfig())
    assert (summary.ok, summary.failed) == (2, 0)
    features = load_features(tmp_path / "out")
    assert [(item["audio_chunks"], item["video_chunks"]) for item in features.items] == [(2, 2), (3, 3)]
    assert features.description["rows_of"] == "chunks.csv"
    assert features.audio.shape == features.video.shape == (5, 1024)
    trained = tiny.trained
    for item, movie in zip(features.items, Cache(cache).movies, strict=True):
        mels = normalise_mels(torch.from_numpy(np.array(movie.mel("en"))), trained.mel_mean, trained.mel_std)
        with torch.no_grad():
            expected = trained.model.embed_audio(mels).numpy()
        np.testing.assert_allclose(features.audio[item["first_row"] :][: item["rows"]], expected, atol=1e-6)


def test_language_and_what_is_missing(cache, tmp_path, tiny, checkpoints):
    embed(cache, tiny, tmp_path / "en", EmbedConfig(modalities=("audio",)))
    embed(cache, tiny, tmp_path / "fr", EmbedConfig(modalities=("audio",), lang="fr"))
    en, fr = load_features(tmp_path / "en"), load_features(tmp_path / "fr")
    assert en.video is None
    assert np.abs(en.audio - fr.audio).max() > 1e-4
    summary = embed(cache, tiny, tmp_path / "ja", EmbedConfig(modalities=("audio",), lang="ja"))
    assert summary.failures[0].reason == "has no mel of ja (there are: en, fr)"
    # a checkpoint of the variant without speech needs the mels that dubav separate writes
    embed(cache, checkpoints["sep"], tmp_path / "sep", EmbedConfig())
    sep = load_features(tmp_path / "sep")
    assert sep.audio is None
    assert sep.items[0]["reason"] == "has no no-speech mel of en (there are: en, fr)"


def test_cache_and_file_agree(cache, tmp_path, tiny):
    film = cache.parent / "two.mkv"
    embed(cache, tiny, tmp_path / "cache", EmbedConfig())
    embed(film, tiny, tmp_path / "film", EmbedConfig(per_chunk=True))
    stored, fresh = load_features(tmp_path / "cache"), load_features(tmp_path / "film")
    # float16 mels, and JPEGs of 180 lines instead of the film's own pixels
    for ours, theirs, tolerance in ((fresh.audio, stored.audio[2:], 0.01), (fresh.video, stored.video[2:], 0.1)):
        assert np.abs(ours - theirs).max() < tolerance * np.abs(theirs).max()
    assert wanted_of(tiny, EmbedConfig()).kind == "full"
