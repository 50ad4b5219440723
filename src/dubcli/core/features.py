"""Stereo downmix and log-mel spectrograms (paper section 3.2; DESIGN section 3).

Both follow published definitions: ATSC A/52 section 7.8.2 for the downmix, torchaudio's MelSpectrogram (HTK scale, no
norm) for the mels.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

import torch
from torch import Tensor

from dubcli.core.precision import full_precision
from dubcli.errors import UserError

SAMPLE_RATE = 48000
N_FFT = 1024
HOP = 512
N_MELS = 96
LOG_FLOOR = 1e-6
# Frames transformed at once: what stays near a processor's caches; on an accelerator, what keeps it busy.
_BLOCK_CPU = 512
_BLOCK_ACCELERATOR = 2**16

_SIDE = 1 / math.sqrt(2)
# Weight of a channel by name in (left, right), before the common factor g. Names not listed: see _channel_weights.
_WEIGHTS = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "BIL": (1.0, 0.0),
    "BIR": (0.0, 1.0),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "FC": (_SIDE, _SIDE),
    "BC": (0.5, 0.5),
    "TC": (0.5, 0.5),
    "TFC": (0.5, 0.5),
    "TBC": (0.5, 0.5),
    "BFC": (0.5, 0.5),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}
_LEFT_NAMES = ("BL", "SL", "WL", "SDL", "TFL", "TBL", "TSL", "BFL", "SSL", "TTL")

# FFmpeg's layouts (libavutil/channel_layout.c): the channels in the order in which they are stored.
_LAYOUTS = {
    "mono": "FC",
    "stereo": "FL+FR",
    "downmix": "DL+DR",
    "binaural": "BIL+BIR",
    "2.1": "FL+FR+LFE",
    "3.0": "FL+FR+FC",
    "3.0(back)": "FL+FR+BC",
    "3.1": "FL+FR+FC+LFE",
    "4.0": "FL+FR+FC+BC",
    "quad": "FL+FR+BL+BR",
    "quad(side)": "FL+FR+SL+SR",
    "4.1": "FL+FR+FC+LFE+BC",
    "5.0": "FL+FR+FC+BL+BR",
    "5.0(side)": "FL+FR+FC+SL+SR",
    "5.1": "FL+FR+FC+LFE+BL+BR",
    "5.1(side)": "FL+FR+FC+LFE+SL+SR",
    "3.1.2": "FL+FR+FC+LFE+TFL+TFR",
    "6.0": "FL+FR+FC+BC+SL+SR",
    "6.0(front)": "FL+FR+FLC+FRC+SL+SR",
    "hexagonal": "FL+FR+FC+BL+BR+BC",
    "6.1": "FL+FR+FC+LFE+BC+SL+SR",
    "6.1(back)": "FL+FR+FC+LFE+BL+BR+BC",
    "6.1(front)": "FL+FR+LFE+FLC+FRC+SL+SR",
    "7.0": "FL+FR+FC+BL+BR+SL+SR",
    "7.0(front)": "FL+FR+FC+FLC+FRC+SL+SR",
    "7.1": "FL+FR+FC+LFE+BL+BR+SL+SR",
    "7.1(wide)": "FL+FR+FC+LFE+BL+BR+FLC+FRC",
    "7.1(wide-side)": "FL+FR+FC+LFE+FLC+FRC+SL+SR",
    "5.1.2": "FL+FR+FC+LFE+SL+SR+TFL+TFR",
    "5.1.2(back)": "FL+FR+FC+LFE+BL+BR+TFL+TFR",
    "octagonal": "FL+FR+FC+BL+BR+BC+SL+SR",
    "cube": "FL+FR+BL+BR+TFL+TFR+TBL+TBR",
    "5.1.4": "FL+FR+FC+LFE+SL+SR+TFL+TFR+TBL+TBR",
    "7.1.2": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR",
    "7.1.4": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR",
    "7.2.3": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBC+LFE2",
    "9.1.4": "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR",
    "9.1.6": "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR+TSL+TSR",
    "hexadecagonal": "FL+FR+FC+BL+BR+BC+SL+SR+TFL+TFC+TFR+TBL+TBC+TBR+WL+WR",
    "22.2": "FL+FR+FC+LFE+BL+BR+FLC+FRC+BC+SL+SR+TC+TFL+TFC+TFR+TBL+TBC+TBR+LFE2+TSL+TSR+BFC+BFL+BFR",
}
# What FFmpeg (and WAVE without a channel mask) takes a bare number of channels for.
_BY_COUNT = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class LayoutError(UserError, ValueError):
    """A channel layout that we cannot place."""


def channel_names(layout: str) -> tuple[str, ...]:
    """Channels of a layout in stored order.

    layout: FFmpeg's name (``"5.1(side)"``), a list (``"FL+FR+FC"``, also as ``"3 channels (FL+FR+FC)"``) or a bare
    number (``"6 channels"``: FFmpeg's default layout of that many). Raises LayoutError when it is none of these.
    """
    text = layout.strip()
    bare = re.fullmatch(r"(\d+) channels", text)
    if bare is not None:
        text = _BY_COUNT.get(int(bare[1]), text)
    listed = re.fullmatch(r"\d+ channels \((.+)\)", text)
    names = tuple(_LAYOUTS.get(text, listed[1] if listed else text).split("+"))
    if any(_channel_weights(name) is None for name in names):
        known = "FFmpeg's names such as stereo, 5.1(side), 7.1, or a list such as FL+FR+FC"
        raise LayoutError(f"unknown channel layout {layout!r}; known are {known}")
    return names


def _channel_weights(name: str) -> tuple[float, float] | None:
    if name in _WEIGHTS:
        return _WEIGHTS[name]
    if name in _LEFT_NAMES:
        return (_SIDE, 0.0)
    if name.replace("R", "L") in _LEFT_NAMES:
        return (0.0, _SIDE)
    return None


def downmix_matrix(layout: str) -> Tensor:
    """The (2, channels) float64 matrix that brings a layout to stereo, g included (ATSC A/52 7.8.2; DESIGN section 3).

    Front left and right (and left, right of centre) count 1, the centre, side, back, wide and top channels 1/sqrt(2)
    on their side, a back or top centre 1/2 on each side, LFE nothing. g = 1 / the largest row sum, so that nothing
    can clip; stereo thereby passes unchanged and mono is duplicated. A single channel of any name is mono.
    Raises LayoutError for an unknown layout, or one with nothing but LFE.
    """
    names = channel_names(layout)
    if len(names) == 1 and not names[0].startswith("LFE"):
        return torch.ones(2, 1, dtype=torch.float64)
    matrix = torch.tensor([_channel_weights(name) for name in names], dtype=torch.float64).T.contiguous()
    largest = matrix.sum(dim=1).max()
    if largest == 0:
        raise LayoutError(f"channel layout {layout!r} has nothing but low-frequency effects")
    return matrix / largest


def downmix_gain(layout: str) -> float:
    """g of a layout: 1 for mono and stereo, 1/(1 + sqrt(2)) for 5.1. Raises LayoutError as ``downmix_matrix``."""
    return float(downmix_matrix(layout).max())


def downmix(waveform: Tensor, layout: str) -> Tensor:
    """Bring a waveform to stereo by channel name, with the weights of ``downmix_matrix`` (ATSC A/52 7.8.2).

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
    matrix = downmix_matrix(layout)
    if waveform.dim() < 2 or waveform.shape[-2] != matrix.shape[1]:
        raise LayoutError(f"layout {layout!r} has {matrix.shape[1]} channels, the waveform is {tuple(waveform.shape)}")
    if torch.equal(matrix, torch.eye(2, dtype=torch.float64)):
        return waveform
    with full_precision(waveform.device):
        return matrix.to(waveform) @ waveform


def mel_frames(sample_rate: int, samples: int) -> int:
    """Frames that ``log_mel`` makes of so many samples: 280 of 144000, 257 of 132300 (whatever the sample rate)."""
    if sample_rate <= 0:
        raise ValueError(f"sample_rate {sample_rate} Hz")
    return max(0, 1 + (samples - N_FFT) // HOP)


def mel_filterbank(sample_rate: int) -> Tensor:
    """Triangular filters on the HTK mel scale from 0 Hz to Nyquist, (513, 96) float64, peak 1.

    The definition of torchaudio.functional.melscale_fbanks(norm=None, mel_scale="htk"): mel = 2595 log10(1 + f / 700).
    """
    nyquist = sample_rate // 2
    frequencies = torch.linspace(0, nyquist, N_FFT // 2 + 1, dtype=torch.float64)
    highest_mel = 2595.0 * math.log10(1.0 + nyquist / 700.0)
    mels = torch.linspace(0, highest_mel, N_MELS + 2, dtype=torch.float64)
    corners = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    rising = (frequencies[:, None] - corners[None, :-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[None, 2:] - frequencies[:, None]) / (corners[2:] - corners[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


@lru_cache(maxsize=16)
def _window_and_filters(sample_rate: int, device: torch.device) -> tuple[Tensor, Tensor]:
    # The transform runs in float64: in float32 the far side lobes of a loud tone are off by up to 2e-3 in ln. Power
    # is positive, so float32 is enough for the sums over it. Apple's GPUs have no float64.
    dtype = torch.float32 if device.type == "mps" else torch.float64
    window = torch.hann_window(N_FFT, periodic=True, dtype=dtype, device=device)
    return window, mel_filterbank(sample_rate).to(device, torch.float32)


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
