import math

import numpy as np
import pytest
import torch

from dubcli.media.resample import resample_blocks


def resampled(sound, source, target, sizes=None):
    blocks = [sound] if sizes is None else torch.split(sound, sizes, dim=1)
    return torch.cat(list(resample_blocks(blocks, source, target)), dim=1)


def tone(frequency, rate, seconds=1.0):
    times = torch.arange(round(rate * seconds), dtype=torch.float64) / rate
    return torch.sin(2 * math.pi * frequency * times).float().expand(2, -1)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 96000, 192000])
@pytest.mark.parametrize("target", [48000, 44100])
def test_a_tone_stays_the_same_tone(rate, target):
    out = resampled(tone(1000, rate), rate, target)
    assert out.shape[1] == target
    middle = slice(target // 4, 3 * target // 4)
    expected = tone(1000, target)[:, middle]
    np.testing.assert_allclose(out[:, middle], expected, atol=1e-4)


@pytest.mark.parametrize("rate", [44099, 7999, 37800, 50000, 88200, 191999])
def test_odd_rates_are_no_exception(rate):
    out = resampled(tone(1000, rate), rate, 48000)
    assert out.shape[1] == 48000
    np.testing.assert_allclose(out[:, 12000:36000], tone(1000, 48000)[:, 12000:36000], atol=1e-4)


def test_what_cannot_be_represented_is_removed():
    out = resampled(tone(30000, 96000), 96000, 48000)
    assert out[:, 4800:-4800].abs().max() < 1e-3


@pytest.mark.parametrize(("source", "target"), [(44100, 48000), (16000, 48000), (192000, 48000), (48000, 44100)])
@pytest.mark.parametrize("size", [1, 160, 997, 40000])
def test_blocks_do_not_matter(source, target, size):
    sound = torch.rand(2, 1500 if size == 1 else 50000, generator=torch.Generator().manual_seed(1)) - 0.5
    whole = resampled(sound, source, target)
    assert whole.shape[1] == math.ceil(sound.shape[1] * target / source)
    assert torch.equal(resampled(sound, source, target, size), whole)


def test_equal_rates_pass_unchanged():
    sound = torch.rand(2, 1234)
    assert torch.equal(resampled(sound, 48000, 48000, 100), sound)


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_a_few_samples(samples):
    assert resampled(torch.ones(2, samples), 16000, 48000).shape == (2, 3 * samples)
    assert resampled(torch.ones(2, samples), 192000, 48000).shape == (2, math.ceil(samples / 4))
