"""Batches from the cache: the same whatever loads them, and damage named, counted and never trained on."""

import json
import shutil

import numpy as np
import pytest
import torch

from dubcli.cache.frames import decode_frames
from dubcli.core.models import normalise_pixels
from dubcli.core.plain import PlainPictures
from dubcli.core.sampler import SameMovieBatchSampler
from dubcli.pretrain import loader
from dubcli.pretrain.loader import BadClip, ClipDataset, Request, Requests, decode_clip
from dubcli.pretrain.loading import Loading, load_batches
from dubcli.pretrain.training_films import read_training_films
from helpers.runs import pretrain, small_config


@pytest.fixture
def damaged(cache, tmp_path):
    """A copy of the cache and the folder of its first film, to be damaged."""
    copy = shutil.copytree(cache, tmp_path / "cache")
    return copy, sorted((copy / "movies").iterdir())[0]


def spoil(folder, change):
    """Put something else, of the same length, into the place of frame 0 of clip 2."""
    offsets = np.load(folder / "frames.idx.npy")
    data = bytearray((folder / "frames.jpgs").read_bytes())
    first, stop = int(offsets[32]), int(offsets[33])
    data[first:stop] = change(bytes(data[first:stop]))
    (folder / "frames.jpgs").write_bytes(data)


def batches(cache, workers, sharing="shared memory"):
    config = small_config(cache, "unused", variant="es", seed=5)
    corpus = read_training_films(cache, "es", 0.0)
    dataset = ClipDataset(corpus.train, corpus.variant, config, on_device=False)
    sampler = SameMovieBatchSampler(corpus.train.clips_per_movie, 4, 2, seed=5)
    return list(
        load_batches(
            dataset, Requests(sampler, corpus.variant, 1, 1, 4), Loading(workers=workers, sharing=sharing, pin=False)
        )
    )


@pytest.mark.parametrize("sharing", ["shared memory", "pipes"])
def test_the_number_of_workers_and_their_way_of_sharing_change_nothing(cache, sharing):
    one, two = batches(cache, 0), batches(cache, 2, sharing)
    assert [batch.request.step for batch in one] == [1, 2, 3]
    for a, b in zip(one, two, strict=True):
        assert a.request == b.request
        for name in ("video", "primary", "secondary", "primary_masks", "secondary_masks"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_of_a_backbone_that_looks_at_fewer_frames_no_others_are_read(cache, monkeypatch):
    """The same frames, views and features as of all sixteen."""
    films = read_training_films(cache, "es", 0.0)
    movie, number = films.train.locate(0)
    images = movie.frame_bytes(number)
    assert torch.equal(decode_clip(movie, number, 4), decode_clip(movie, number)[2::4])
    read = []
    monkeypatch.setattr(loader, "decode_frames", lambda images: read.append(list(images)) or decode_frames(images))
    request = Request(1, 3, (0, 1), films.variant.secondary_at(1, 3))
    config = small_config(cache, "unused", variant="es", seed=5)
    every, few = (
        ClipDataset(films.train, films.variant, config, on_device=False, frames=frames)[request].video
        for frames in (16, 4)
    )
    assert read[2] == images[2::4]
    assert torch.equal(every[:, 2::4], few)
    network = PlainPictures().eval()
    pixels = [normalise_pixels(batch).permute(0, 2, 1, 3, 4) for batch in (every, few)]
    assert torch.equal(network(pixels[0]), network(pixels[1]))


@pytest.mark.parametrize(
    "change",
    [lambda jpeg: bytes(len(jpeg)), lambda jpeg: jpeg[: len(jpeg) // 2] + bytes(len(jpeg) - len(jpeg) // 2)],
    ids=["zeros", "cut short"],
)
def test_frames_that_do_not_decode_are_replaced_named_and_bounded(damaged, tmp_path, change):
    cache, folder = damaged
    spoil(folder, change)
    movie = read_training_films(cache, "mono", 0.0).train.movies[0]
    with pytest.raises(BadClip, match=f"{folder.name}: clip 2, frame 0 does not decode"):
        decode_clip(movie, 2)
    options = ("--variant", "mono", "--epochs", "1", "--batch-size", "7", "--json")
    done = pretrain(cache, tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bad_clips"] == 1
    done = pretrain(cache, tmp_path / "other", *options, "--max-bad-clips", "0")
    assert done.returncode == 2
    assert f"{folder.name}: clip 2, frame 0 does not decode" in done.stderr


def test_a_replaced_clip_brings_its_own_sound(damaged):
    cache, folder = damaged
    spoil(folder, lambda jpeg: bytes(len(jpeg)))
    corpus = read_training_films(cache, "mono", 0.0)
    dataset = ClipDataset(corpus.train, corpus.variant, small_config(cache, "unused"), on_device=False)
    batch = dataset[Request(0, 0, (2, 8), corpus.variant.primary)]
    assert len(batch.bad) == 1
    assert torch.equal(batch.primary[0], torch.from_numpy(np.array(corpus.train.movies[0].mel("en")[3])))


@pytest.mark.parametrize("name", ["mel.en.npy", "frames.jpgs", "frames.idx.npy"])
def test_a_film_cut_short_is_named_counted_and_left_out(damaged, tmp_path, name):
    cache, folder = damaged
    file = folder / name
    file.write_bytes(file.read_bytes()[:-100])
    done = pretrain(cache, tmp_path / "run", "--variant", "mono", "--max-steps", "1", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bad_clips"] == 7
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["train_films"] == 2
    assert folder.name in config["damaged"][0]
    done = pretrain(cache, tmp_path / "other", "--variant", "mono", "--max-bad-clips", "6")
    assert done.returncode == 2
    assert folder.name in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_cut_short_while_training_ends_the_run_in_one_line(damaged, workers):
    cache, folder = damaged
    corpus = read_training_films(cache, "mono", 0.0)
    for movie in corpus.train.movies:
        movie.__dict__.pop("_mels")
    file = folder / "mel.en.npy"
    file.write_bytes(file.read_bytes()[:-100])
    dataset = ClipDataset(corpus.train, corpus.variant, small_config(cache, "unused"), on_device=False)
    sampler = SameMovieBatchSampler(corpus.train.clips_per_movie, 20, 2)
    (batch,) = load_batches(
        dataset,
        Requests(sampler, corpus.variant, 0, 0, 1),
        Loading(workers=workers, sharing="shared memory", pin=False),
    )
    assert str(file) in batch.error
    assert "\n" not in batch.error
