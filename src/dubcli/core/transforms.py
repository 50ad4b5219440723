"""Augmentation of training clips, and the plain view of evaluation (paper section 3.2; DESIGN section 4).

Every draw comes from a generator keyed by (seed, epoch, clip, view), so that a clip's view does not depend on the
batch, the worker or the rank that happens to make it. Draws are cheap and made on the CPU; the work on pixels and mels
runs on whichever device the tensors are, grouped so that equal operations run once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.v2 import functional as F

from dubcli.core.models import FRAMES, ModelSizes
from dubcli.core.randaugment import FORMS, apply_operation, pick


@dataclass(frozen=True, kw_only=True)
class VideoAugmentation:
    """Sizes in pixels of the square crop and of the short side before it; RandAugment's layers, magnitude and form."""

    crop: int = 224
    short_sides: tuple[int, int] = (256, 320)
    layers: int = 1
    magnitude: int = 9
    form: str = "torchvision"

    def __post_init__(self) -> None:
        if not self.crop <= self.short_sides[0] <= self.short_sides[1]:
            raise ValueError(f"a crop of {self.crop} does not fit short sides of {self.short_sides}")
        if self.layers < 0 or not 0 <= self.magnitude <= FORMS[self.form].highest:
            highest = FORMS[self.form].highest
            raise ValueError(f"RandAugment takes 0 layers or more and, of {self.form}, magnitudes 0 to {highest}")

    @classmethod
    def of(cls, sizes: ModelSizes) -> VideoAugmentation:
        """The augmentation of a preset."""
        return cls(crop=sizes.crop, short_sides=sizes.short_sides)


@dataclass(frozen=True, kw_only=True)
class MaskAugmentation:
    """SpecAugment's masks: the largest width of each in frames and mel bins, how often each is applied, and how many
    there are along each axis."""

    time_frames: int = 70
    mel_bins: int = 24
    probability: float = 0.5
    count: int = 1

    def __post_init__(self) -> None:
        if min(self.time_frames, self.mel_bins, self.count - 1) < 0 or not 0 <= self.probability <= 1:
            raise ValueError("mask widths are 0 or more, counts 1 or more, and the probability lies in 0 to 1")


@dataclass(frozen=True, kw_only=True)
class VideoDraw:
    """One clip's view: the resized height and width, where the crop starts, and RandAugment's signed operations."""

    height: int
    width: int
    top: int
    left: int
    operations: tuple[tuple[str, float], ...]


def keyed_generator(seed: int, epoch: int, clip: int, view: str) -> torch.Generator:
    """A CPU generator that depends on these four alone. ``view`` is video, primary or secondary."""
    key = hashlib.blake2b(f"{seed} {epoch} {clip} {view}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(key, "little") >> 1)


def uniform_draws(seed: int, epoch: int, clip: int, view: str, count: int) -> list[float]:
    """``count`` numbers in [0, 1) of a clip's view."""
    generator = keyed_generator(seed, epoch, clip, view)
    draws: list[float] = torch.rand(count, generator=generator, dtype=torch.float64).tolist()
    return draws


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) with the short side so long and the aspect kept, the long side rounded down."""
    if height <= width:
        return short_side, max(short_side, width * short_side // height)
    return max(short_side, height * short_side // width), short_side


def draw_video(
    seed: int, epoch: int, clip: int, height: int, width: int, config: VideoAugmentation | None = None
) -> VideoDraw:
    """Draw the view of a clip whose stored frames are height x width pixels."""
    config = config or VideoAugmentation()
    form = FORMS[config.form]
    draws = uniform_draws(seed, epoch, clip, "video", 3 + form.draws * config.layers)
    low, high = config.short_sides
    new_height, new_width = short_side_size(height, width, low + pick(draws[0], high - low + 1))
    starts = range(3, len(draws), form.draws)
    operations = tuple(form.choose(draws[start : start + form.draws], config.magnitude) for start in starts)
    return VideoDraw(
        height=new_height,
        width=new_width,
        top=pick(draws[1], new_height - config.crop + 1),
        left=pick(draws[2], new_width - config.crop + 1),
        operations=operations,
    )


def resize_crop(frames: Tensor, draw: VideoDraw, crop: int) -> Tensor:
    """Resize uint8 (16, 3, height, width) and cut out the drawn square: uint8 (16, 3, crop, crop)."""
    return _to_bytes(_resized_crop(frames, draw, crop))


def resize(frames: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resize with antialiasing of uint8 (frames, 3, ...), as torchvision's default."""
    return _to_bytes(_resized(frames, height, width))


def _resized_crop(frames: Tensor, draw: VideoDraw, crop: int) -> Tensor:
    resized = _resized(frames, draw.height, draw.width)
    return resized[..., draw.top : draw.top + crop, draw.left : draw.left + crop]


def _resized(frames: Tensor, height: int, width: int) -> Tensor:
    """Still float32 where the device has no kernel for bytes: only what is cut out need be rounded."""
    if frames.shape[-2:] == (height, width):
        return frames
    if frames.device.type != "cpu":  # that has a vectorised one
        frames = frames.float()
    return interpolate(frames, size=(height, width), mode="bilinear", antialias=True)


