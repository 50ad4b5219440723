"""Augmentation of training clips, and the plain view of evaluation (paper section 3.2; DESIGN section 4).

Every draw comes from a generator keyed by (seed, epoch, clip, view), so that a clip's view does not depend on the
batch, the worker or the rank that happens to make it. Draws are cheap and made on the CPU; the work on pixels and mels
runs on whichever device the tensors are, grouped so that equal operations run once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate
from torchvision.transforms.v2 import functional as F

from dubcli.core.models import ModelSizes


@dataclass(frozen=True, kw_only=True)
class VideoAugmentation:
    """Sizes in pixels of the square crop and of the short side before it; RandAugment's layers and magnitude."""

    crop: int = 224
    short_sides: tuple[int, int] = (256, 320)
    layers: int = 1
    magnitude: int = 9

    def __post_init__(self) -> None:
        if not self.crop <= self.short_sides[0] <= self.short_sides[1]:
            raise ValueError(f"a crop of {self.crop} does not fit short sides of {self.short_sides}")
        if self.layers < 0 or not 0 <= self.magnitude < MAGNITUDE_BINS:
            raise ValueError(f"RandAugment takes 0 layers or more and magnitudes 0 to {MAGNITUDE_BINS - 1}")

    @classmethod
    def of(cls, sizes: ModelSizes) -> VideoAugmentation:
        """The augmentation of a preset."""
        return cls(crop=sizes.crop, short_sides=sizes.short_sides)


@dataclass(frozen=True, kw_only=True)
class MaskAugmentation:
    """SpecAugment's masks: the largest width of each in frames and mel bins, and how often each is applied."""

    time_frames: int = 70
    mel_bins: int = 24
    probability: float = 0.5

    def __post_init__(self) -> None:
        if min(self.time_frames, self.mel_bins) < 0 or not 0 <= self.probability <= 1:
            raise ValueError("mask widths are 0 or more and the probability lies in 0 to 1")


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


def _pick(draw: float, choices: int) -> int:
    """0 ... choices - 1 from a uniform draw."""
    return min(int(draw * choices), choices - 1)


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
    draws = uniform_draws(seed, epoch, clip, "video", 3 + 2 * config.layers)
    low, high = config.short_sides
    new_height, new_width = short_side_size(height, width, low + _pick(draws[0], high - low + 1))
    operations = tuple(
        draw_operation(draws[3 + 2 * layer], draws[4 + 2 * layer], config) for layer in range(config.layers)
    )
    return VideoDraw(
        height=new_height,
        width=new_width,
        top=_pick(draws[1], new_height - config.crop + 1),
        left=_pick(draws[2], new_width - config.crop + 1),
        operations=operations,
    )


MAGNITUDE_BINS = 31
# RandAugment's operations in torchvision's order, with the magnitude at bin 0 and at the last bin and whether its sign
# is drawn. Translations are fractions of the crop, solarize's threshold a fraction of white.
_OPERATIONS: dict[str, tuple[float, float, bool]] = {
    "Identity": (0.0, 0.0, False),
    "ShearX": (0.0, 0.3, True),
    "ShearY": (0.0, 0.3, True),
    "TranslateX": (0.0, 150.0 / 331.0, True),
    "TranslateY": (0.0, 150.0 / 331.0, True),
    "Rotate": (0.0, 30.0, True),
    "Brightness": (0.0, 0.9, True),
    "Color": (0.0, 0.9, True),
    "Contrast": (0.0, 0.9, True),
    "Sharpness": (0.0, 0.9, True),
    "Posterize": (8.0, 4.0, False),
    "Solarize": (1.0, 0.0, False),
    "AutoContrast": (0.0, 0.0, False),
    "Equalize": (0.0, 0.0, False),
}


def draw_operation(draw: float, sign_draw: float, config: VideoAugmentation) -> tuple[str, float]:
    """RandAugment's choice: an operation's name and its signed magnitude."""
    names = list(_OPERATIONS)
    name = names[_pick(draw, len(names))]
    first, last, signed = _OPERATIONS[name]
    magnitude = torch.linspace(first, last, MAGNITUDE_BINS)[config.magnitude].item()  # torchvision's, to the last bit
    if name == "Posterize":
        magnitude = float(round(magnitude))
    return name, -magnitude if signed and sign_draw < 0.5 else magnitude


def _affine(
    images: Tensor, *, shear_x: float = 0.0, shear_y: float = 0.0, shift_x: int = 0, shift_y: int = 0
) -> Tensor:
    # Shears turn about the top left corner, as in the reference implementation of AutoAugment.
    degrees = [math.degrees(math.atan(shear_x)), math.degrees(math.atan(shear_y))]
    center = [0.0, 0.0] if shear_x or shear_y else None
    turned: Tensor = F.affine(images, angle=0.0, translate=[shift_x, shift_y], scale=1.0, shear=degrees, center=center)
    return turned


