"""The one rule for samples that are no sound, and that files, films, arrays, HEAR and separation go by it."""

import warnings

import numpy as np
import pytest
import soundfile
import torch

from dubcli.core.samples import LOUDEST, SampleCheck, usable
from dubcli.embed.embedder import Embedder
from dubcli.embed.stereo import Heard, film_blocks, stereo_blocks
from dubcli.errors import InputError, UserError
from dubcli.hear import get_scene_embeddings, load_model
from dubcli.media.sound import track_blocks

RATE = 48000


def sound(seconds=1.0):
    return (0.3 * np.sin(np.arange(round(seconds * RATE)) / 20)).astype(np.float32)


def test_what_is_no_number_is_0_and_what_is_far_over_full_scale_is_cut():
    check = SampleCheck()
    samples = torch.from_numpy(sound())
    samples[:4] = torch.tensor([np.nan, -np.inf, 1e30, -3.0])
    cleaned = check.clean(samples)
    assert cleaned[:4].tolist() == [0, 0, LOUDEST, -LOUDEST]
    assert torch.equal(cleaned[4:], samples[4:])
    assert check.problems == [
        "2 samples are NaN or infinite and were taken as 0",
        "2 samples are more than 6 dB over full scale and were cut to that",
    ]
    assert check.refusal is None


def test_sound_over_full_scale_is_as_it_is():
    check = SampleCheck()
    samples = torch.from_numpy(6 * sound())
    assert check.clean(samples) is samples
    assert (check.problems, check.refusal) == ([], None)


@pytest.mark.parametrize("scale", [128, 32768, 2.0**23])
def test_sound_in_the_scale_of_integers_is_refused_also_after_silence(scale):
    check = SampleCheck()
    for block in (torch.zeros(100 * RATE), torch.from_numpy((scale * sound()).astype(np.float32))):
        check.clean(block)
    assert "not in full scale" in check.refusal
    assert f"the loudest is {0.3 * scale:.4g}" in check.refusal


def test_a_damaged_second_of_a_long_sound_is_damage():
    check = SampleCheck()
    for block in (torch.from_numpy(sound(60)), torch.full((RATE,), 1e9)):
        check.clean(block)
    assert check.refusal is None
    assert f"{RATE} samples are more than 6 dB" in check.problems[0]


def test_no_usable_sample():
    with pytest.raises(UserError, match="no usable sample: 50 are NaN or infinite, the others 0"):
        usable(torch.cat([torch.full((50,), np.nan), torch.zeros(9)]))
    assert torch.equal(usable(torch.zeros(9)), torch.zeros(9))  # silence is a sound


@pytest.fixture(scope="module")
def embedder():
    return Embedder("random", preset="tiny", device="cpu")


def written(folder, samples):
    soundfile.write(folder / "a.wav", samples, RATE, subtype="FLOAT")
    return folder / "a.wav"


def of_file(path, read):
    heard = Heard()
    blocks = torch.cat(list(read(path, heard)), dim=1)
    return blocks, heard.warning


def by_libsndfile(path, heard):
    return stereo_blocks(path, RATE, heard)


def by_ffmpeg(path, heard):
    return film_blocks(path, None, None, RATE, heard)


def test_files_arrays_and_hear_mend_the_same_samples(tmp_path, embedder):
    samples = sound()
    samples[100], samples[200], samples[300] = np.nan, np.inf, 1e20
    clean = sound()
    clean[100], clean[200], clean[300] = 0, 0, LOUDEST
    path = written(tmp_path, samples)
    told = (
        "2 samples are NaN or infinite and were taken as 0; 1 samples are more than 6 dB over full scale and were cut "
        "to that"
    )
    for read in (by_libsndfile, by_ffmpeg):
        blocks, warning = of_file(path, read)
        assert np.array_equal(blocks[0].numpy(), clean)
        assert warning == told
    model = load_model("random:tiny")
    with pytest.warns(UserWarning, match="NaN or infinite"):
        ours = embedder.audio(samples, RATE)
    with pytest.warns(UserWarning, match="NaN or infinite"):
        scenes = get_scene_embeddings(torch.from_numpy(np.stack([samples, clean])), model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(ours, embedder.audio(clean, RATE))
    assert torch.equal(scenes[0], scenes[1])


def test_files_arrays_and_hear_refuse_the_same_samples(tmp_path, embedder):
    samples = 32768 * sound()
    path = written(tmp_path, samples)
    for read in (by_libsndfile, by_ffmpeg):
        with pytest.raises(InputError, match="not in full scale"):
            of_file(path, read)
    with pytest.raises(InputError, match="not in full scale"):
        list(track_blocks(path, None, None, RATE, []))
    with pytest.raises(UserError, match="not in full scale"):
        embedder.audio(samples, RATE)
    with pytest.raises(ValueError, match="not in full scale"):
        get_scene_embeddings(torch.from_numpy(samples)[None], load_model("random:tiny"))
