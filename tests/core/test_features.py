"""Downmix and log-mel against float64 numpy, written from the published definitions, and against torchaudio."""

import numpy as np
import pytest
import torch

from dubcli.core import channels, mels
from dubcli.core.channels import downmix_weights
from dubcli.core.features import (
    LayoutError,
    channel_names,
    downmix,
    log_mel,
    mel_frames,
)
from dubcli.core.mels import mel_filters

R = 1 / np.sqrt(2)
# (left weight, right weight) per stored channel before g, written out by hand from ATSC A/52 7.8.2 and its extension.
MIX = {
    "mono": [(1, 1)],
    "stereo": [(1, 0), (0, 1)],
    "downmix": [(1, 0), (0, 1)],
    "2.1": [(1, 0), (0, 1), (0, 0)],
    "3.0": [(1, 0), (0, 1), (R, R)],
    "3.0(back)": [(1, 0), (0, 1), (0.5, 0.5)],
    "3.1": [(1, 0), (0, 1), (R, R), (0, 0)],
    "4.0": [(1, 0), (0, 1), (R, R), (0.5, 0.5)],
    "quad": [(1, 0), (0, 1), (R, 0), (0, R)],
    "quad(side)": [(1, 0), (0, 1), (R, 0), (0, R)],
    "4.1": [(1, 0), (0, 1), (R, R), (0, 0), (0.5, 0.5)],
    "5.0": [(1, 0), (0, 1), (R, R), (R, 0), (0, R)],
    "5.1": [(1, 0), (0, 1), (R, R), (0, 0), (R, 0), (0, R)],
    "5.1(side)": [(1, 0), (0, 1), (R, R), (0, 0), (R, 0), (0, R)],
    "6.0(front)": [(1, 0), (0, 1), (1, 0), (0, 1), (R, 0), (0, R)],
    "hexagonal": [(1, 0), (0, 1), (R, R), (R, 0), (0, R), (0.5, 0.5)],
    "6.1": [(1, 0), (0, 1), (R, R), (0, 0), (0.5, 0.5), (R, 0), (0, R)],
    "6.1(front)": [(1, 0), (0, 1), (0, 0), (1, 0), (0, 1), (R, 0), (0, R)],
    "7.1": [(1, 0), (0, 1), (R, R), (0, 0), (R, 0), (0, R), (R, 0), (0, R)],
    "7.1(wide)": [(1, 0), (0, 1), (R, R), (0, 0), (R, 0), (0, R), (1, 0), (0, 1)],
    "7.1(wide-side)": [(1, 0), (0, 1), (R, R), (0, 0), (1, 0), (0, 1), (R, 0), (0, R)],
    "5.1.2": [(1, 0), (0, 1), (R, R), (0, 0), (R, 0), (0, R), (R, 0), (0, R)],
    "FL+FR+FC": [(1, 0), (0, 1), (R, R)],
    "FC+FL+FR": [(R, R), (1, 0), (0, 1)],
    "6 channels (FR+FL+FC+LFE+SR+SL)": [(0, 1), (1, 0), (R, R), (0, 0), (0, R), (R, 0)],
    "8 channels": [(1, 0), (0, 1), (R, R), (0, 0), (R, 0), (0, R), (R, 0), (0, R)],
}


@pytest.mark.parametrize("layout", MIX)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_downmix_is_that_of_numpy(layout, dtype):
    weights = np.array(MIX[layout], dtype=np.float64).T
    gain = 1 / weights.sum(axis=1).max()
    wave = np.random.default_rng(0).uniform(-1, 1, (weights.shape[1], 4800))
    wave[:, :10] = 1  # all channels at full scale at once
    mixed = downmix(torch.from_numpy(wave).to(dtype), layout)
    assert mixed.dtype == dtype
    assert np.abs(mixed.double().numpy() - gain * weights @ wave).max() < 1e-6
    assert mixed.abs().max() <= 1 + 1e-6
    assert np.allclose(downmix_weights(layout), gain * weights, atol=1e-15)


def test_gains_of_the_common_layouts():
    assert downmix_weights("5.1(side)")[0, 0].item() == pytest.approx(1 / (1 + np.sqrt(2)), rel=1e-15)
    assert downmix_weights("7.1")[0, 0].item() == pytest.approx(1 / (1 + 3 / np.sqrt(2)), rel=1e-15)


