"""Log-mel spectrograms (paper section 3.2; DESIGN section 3), on arrays: torchaudio's MelSpectrogram (HTK, no norm).

``core.features`` has the same on tensors, for whole batches and GPUs. No torch here: prep, which reads films, would
wait for it, and each of its workers would hold it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 48000
N_FFT = 1024
HOP = 512
N_MELS = 96
LOG_FLOOR = 1e-6
_FRAMES_AT_ONCE = 128  # what stays in a core's cache

Float = npt.NDArray[np.float32]


def mel_frames(sample_rate: int, samples: int) -> int:
    """Frames that ``log_mel_array`` makes of so many samples: 280 of 144000, 257 of 132300, at any sample rate."""
    if sample_rate <= 0:
        raise ValueError(f"sample_rate {sample_rate} Hz")
    return max(0, 1 + (samples - N_FFT) // HOP)


def mel_filters(sample_rate: int) -> npt.NDArray[np.float64]:
    """Triangular filters on the HTK mel scale from 0 Hz to Nyquist, (513, 96), peak 1.

    The definition of torchaudio.functional.melscale_fbanks(norm=None, mel_scale="htk"): mel = 2595 log10(1 + f / 700).
    """
    nyquist = sample_rate // 2
    frequencies = np.linspace(0, nyquist, N_FFT // 2 + 1)
    mels = np.linspace(0, 2595.0 * math.log10(1.0 + nyquist / 700.0), N_MELS + 2)
    corners = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    rising = (frequencies[:, None] - corners[None, :-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[None, 2:] - frequencies[:, None]) / (corners[2:] - corners[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


@lru_cache(maxsize=4)
def _window_and_filters(sample_rate: int) -> tuple[npt.NDArray[np.float64], Float]:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    return window, mel_filters(sample_rate).astype(np.float32)


def log_mel_array(sound: Float, sample_rate: int) -> Float:
    """(..., samples) of full scale 1 to (..., 96, frames), as ``core.features.log_mel``, but for the last bit.

    The transform runs in float64, the sums over power in float32. Raises ValueError of less than 1024 samples.
    """
    rows = sound.reshape(-1, sound.shape[-1])
    frames = mel_frames(sample_rate, rows.shape[1])
    if frames < 1:
        raise ValueError(f"{rows.shape[1]} samples are less than one window of {N_FFT}")
    window, filters = _window_and_filters(sample_rate)
    result = np.empty((len(rows), frames, N_MELS), np.float32)
    for row, out in zip(rows, result, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(row.astype(np.float64), N_FFT)[::HOP]
        for first in range(0, frames, _FRAMES_AT_ONCE):
            spectrum = np.fft.rfft(windows[first : first + _FRAMES_AT_ONCE] * window)
            power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
            block = np.matmul(power, filters, out=out[first : first + _FRAMES_AT_ONCE])
            block += np.float32(LOG_FLOOR)
            np.log(block, out=block)
    return np.asarray(result.transpose(0, 2, 1).reshape(*sound.shape[:-1], N_MELS, frames))
