"""RandAugment (Cubuk et al. 2020) in two forms: the paper names layers and magnitude, not whose scale they are on.

``torchvision``: levels 0 to 30, always applied, nearest neighbours and black outside. ``pytorchvideo``, the library of
both backbones: levels 0 to 10, applied with probability 0.5, the level with noise, bilinear and grey outside. All work
on uint8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample
from torchvision.transforms.v2 import functional as F

from dubcli.core.presets import RANDAUGMENTS


def pick(draw: float, choices: int) -> int:
    """0 ... choices - 1 from a uniform draw."""
    return min(int(draw * choices), choices - 1)


# Operations with their magnitude at level 0 and at the last level, and whether its sign is drawn. Translations are
# fractions of the crop, solarize's threshold a fraction of white.
_Operations = dict[str, tuple[float, float, bool]]


def _drawn(
    operations: _Operations,
    draw: float,
    sign_draw: float,
    at: Callable[[float, float], float],
    whole: Callable[[float], int],
) -> tuple[str, float]:
    """An operation and its signed magnitude, which ``at`` finds between the first level's and the last's.

    ``whole`` makes of posterize's a number of bits.
    """
    name = list(operations)[pick(draw, len(operations))]
    first, last, signed = operations[name]
    magnitude = at(first, last)
    if name == "Posterize":
        magnitude = float(whole(magnitude))
    return name, -magnitude if signed and sign_draw < 0.5 else magnitude


MAGNITUDE_BINS = RANDAUGMENTS["torchvision"] + 1
_OPERATIONS: _Operations = {  # in torchvision's order
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


def draw_operation(draw: float, sign_draw: float, level: int) -> tuple[str, float]:
    """torchvision's choice of level 0 ... 30: an operation's name and its signed magnitude."""

    def at(first: float, last: float) -> float:
        return torch.linspace(first, last, MAGNITUDE_BINS)[level].item()  # torchvision's, to the last bit

    return _drawn(_OPERATIONS, draw, sign_draw, at, round)


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


_STRONG: _Operations = {  # in pytorchvideo's order; its geometry interpolates and fills with grey
    "Brightness": (0.0, 0.9, True),
    "Contrast": (0.0, 0.9, True),
    "Color": (0.0, 0.9, True),
    "Sharpness": (0.0, 0.9, True),
    "AutoContrast": (0.0, 0.0, False),
    "Equalize": (0.0, 0.0, False),
    "Invert": (0.0, 0.0, False),
    "Rotate smooth": (0.0, 30.0, True),
    "Posterize": (4.0, 0.0, False),
    "Solarize": (1.0, 0.0, False),
    "ShearX smooth": (0.0, 0.3, True),
    "ShearY smooth": (0.0, 0.3, True),
    "TranslateX smooth": (0.0, 0.45, True),
    "TranslateY smooth": (0.0, 0.45, True),
}
_STRONG_LEVELS = RANDAUGMENTS["pytorchvideo"]
_STRONG_PROBABILITY = 0.5
_STRONG_NOISE = 0.5
_GREY = 127.5


def draw_strong(draws: Sequence[float], level: int) -> tuple[str, float]:
    """pytorchvideo's choice of level 0 ... 10: an operation, applied with probability 0.5, with a noisy magnitude.

    draws: five numbers in [0, 1): operation, whether it is applied, sign, and two for the level's normal noise.
    """
    if draws[1] >= _STRONG_PROBABILITY:
        return "Identity", 0.0
    normal = math.sqrt(-2 * math.log(1 - draws[3])) * math.cos(2 * math.pi * draws[4])  # Box and Muller 1958
    share = min(max(level + _STRONG_NOISE * normal, 0.0), float(_STRONG_LEVELS)) / _STRONG_LEVELS
    return _drawn(_STRONG, draws[0], draws[2], lambda first, last: first + share * (last - first), math.ceil)


def _turn(degrees: float, height: int, width: int) -> tuple[float, ...]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return cosine, -sine, 0, sine, cosine, 0


_SMOOTH: dict[str, Callable[[float, int, int], tuple[float, ...]]] = {
    # of a magnitude, height and width: the two rows that tell where a pixel, counted from the centre, comes from
    "Rotate": _turn,
    "ShearX": lambda magnitude, height, width: (1, magnitude, height * magnitude / 2, 0, 1, 0),
    "ShearY": lambda magnitude, height, width: (1, 0, 0, magnitude, 1, width * magnitude / 2),
    "TranslateX": lambda magnitude, height, width: (1, 0, magnitude * width, 0, 1, 0),
    "TranslateY": lambda magnitude, height, width: (1, 0, 0, 0, 1, magnitude * height),
}


def _warp(name: str, images: Tensor, magnitude: float) -> Tensor:
    """Bilinear, with grey outside; each pixel as far as it lies inside, as torchvision's tensors are moved."""
    height, width = images.shape[-2:]
    a, b, dx, c, d, dy = _SMOOTH[name](magnitude, height, width)
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = torch.arange(height, device=images.device)[:, None] - (height - 1) / 2
    grid = torch.stack([(a * x + b * y + dx) / (width / 2), (c * x + d * y + dy) / (height / 2)], dim=-1)
    flat = images.reshape(-1, *images.shape[-3:]).float()
    inside = torch.ones_like(flat[:1, :1])
    grid = grid[None]
    moved = grid_sample(flat, grid.expand(len(flat), -1, -1, -1), mode="bilinear", align_corners=False)
    share = grid_sample(inside, grid, mode="bilinear", align_corners=False)
    return (moved * share + (1 - share) * _GREY).round_().clamp_(0, 255).to(torch.uint8).view(images.shape)


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
    "Invert": lambda images, magnitude: F.invert(images),
    **{f"{name} smooth": partial(_warp, name) for name in _SMOOTH},
}


def apply_operation(images: Tensor, name: str, magnitude: float) -> Tensor:
    """One RandAugment operation on uint8 (..., 3, height, width), each image for itself (Cubuk et al. 2020)."""
    return _APPLY[name](images, magnitude)


@dataclass(frozen=True, kw_only=True)
class Form:
    """``draws``: uniform numbers that a layer takes; ``highest``: level; ``choose``: from both an operation."""

    draws: int
    highest: int
    choose: Callable[[Sequence[float], int], tuple[str, float]]


def _draw_plain(draws: Sequence[float], level: int) -> tuple[str, float]:
    return draw_operation(draws[0], draws[1], level)


FORMS = {
    "torchvision": Form(draws=2, highest=MAGNITUDE_BINS - 1, choose=_draw_plain),
    "pytorchvideo": Form(draws=5, highest=_STRONG_LEVELS, choose=draw_strong),
}