def test_stereo_is_unchanged_and_mono_duplicated():
    wave = torch.randn(2, 100)
    assert torch.equal(downmix(wave, "stereo"), wave)
    assert torch.equal(downmix(wave[:1], "mono"), wave[:1].expand(2, -1))
    assert torch.equal(downmix(wave[:1], "1 channels (FL)"), wave[:1].expand(2, -1))


def test_batches_and_layouts_that_av_knows():
    wave = torch.randn(3, 6, 50, dtype=torch.float64)
    assert torch.allclose(downmix(wave, "5.1")[1], downmix(wave[1], "5.1"), atol=1e-15)
    av = pytest.importorskip("av")
    named = [layout for layout in MIX if layout != "8 channels"]
    for layout in [
        *named,
        "5.1.4",
        "7.1.4",
        "9.1.6",
        "22.2",
        "octagonal",
        "cube",
        "hexadecagonal",
        "binaural",
        "3.1.2",
    ]:
        try:
            expected = tuple(channel.name for channel in av.AudioLayout(layout).channels)
        except ValueError:  # this FFmpeg does not know it
            continue
        assert channel_names(layout) == expected, layout
        assert downmix_weights(layout).sum(axis=1).max().item() == pytest.approx(1)


@pytest.mark.parametrize("layout", ["", "5.2", "FL+XX", "mono+stereo", "99 channels", "ambisonic 1", "LFE"])
def test_unknown_layouts_are_refused_in_one_line(layout):
    with pytest.raises(LayoutError) as caught:
        downmix_weights(layout)
    assert "\n" not in str(caught.value)


def test_wrong_waveforms_are_refused():
    with pytest.raises(LayoutError, match="6 channels"):
        downmix(torch.zeros(5, 10), "5.1")
    with pytest.raises(TypeError, match="floating point"):
        downmix(torch.zeros(6, 10, dtype=torch.int16), "5.1")


def oracle_power(wave, sample_rate):
    """Mel power in float64: a discrete Fourier transform by its definition, HTK triangles one by one."""
    n_fft, hop, mels = 1024, 512, 96
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    bins = np.arange(n_fft // 2 + 1)
    dft = np.exp(-2j * np.pi * np.outer(np.arange(n_fft), bins) / n_fft)
    starts = range(0, len(wave) - n_fft + 1, hop)
    spectrum = np.stack([wave[s : s + n_fft] * window for s in starts]) @ dft
    power = spectrum.real**2 + spectrum.imag**2

    def to_hz(mel):
        return 700 * (10 ** (mel / 2595) - 1)

    top = 2595 * np.log10(1 + (sample_rate / 2) / 700)
    corners = [to_hz(top * i / (mels + 1)) for i in range(mels + 2)]
    result = np.zeros((len(power), mels))
    for m in range(mels):
        low, middle, high = corners[m : m + 3]
        for k in bins:
            f = k * sample_rate / n_fft
            if low < f <= middle:
                result[:, m] += power[:, k] * (f - low) / (middle - low)
            elif middle < f < high:
                result[:, m] += power[:, k] * (high - f) / (high - middle)
    return result.T


def signals(sample_rate, samples):
    t = np.arange(samples) / sample_rate
    rng = np.random.default_rng(1)
    tone = np.sin(2 * np.pi * 440 * t)
    return {
        "noise": rng.standard_normal(samples) * 0.1,
        "loud noise": rng.uniform(-1, 1, samples),
        "tone": 0.5 * tone,
        "full-scale tone": tone,
        "high tone": np.sin(2 * np.pi * 15000.3 * t),
        "square": np.sign(np.sin(2 * np.pi * 100.1 * t)),
        "offset": np.full(samples, 0.7),
        "tone and silence": np.where(t < t[-1] / 2, tone, 0),
        "quiet": rng.standard_normal(samples) * 1e-5,
        "impulse": np.eye(1, samples, 3000)[0],
        "silence": np.zeros(samples),
    }


@pytest.mark.parametrize("sample_rate", [48000, 44100])
def test_log_mel_is_that_of_numpy(sample_rate):
    waves = {name: wave.astype(np.float32) for name, wave in signals(sample_rate, 8192 + 100).items()}
    result = log_mel(torch.from_numpy(np.stack(list(waves.values()))), sample_rate).double().numpy()
    for name, mel in zip(waves, result, strict=True):
        power = oracle_power(waves[name].astype(np.float64), sample_rate)
        assert mel.shape == power.shape == (96, 15)
        assert np.abs(mel - np.log(power + 1e-6)).max() < 1e-3, name
        peak = np.maximum(power.max(axis=0), 1e-6)
        assert (np.abs(np.exp(mel) - 1e-6 - power) / peak).max() < 1e-5, name
    assert np.allclose(result[-1], np.log(1e-6), atol=1e-6)


@pytest.mark.parametrize(("sample_rate", "samples", "frames"), [(48000, 144000, 280), (44100, 132300, 257)])
def test_log_mel_equals_torchaudio(sample_rate, samples, frames):
    torchaudio = pytest.importorskip("torchaudio")
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate, n_fft=1024, win_length=1024, hop_length=512, n_mels=96, power=2.0, center=False
    ).double()
    wave = torch.randn(3, 2, samples, generator=torch.Generator().manual_seed(0)) * 0.2
    ours = log_mel(wave, sample_rate)
    assert ours.shape == (3, 2, 96, frames)
    assert ours.dtype == torch.float32
    assert mel_frames(sample_rate, samples) == frames
    assert (ours - torch.log(transform(wave.double()) + 1e-6)).abs().max() < 1e-3
    filters = torchaudio.functional.melscale_fbanks(513, 0.0, sample_rate / 2, 96, sample_rate)
    assert (torch.from_numpy(mel_filters(sample_rate)) - filters).abs().max() < 1e-5


