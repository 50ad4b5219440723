"""RandAugment's second form against pytorchvideo's own code."""

import importlib
import sys

import numpy as np
import pytest
import torch
from torchvision.transforms import _functional_tensor, v2

from dubcli.core.randaugment import _STRONG, apply_operation, draw_strong
from dubcli.core.transforms import VideoAugmentation, draw_video

THEIRS = {
    "Brightness": "AdjustBrightness",
    "Contrast": "AdjustContrast",
    "Color": "AdjustSaturation",
    "Sharpness": "AdjustSharpness",
}


@pytest.fixture(scope="module")
def pytorchvideo():
    """Its module, which asks torchvision for a name that has an underscore now."""
    name = "torchvision.transforms.functional_tensor"
    sys.modules.setdefault(name, _functional_tensor)
    yield importlib.import_module("pytorchvideo.transforms.augmentations")
    sys.modules.pop(name, None)


def clip(height, width):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (2, 3, 12, 14), generator=generator, dtype=torch.uint8)
    return v2.functional.resize(coarse, [height, width], antialias=True)


@pytest.mark.parametrize("place", range(14))
@pytest.mark.parametrize("sign", [0.25, 0.75])
def test_each_operation_is_pytorchvideos(pytorchvideo, place, sign, monkeypatch):
    name = list(_STRONG)[place]
    images = clip(112, 96)
    ours = draw_strong([(place + 0.5) / 14, 0.0, sign, 0.0, 0.0], 9)  # no noise: the level is 9 of 10
    assert ours[0] == name
    plain = name.removesuffix(" smooth")
    transform = pytorchvideo.AugmentTransform(THEIRS.get(plain, plain), 9, prob=1.0)
    monkeypatch.setattr(transform, "_get_magnitude", lambda: 9)
    monkeypatch.setattr(pytorchvideo, "_randomly_negate", lambda value: -value if sign < 0.5 else value)
    expected = transform(images / 255) * 255
    result = apply_operation(images, *ours).float()
    if plain in ("Solarize", "Posterize"):  # a level's rounding decides there which side of a step a pixel is on
        assert ((result - expected).abs() < 2).float().mean() > 0.999
    else:
        assert (result - expected).abs().max() < 2  # of bytes, torchvision's grey is cut to a whole number
    assert not torch.equal(result, images.float())


def test_draws_have_pytorchvideos_distribution():
    """Each of the 14 in half of 7 %, none in half; rotation by 27 degrees with noise of 1.5, at most 30."""
    random = np.random.default_rng(0)
    found = [draw_strong(row, 9) for row in random.random((20000, 5))]
    names = [name for name, _ in found]
    assert abs(names.count("Identity") / 20000 - 0.5) < 0.015
    for name in _STRONG:
        assert abs(names.count(name) / 20000 - 1 / 28) < 0.006
    degrees = np.array([magnitude for name, magnitude in found if name == "Rotate smooth"])
    assert abs(np.abs(degrees).mean() - 27) < 0.2
    assert np.abs(degrees).max() <= 30
    assert abs(np.std(np.abs(degrees)) - 1.45) < 0.15
    assert abs((degrees > 0).mean() - 0.5) < 0.06


def test_the_form_is_the_augmentations_and_levels_have_its_scale():
    strong = VideoAugmentation(form="pytorchvideo")
    kinds = {draw_video(0, 0, clip, 180, 320, strong).operations[0][0] for clip in range(300)}
    assert {"Identity", "Invert", "Rotate smooth"} <= kinds
    usual, other = (draw_video(0, 0, 5, 180, 320, form) for form in (None, strong))
    assert (usual.height, usual.top, usual.left) == (other.height, other.top, other.left)
    with pytest.raises(ValueError, match="of pytorchvideo, magnitudes 0 to 10"):
        VideoAugmentation(form="pytorchvideo", magnitude=11)


def test_a_posterize_of_no_bits_is_black():
    assert not apply_operation(clip(32, 32), "Posterize", 0.0).any()
