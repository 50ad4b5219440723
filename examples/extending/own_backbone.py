"""An audio and a video backbone of one's own, 512 and 96 wide.

    dubav pretrain --audio-backbone own_backbone:MelNet --audio-backbone-options 'width=512, blocks=[64, 128]' ...
    dubav pretrain --video-backbone own_backbone:frame_net ...

Run it in this folder, or install the module. The checkpoint keeps the names and the options, so that embed, probe,
export, report and the HEAR API find the same code again; of the code itself they keep nothing.
"""

from collections.abc import Sequence

from torch import Tensor, nn


class MelNet(nn.Module):
    """(batch, 2, mels, frames) normalised log-mels -> (batch, width)."""

    def __init__(self, width: int = 512, blocks: Sequence[int] = (32, 64, 128), dropout: float = 0.0) -> None:
        super().__init__()
        self.feature_size = width  # every backbone says it
        layers: list[nn.Module] = []
        for before, after in zip((2, *blocks), blocks, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(blocks[-1], width))

    def forward(self, mels: Tensor) -> Tensor:
        """Any number of frames: 280 at 48 kHz, 257 at 44.1 kHz, fewer of sounds shorter than 3 seconds."""
        return self.out(self.layers(mels).mean(dim=(2, 3)))


class FrameNet(nn.Module):
    """(batch, 3, frames, height, width) normalised pixels -> (batch, features): frames one by one, averaged."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.feature_size = features
        self.frame = nn.Sequential(
            nn.Conv2d(3, 32, 7, stride=4, padding=3, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, features, 3, stride=2, padding=1),
            nn.AdaptiveAvgPool2d(1),
        )

    def forward(self, clips: Tensor) -> Tensor:
        """Sizes may be asked for: what torch.fx cannot trace runs as it is."""
        batch, _, frames, *_ = clips.shape
        maps = self.frame(clips.transpose(1, 2).flatten(0, 1))
        return maps.reshape(batch, frames, -1).mean(dim=1)


def frame_net(features: int = 96) -> nn.Module:
    """A function that makes the module will do as well."""
    return FrameNet(features)