@pytest.mark.parametrize("sample_rate", [48000, 44100])
def test_arrays_give_the_mels_of_tensors(sample_rate):
    waves = np.stack([wave.astype(np.float32) for wave in signals(sample_rate, 3 * sample_rate).values()])
    ours, theirs = mels.log_mel_array(waves, sample_rate), log_mel(torch.from_numpy(waves), sample_rate).numpy()
    assert ours.dtype == np.float32
    assert np.abs(ours - theirs).max() < 1e-5
    kept = ours.astype(np.float16), theirs.astype(np.float16)  # as a cache has them: the last bit may differ
    assert (kept[0] != kept[1]).mean() < 1e-4
    assert np.array_equal(mels.log_mel_array(waves[None, 1], sample_rate)[0], ours[1])
    with pytest.raises(ValueError, match="1023 samples"):
        mels.log_mel_array(waves[:, :1023], sample_rate)


def test_arrays_give_the_stereo_of_tensors():
    wave = np.random.default_rng(5).uniform(-1, 1, (6, 4800)).astype(np.float32)
    mixed = channels.downmix_array(wave, "5.1")
    assert mixed.dtype == np.float32
    assert np.abs(mixed - downmix(torch.from_numpy(wave), "5.1").numpy()).max() < 1e-6
    assert np.array_equal(channels.downmix_array(wave[:1], "mono"), wave[[0, 0]])
    stereo = wave[:2]
    assert channels.downmix_array(stereo, "stereo") is stereo
    with pytest.raises(LayoutError, match="6 channels"):
        channels.downmix_array(wave[:5], "5.1")


def test_log_mel_of_parts_is_that_of_the_whole():
    """Blocks of rows and of frames are only a matter of memory: a long track equals its clips."""
    long = torch.randn(2, 512 * 5000 + 512, generator=torch.Generator().manual_seed(2)) * 0.1
    whole = log_mel(long, 48000)
    assert whole.shape == (2, 96, 5000)
    part = log_mel(long[:, 512 * 4090 : 512 * 4110 + 512], 48000)
    assert torch.allclose(whole[:, :, 4090:4110], part, atol=1e-5)
    clips = torch.randn(40, 2, 144000, generator=torch.Generator().manual_seed(3)) * 0.1
    assert torch.allclose(log_mel(clips, 48000)[37], log_mel(clips[37], 48000), atol=1e-5)


def test_log_mel_of_nothing_and_of_one_channel():
    assert log_mel(torch.zeros(0, 2, 144000), 48000).shape == (0, 2, 96, 280)
    assert log_mel(torch.zeros(1024), 48000).shape == (96, 1)
    assert log_mel(torch.zeros(1024, dtype=torch.float64), 48000).dtype == torch.float32


def test_log_mel_keeps_its_precision_under_autocast():
    wave = torch.randn(2, 9000, generator=torch.Generator().manual_seed(4)) * 0.1
    expected = log_mel(wave, 48000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(log_mel(wave, 48000), expected)


def test_log_mel_refuses_less_than_a_window():
    assert (mel_frames(48000, 1023), mel_frames(48000, 1024), mel_frames(48000, 0)) == (0, 1, 0)
    with pytest.raises(ValueError, match="1023 samples"):
        log_mel(torch.zeros(2, 1023), 48000)
