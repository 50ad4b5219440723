"""Stereo downmix and log-mel spectrograms of tensors (paper section 3.2; DESIGN section 3).

Both follow published definitions: ATSC A/52 section 7.8.2 for the downmix, torchaudio's MelSpectrogram (HTK scale, no
norm) for the mels. Their numbers are those of ``core.channels`` and ``core.mels``, which do the same on arrays.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from dubcli.core.channels import LayoutError as LayoutError
from dubcli.core.channels import channel_names as channel_names
from dubcli.core.channels import downmix_weights, passes_unchanged, require_channels
from dubcli.core.mels import HOP, LOG_FLOOR, N_FFT, N_MELS, mel_filters, mel_frames
from dubcli.core.mels import SAMPLE_RATE as SAMPLE_RATE
from dubcli.core.precision import full_precision

# Frames transformed at once: what stays near a processor's caches; on an accelerator, what keeps it busy.
_BLOCK_CPU = 512
_BLOCK_ACCELERATOR = 2**16


def downmix(waveform: Tensor, layout: str) -> Tensor:
    """Bring a waveform to stereo by channel name, with the weights of ``downmix_weights`` (ATSC A/52 7.8.2).

    Args:
        waveform: floating point (..., channels, samples), channels in the layout's order.
        layout: as ``channel_names``: ffmpeg's names, such as ``5.1(side)``.

    Returns:
        (..., 2, samples) of the same type; stereo comes back as it is.

    Raises:
        LayoutError: an unknown layout, or another number of channels.
        TypeError: integers.

    >>> import torch
    >>> downmix(torch.ones(1, 48000), "mono").shape
    torch.Size([2, 48000])
    """
    if not waveform.is_floating_point():
        raise TypeError(f"downmix wants floating point samples, not {waveform.dtype}")
    weights = downmix_weights(layout)
    require_channels(layout, weights.shape[1], tuple(waveform.shape))
    if passes_unchanged(weights):
        return waveform
    with full_precision(waveform.device):
        return torch.from_numpy(weights).to(waveform) @ waveform


@lru_cache(maxsize=16)
def _window_and_filters(sample_rate: int, device: torch.device) -> tuple[Tensor, Tensor]:
    # The transform runs in float64: in float32 the far side lobes of a loud tone are off by up to 2e-3 in ln. Power
    # is positive, so float32 is enough for the sums over it. Apple's GPUs have no float64.
    dtype = torch.float32 if device.type == "mps" else torch.float64
    window = torch.hann_window(N_FFT, periodic=True, dtype=dtype, device=device)
    return window, torch.from_numpy(mel_filters(sample_rate)).float().to(device)


def log_mel(waveform: Tensor, sample_rate: int) -> Tensor:
    """ln(mel + 1e-6) of the power spectrogram: 1024-point periodic Hann window, hop 512, 96 HTK mels, no padding.

    Equal to torchaudio's MelSpectrogram(sample_rate, 1024, hop_length=512, n_mels=96, power=2, center=False).

    Args:
        waveform: floating point (..., samples), at least 1024 samples; full scale is 1.
        sample_rate: in Hz.

    Returns:
        float32 (..., 96, frames) with ``mel_frames`` frames.

    Raises:
        ValueError: shorter input.

    >>> import torch
    >>> log_mel(torch.zeros(2, 3 * 48000), 48000).shape
    torch.Size([2, 96, 280])
    """
    samples = waveform.shape[-1]
    frames = mel_frames(sample_rate, samples)
    if frames < 1:
        raise ValueError(f"{samples} samples are less than one window of {N_FFT}")
    window, filters = _window_and_filters(sample_rate, waveform.device)
    rows = waveform.reshape(math.prod(waveform.shape[:-1]), samples)
    result = torch.empty(rows.shape[0], frames, N_MELS, dtype=torch.float32, device=waveform.device)
    frames_per_block = _BLOCK_CPU if waveform.device.type == "cpu" else _BLOCK_ACCELERATOR
    rows_per_block = max(1, frames_per_block // frames)
    with full_precision(waveform.device):
        for row in range(0, rows.shape[0], rows_per_block):
            windows = rows[row : row + rows_per_block].to(window.dtype).unfold(-1, N_FFT, HOP)
            for frame in range(0, frames, frames_per_block):
                spectrum = torch.fft.rfft(windows[:, frame : frame + frames_per_block] * window)
                real, imaginary = torch.view_as_real(spectrum).unbind(-1)
                power = (real * real).addcmul_(imaginary, imaginary).float()
                block = (power @ filters).add_(LOG_FLOOR).log_()
                result[row : row + rows_per_block, frame : frame + frames_per_block] = block
    return result.transpose(1, 2).reshape(*waveform.shape[:-1], N_MELS, frames)
