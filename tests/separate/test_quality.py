"""That the whole way separates: a model planted with a band-splitting filter bank, and the SDR of what comes out."""

import json
import math

import numpy as np
import soundfile
import torch
from demucs.demucs import Demucs

from helpers.separation import save_model

RATE = 44100
WINDOW, HOP = 512, 128
CUT_HZ = 2500


def planted():
    """Demucs of one layer whose weights are a cosine filter bank: atoms below CUT_HZ are vocals, the others other.

    The encoder gives every atom's amplitude twice, rectified with both signs; the decoder subtracts them again.
    """
    atoms = WINDOW
    time, number = torch.arange(WINDOW) + 0.5, torch.arange(atoms)
    window = torch.sin(math.pi * time / WINDOW)
    basis = math.sqrt(2 / WINDOW) * torch.cos(math.pi / WINDOW * time[None] * number[:, None])
    basis[0] /= math.sqrt(2)
    basis = basis * window
    model = Demucs(
        ["other", "vocals"], channels=4 * atoms, depth=1, kernel_size=WINDOW, stride=HOP, segment=1, rewrite=False,
        gelu=False, lstm_layers=0, dconv_mode=0, normalize=False, resample=False, rescale=0,
    )  # fmt: skip
    encode, decode = model.encoder[0][0], model.decoder[0][0]
    low = number * RATE / 2 / WINDOW < CUT_HZ
    # the squared windows of overlapping frames sum to WINDOW / HOP / 2, and the skip connection doubles everything
    synthesis = basis * HOP / WINDOW
    with torch.no_grad():
        for tensor in (encode.weight, encode.bias, decode.weight, decode.bias):
            tensor.zero_()
        for channel in range(2):
            for sign in range(2):
                place = slice((2 * channel + sign) * atoms, (2 * channel + sign + 1) * atoms)
                encode.weight[place, channel] = basis * (1 - 2 * sign)
                decode.weight[place, channel] = synthesis * (1 - 2 * sign) * ~low[:, None]
                decode.weight[place, 2 + channel] = synthesis * (1 - 2 * sign) * low[:, None]
    return model.eval()


def voice(time):
    """A buzz with vibrato at a speaker's pitch, in syllables: (samples,)."""
    phase = 2 * np.pi * np.cumsum(150 * (1 + 0.03 * np.sin(2 * np.pi * 5 * time))) / RATE
    buzz = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 6))
    return 0.2 * buzz * np.clip(5 * np.sin(2 * np.pi * 3 * time), 0, 1)


def rain(samples):
    """Hiss above 4 kHz: (samples,)."""
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(samples))
    spectrum[np.fft.rfftfreq(samples, 1 / RATE) < 4000] = 0
    return 0.3 * np.fft.irfft(spectrum, samples)


def sdr(reference, estimate):
    """Signal to distortion in dB, as the Music Demixing Challenge 2021 defines it."""
    return 10 * np.log10(np.sum(reference**2) / np.sum((reference - estimate) ** 2))


def test_the_voice_is_taken_out(dubav, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    save_model(planted(), models, "planted")
    samples = 5 * RATE + 321
    other = np.stack([rain(samples), 0.5 * rain(samples)], axis=1)
    vocals = np.repeat(voice(np.arange(samples) / RATE)[:, None], 2, axis=1)
    soundfile.write(tmp_path / "mix.wav", other + vocals, RATE, subtype="FLOAT")
    done = dubav(
        "separate", "mix.wav", "--out", "out", "--model", "planted", "--model-repo", models, "--format", "wav", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] == 1
    for name, reference in (("no_vocals", other), ("vocals", vocals)):
        written = soundfile.read(tmp_path / "out" / f"mix.{name}.wav")[0]
        before, after = sdr(reference, other + vocals), sdr(reference, written)
        print(f"{name}: {before:.1f} dB in the mixture, {after:.1f} dB separated")
        assert after > before + 20