def _to_bytes(images: Tensor) -> Tensor:
    return images if images.dtype == torch.uint8 else images.round().clamp_(0, 255).to(torch.uint8)


def augment_videos(clips: Sequence[Tensor], draws: Sequence[VideoDraw], crop: int) -> Tensor:
    """Random views of a batch of clips, on the clips' device.

    clips: uint8 (16, 3, height, width) each; sizes may differ. draws: ``draw_video`` of each.
    Returns uint8 (batch, 16, 3, crop, crop). Clips with the same operation run through it together. They are gathered
    by stacking: a list of their places would be copied to a device, which the process waits for.
    """
    views = [_resized_crop(clip, draw, crop) for clip, draw in zip(clips, draws, strict=True)]
    if any(view.dtype != torch.uint8 for view in views):
        views = list(_to_bytes(torch.stack([view.float() for view in views])))
    for layer in range(max((len(draw.operations) for draw in draws), default=0)):
        groups: dict[tuple[str, float], list[int]] = {}
        for item, draw in enumerate(draws):
            groups.setdefault(draw.operations[layer], []).append(item)
        for (name, magnitude), items in groups.items():
            if name == "Identity":
                continue
            changed = apply_operation(torch.stack([views[item] for item in items]), name, magnitude)
            for item, view in zip(items, changed, strict=True):
                views[item] = view
    return torch.stack(views)


def eval_video(frames: Tensor, sizes: ModelSizes | None = None) -> Tensor:
    """The view of evaluation: short side to 256, centre crop of 224 (in proportion for smaller presets).

    frames: uint8 (..., 3, height, width). Returns uint8 (..., 3, crop, crop).
    """
    sizes = sizes or ModelSizes()
    height, width = short_side_size(frames.shape[-2], frames.shape[-1], sizes.eval_short_side)
    resized = resize(frames.reshape(-1, *frames.shape[-3:]), height, width)
    cut: Tensor = F.center_crop(resized, [sizes.crop, sizes.crop])
    return cut.reshape(*frames.shape[:-2], sizes.crop, sizes.crop)


def draw_masks(seed: int, epoch: int, clips: Sequence[int], view: str, count: int = 1) -> Tensor:
    """Uniform draws for ``mask_spectrograms``: float64 (batch, 6 * count). ``view`` is primary or secondary."""
    return torch.tensor([uniform_draws(seed, epoch, clip, view, 6 * count) for clip in clips], dtype=torch.float64)


def mask_spectrograms(mels: Tensor, draws: Tensor, config: MaskAugmentation | None = None) -> Tensor:
    """Time masks and frequency masks (Park et al. 2019), one of each, applied with probability 0.5, filled with 0.

    mels: normalised (batch, 2, mels, frames), so that 0 is the mean; both channels get the same masks.
    draws: ``draw_masks``. A mask's width is uniform in 0 ... the largest, its start uniform where it fits.
    Returns a new tensor.
    """
    config = config or MaskAugmentation()
    masked = None
    for own in torch.split(draws.to(mels.device, non_blocking=True), 6, dim=1):
        in_time = _span(own[:, :3], mels.shape[3], config.time_frames, config.probability)
        in_frequency = _span(own[:, 3:], mels.shape[2], config.mel_bins, config.probability)
        either = in_time[:, None, None, :] | in_frequency[:, None, :, None]
        masked = either if masked is None else masked | either
    return mels if masked is None else mels.masked_fill(masked, 0)


def _span(draws: Tensor, size: int, widest: int, probability: float) -> Tensor:
    """(batch, size) booleans, true inside the drawn span. draws: (batch, 3): applied or not, width, start."""
    width = (draws[:, 1] * (min(widest, size) + 1)).long()
    start = (draws[:, 2] * (size - width + 1)).long()
    place = torch.arange(size, device=draws.device)
    inside = (place >= start[:, None]) & (place < (start + width)[:, None])
    return inside & (draws[:, :1] < probability)


def normalise_mels(mels: Tensor, mean: float, std: float) -> Tensor:
    """(x - mean) / std in float32; ``mean`` and ``std`` are two numbers measured on the training mels."""
    return (mels.float() - mean) / std


def frames_at_centres(wanted: int, there: int) -> list[int]:
    """Which of a clip's frames are on screen at the centres of ``wanted`` equal parts of it."""
    return [(2 * part + 1) * there // (2 * wanted) for part in range(wanted)]


def eval_clip(frames: Tensor, sizes: ModelSizes) -> Tensor:
    """uint8 (frames, height, width, 3) RGB -> uint8 (3, 16, crop, crop).

    Of other numbers of frames than 16, those on screen at the centres of 16 equal parts are taken.
    """
    if frames.shape[0] != FRAMES:
        frames = frames[frames_at_centres(FRAMES, frames.shape[0])]
    return eval_video(frames.permute(0, 3, 1, 2), sizes).permute(1, 0, 2, 3).contiguous()