_GEOMETRY: dict[str, Callable[[Tensor, float], Tensor]] = {
    "ShearX": lambda images, magnitude: _affine(images, shear_x=magnitude),
    "ShearY": lambda images, magnitude: _affine(images, shear_y=magnitude),
    "TranslateX": lambda images, magnitude: _affine(images, shift_x=int(magnitude * images.shape[-1])),
    "TranslateY": lambda images, magnitude: _affine(images, shift_y=int(magnitude * images.shape[-2])),
    "Rotate": lambda images, magnitude: F.rotate(images, angle=magnitude),
}


@lru_cache(maxsize=256)
def _pixel_sources(name: str, magnitude: float, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which pixel of the image each pixel of the moved one shows: its index, and whether it lies outside.

    int64 and bool (height * width) on the device. torchvision moves an image of pixel numbers, once, on the CPU: its
    nearest neighbours are then the same on all devices, and a step on a GPU does not wait for a matrix to get there.
    """
    numbers = torch.arange(1, height * width + 1, dtype=torch.float32).view(1, height, width)  # 0: outside
    moved = _GEOMETRY[name](numbers, magnitude).long().flatten()
    return (moved - 1).clamp_(min=0).to(device), (moved == 0).to(device)


def _move(name: str, images: Tensor, magnitude: float) -> Tensor:
    sources, outside = _pixel_sources(name, magnitude, *images.shape[-2:], images.device)
    return images.flatten(-2)[..., sources].masked_fill_(outside, 0).view(images.shape)


def _sharpen(images: Tensor, factor: float) -> Tensor:
    """torchvision's ``adjust_sharpness``, whose kernel is copied to the device each time."""
    kernel = torch.full((3, 1, 3, 3), 1 / 13, device=images.device)
    kernel[:, :, 1, 1] = 5 / 13
    output = images.float()
    flat = output.view(-1, *images.shape[-3:])
    inside = flat[..., 1:-1, 1:-1]
    inside.add_(conv2d(flat, kernel, groups=3).round_().sub_(inside), alpha=1 - factor)
    return output.clamp_(0, 255).to(torch.uint8)


def _stretch_contrast(images: Tensor) -> Tensor:
    """torchvision's ``autocontrast``, whose boolean indices read back what they select."""
    output = images.float()
    darkest, brightest = output.amin(dim=(-2, -1), keepdim=True), output.amax(dim=(-2, -1), keepdim=True)
    flat = darkest == brightest
    scale = brightest.sub_(darkest).mul_(1 / 255).masked_fill_(flat, 1)
    return output.sub_(darkest.masked_fill_(flat, 0)).div_(scale).clamp_(0, 255).to(torch.uint8)


_APPLY: dict[str, Callable[[Tensor, float], Tensor]] = {
    "Identity": lambda images, magnitude: images,
    **{name: partial(_move, name) for name in _GEOMETRY},
    "Brightness": lambda images, magnitude: F.adjust_brightness(images, 1.0 + magnitude),
    "Color": lambda images, magnitude: F.adjust_saturation(images, 1.0 + magnitude),
    "Contrast": lambda images, magnitude: F.adjust_contrast(images, 1.0 + magnitude),
    "Sharpness": lambda images, magnitude: _sharpen(images, 1.0 + magnitude),
    "Posterize": lambda images, magnitude: F.posterize(images, bits=int(magnitude)),
    "Solarize": lambda images, magnitude: F.solarize(images, threshold=255.0 * magnitude),
    "AutoContrast": lambda images, magnitude: _stretch_contrast(images),
    "Equalize": lambda images, magnitude: F.equalize(images),
}


def apply_operation(images: Tensor, name: str, magnitude: float) -> Tensor:
    """One RandAugment operation on uint8 (..., 3, height, width), each image for itself (Cubuk et al. 2020)."""
    return _APPLY[name](images, magnitude)


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


def draw_masks(seed: int, epoch: int, clips: Sequence[int], view: str) -> Tensor:
    """Uniform draws for ``mask_spectrograms``: float64 (batch, 6). ``view`` is primary or secondary."""
    return torch.tensor([uniform_draws(seed, epoch, clip, view, 6) for clip in clips], dtype=torch.float64)


def mask_spectrograms(mels: Tensor, draws: Tensor, config: MaskAugmentation | None = None) -> Tensor:
    """One time mask and one frequency mask (Park et al. 2019), each applied with probability 0.5, filled with 0.

    mels: normalised (batch, 2, mels, frames), so that 0 is the mean; both channels get the same masks.
    draws: ``draw_masks``. A mask's width is uniform in 0 ... the largest, its start uniform where it fits.
    Returns a new tensor.
    """
    config = config or MaskAugmentation()
    draws = draws.to(mels.device, non_blocking=True)
    in_time = _span(draws[:, :3], mels.shape[3], config.time_frames, config.probability)
    in_frequency = _span(draws[:, 3:], mels.shape[2], config.mel_bins, config.probability)
    masked = in_time[:, None, None, :] | in_frequency[:, None, :, None]
    return mels.masked_fill(masked, 0)


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
