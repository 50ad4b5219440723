"""Networks for small models that learn in minutes on a CPU: ``--video-backbone dubcli.core.plain:PlainPictures`` and
``--audio-backbone dubcli.core.plain:PlainSounds``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dubcli.core.transforms import frames_at_centres


class PlainPictures(nn.Module):
    """Four convolutions over four pictures of a clip: (batch, 3, 16, crop, crop) -> (batch, 1024).

    X3D, which the paper has, is so narrow in the preset ``micro`` that on films of ``dubcli.corpus`` it knows neither
    place nor event nor look after 150 steps of being told them; this one knows most, in half of the time.
    """

    feature_size = 1024
    frames = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(3, 16, 5), *_convolution(16, 32, 3), *_convolution(32, 64, 3, in_time=3),
            *_convolution(64, 128, 3),
        )  # fmt: skip
        self.last = nn.Linear(2 * 128, self.feature_size)

    def forward(self, pictures: Tensor) -> Tensor:
        """What is seen on average, and what is seen at all: an event is short."""
        if pictures.shape[2] > self.frames:
            pictures = pictures[:, :, frames_at_centres(self.frames, pictures.shape[2])]
        maps = self.layers(pictures).mean(dim=(3, 4))
        features: Tensor = self.last(torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1))
        return features


class PlainSounds(nn.Module):
    """Four convolutions over a clip's mels: (batch, 2, 96, frames) -> (batch, 1024).

    The paper's ResNet50, as narrow as the preset ``micro`` has it, spends its time on many small layers. This one
    learns the labels of ``dubcli.corpus`` in a third of its steps, of which each takes half as long in bf16.
    """

    feature_size = 1024

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution_2d(2, width, 5, stride=(2, 4)), *_convolution_2d(width, 2 * width, 3),
            *_convolution_2d(2 * width, 4 * width, 3), *_convolution_2d(4 * width, 8 * width, 3),
        )  # fmt: skip
        self.last = nn.Linear(2 * 8 * width, self.feature_size)

    def forward(self, mels: Tensor) -> Tensor:
        """What is heard on average, and what is heard at all."""
        maps = self.layers(mels.contiguous(memory_format=torch.channels_last))
        features: Tensor = self.last(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))
        return features


def _convolution(channels: int, out: int, kernel: int, in_time: int = 1) -> list[nn.Module]:
    size, padding = (in_time, kernel, kernel), (in_time // 2, kernel // 2, kernel // 2)
    convolution = nn.Conv3d(channels, out, size, stride=(1, 2, 2), padding=padding, bias=False)
    return [convolution, nn.BatchNorm3d(out), nn.ReLU(inplace=True)]


def _convolution_2d(channels: int, out: int, kernel: int, stride: tuple[int, int] = (2, 2)) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
