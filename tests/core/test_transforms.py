"""Augmentation: keyed draws, sizes, and RandAugment and SpecAugment against torchvision and plain loops."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from dubcli.core.models import PRESETS
from dubcli.core.randaugment import _OPERATIONS, apply_operation, draw_operation
from dubcli.core.transforms import (
    MaskAugmentation,
    VideoAugmentation,
    VideoDraw,
    augment_videos,
    draw_masks,
    draw_video,
    eval_video,
    keyed_generator,
    mask_spectrograms,
    normalise_mels,
    resize,
    resize_crop,
    short_side_size,
    uniform_draws,
)


def clip(height=180, width=320, seed=0, frames=2):
    """Smooth random frames: a resize's rounding shows as one level, not as noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (frames, 3, 12, 20), generator=generator, dtype=torch.uint8)
    return v2.functional.resize(coarse, [height, width], antialias=True)


def test_draws_depend_on_the_key_alone():
    torch.manual_seed(1)
    base = uniform_draws(3, 1, 77, "primary", 6)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert uniform_draws(3, 1, 77, "primary", 6) == base
    assert torch.equal(torch.get_rng_state(), state)
    others = [(4, 1, 77, "primary"), (3, 2, 77, "primary"), (3, 1, 78, "primary"), (3, 1, 77, "secondary")]
    others += [(31, 77, 7, "primary"), (3, 17, 7, "primary")]
    assert len({tuple(uniform_draws(*key, 6)) for key in others} | {tuple(base)}) == len(others) + 1
    assert keyed_generator(0, 0, 0, "video").initial_seed() == 1064802577043313380


def test_draws_are_uniform():
    draws = np.array([uniform_draws(0, epoch, n, "video", 3) for epoch in range(4) for n in range(1000)])
    for column in draws.T:
        counts = np.histogram(column, bins=10, range=(0, 1))[0]
        assert ((counts - 400) ** 2 / 400).sum() < 33  # chi-squared, 9 degrees of freedom: p = 1e-4
    assert abs(np.corrcoef(draws.T)[np.triu_indices(3, 1)]).max() < 0.08


@pytest.mark.parametrize(("height", "width"), [(180, 320), (320, 180), (180, 180), (180, 432)])
@pytest.mark.parametrize("preset", ["paper", "tiny"])
def test_video_draws_cover_their_ranges(height, width, preset):
    config = VideoAugmentation.of(PRESETS[preset])
    draws = [draw_video(0, 0, n, height, width, config) for n in range(3000)]
    short = [min(draw.height, draw.width) for draw in draws]
    assert (min(short), max(short)) == config.short_sides == ((256, 320) if preset == "paper" else (128, 160))
    for draw in draws:
        assert abs(draw.height / draw.width - height / width) < 0.01
        assert 0 <= draw.top <= draw.height - config.crop
        assert 0 <= draw.left <= draw.width - config.crop
    # The crop reaches all four borders.
    assert min(draw.top for draw in draws) == min(draw.left for draw in draws) == 0
    assert any(draw.top + config.crop == draw.height for draw in draws)
    assert any(draw.left + config.crop == draw.width for draw in draws)
    names = dict.fromkeys(_OPERATIONS, 0)
    for draw in draws:
        ((name, magnitude),) = draw.operations
        names[name] += magnitude >= 0
    expected = {name: 3000 / 14 / (2 if signed else 1) for name, (_, _, signed) in _OPERATIONS.items()}
    assert all(0.6 * expected[name] < count < 1.4 * expected[name] for name, count in names.items())


def test_operations_are_torchvisions():
    """Table, magnitudes and pixels of each operation, both signs, against torchvision's RandAugment."""
    reference = v2.RandAugment(num_ops=1, magnitude=9)
    assert list(_OPERATIONS) == list(reference._AUGMENTATION_SPACE)
    images = clip(112, 112, frames=3)
    for index, (name, (magnitudes, signed)) in enumerate(reference._AUGMENTATION_SPACE.items()):
        values = magnitudes(31, 112, 112)
        magnitude = 0.0 if values is None else float(values[9])
        assert signed == _OPERATIONS[name][2]
        for sign in (1, -1) if signed else (1,):
            ours = draw_operation((index + 0.5) / 14, 0.25 if sign < 0 else 0.75, 9)
            assert ours[0] == name
            expected = reference._apply_image_or_video_transform(
                images, name, sign * magnitude, interpolation=reference.interpolation, fill=reference._fill
            )
            result = apply_operation(images, *ours)
            assert torch.equal(result, expected), (name, sign)
            assert name == "Identity" or not torch.equal(result, images), name


@pytest.mark.parametrize("name", list(_OPERATIONS))
def test_each_image_of_a_batch_is_treated_for_itself(name):
    batch = torch.stack([clip(64, 64, seed=seed) for seed in range(3)])
    batch[1] //= 3  # so that per-image statistics differ
    index = list(_OPERATIONS).index(name)
    operation = draw_operation((index + 0.5) / 14, 0.9, 20)
    together = apply_operation(batch, *operation)
    for item in range(3):
        for frame in range(2):
            assert torch.equal(together[item, frame], apply_operation(batch[item, frame], *operation))


def test_a_batch_is_its_clips_one_by_one():
    """In a loader's worker or grouped on a device: the same views, whoever else is in the batch."""
    clips = [clip(seed=n) if n % 3 else clip(240, 180, seed=n) for n in range(20)]
    draws = [draw_video(0, 0, n, *frames.shape[-2:], VideoAugmentation(layers=2)) for n, frames in enumerate(clips)]
    batch = augment_videos(clips, draws, 224)
    assert batch.shape == (20, 2, 3, 224, 224)
    assert batch.dtype == torch.uint8
    for n in range(20):
        assert torch.equal(augment_videos(clips[n : n + 1], draws[n : n + 1], 224)[0], batch[n])
        expected = resize_crop(clips[n], draws[n], 224)
        for operation in draws[n].operations:
            expected = apply_operation(expected, *operation)
        assert torch.equal(batch[n], expected)


def test_no_operations():
    frames = clip()
    draw = draw_video(0, 0, 0, 180, 320, VideoAugmentation(layers=0))
    assert draw.operations == ()
    assert torch.equal(augment_videos([frames], [draw], 224)[0], resize_crop(frames, draw, 224))


def test_resize_and_crop_are_torchvisions():
    frames = clip()
    draw = VideoDraw(height=288, width=512, top=13, left=101, operations=())
    expected = v2.functional.resize(frames, [288, 512], antialias=True)[..., 13:237, 101:325]
    assert (resize_crop(frames, draw, 224).int() - expected.int()).abs().max() <= 1
    # The path of accelerators (in float) agrees within a level with that of processors.
    floating = torch.nn.functional.interpolate(frames.float(), (150, 266), mode="bilinear", antialias=True).round()
    assert (resize(frames, 150, 266).int() - floating.int()).abs().max() <= 1
    assert resize(frames, 180, 320) is frames


def test_eval_view_is_the_centre():
    assert short_side_size(180, 320, 256) == (256, 455)
    assert short_side_size(320, 180, 256) == (455, 256)
    frames = clip().unsqueeze(0).expand(2, -1, -1, -1, -1)
    for preset, side in (("paper", 256), ("tiny", 128)):
        view = eval_video(frames, PRESETS[preset])
        crop = PRESETS[preset].crop
        assert view.shape == (2, 2, 3, crop, crop)
        long_side = side * 320 // 180
        whole = v2.functional.resize(frames[0], [side, long_side], antialias=True)
        expected = v2.functional.center_crop(whole, [crop, crop])
        assert (view[1].int() - expected.int()).abs().max() <= 1


def test_masks_against_a_plain_loop():
    mels = torch.randn(40, 2, 96, 280, generator=torch.Generator().manual_seed(0))
    untouched = mels.clone()
    draws = draw_masks(0, 0, range(40), "primary")
    masked = mask_spectrograms(mels, draws)
    assert torch.equal(mels, untouched)
    for item in range(40):
        expected = mels[item].clone()
        use_time, time_width, time_start, use_mel, mel_width, mel_start = draws[item].tolist()
        if use_time < 0.5:
            width = int(time_width * 71)
            start = int(time_start * (280 - width + 1))
            expected[:, :, start : start + width] = 0
        if use_mel < 0.5:
            width = int(mel_width * 25)
            start = int(mel_start * (96 - width + 1))
            expected[:, start : start + width, :] = 0
        assert torch.equal(masked[item], expected)


def test_masks_have_the_promised_widths_and_rates():
    ones = torch.ones(4000, 2, 96, 280)
    masked = mask_spectrograms(ones, draw_masks(1, 0, range(4000), "secondary")) == 0
    assert torch.equal(masked[:, 0], masked[:, 1])
    time_widths = masked[:, 0].all(dim=1).sum(dim=1)
    mel_widths = masked[:, 0].all(dim=2).sum(dim=1)
    assert (time_widths.max(), mel_widths.max()) == (70, 24)
    assert abs((time_widths > 0).float().mean().item() - 0.5 * 70 / 71) < 0.03
    assert abs((mel_widths > 0).float().mean().item() - 0.5 * 24 / 25) < 0.03
    assert masked[:, 0].all(dim=1).any(dim=0).all()  # every frame is masked at times, the last one too
    assert masked[:, 0].all(dim=2).any(dim=0).all()
    other = mask_spectrograms(ones[:100], draw_masks(1, 0, range(100), "primary")) == 0
    assert not torch.equal(other, masked[:100])


def test_masks_of_short_spectrograms_and_other_settings():
    ones = torch.ones(200, 2, 10, 30)
    draws = draw_masks(0, 0, range(200), "primary")
    always = mask_spectrograms(ones, draws, MaskAugmentation(time_frames=70, mel_bins=0, probability=1.0)) == 0
    assert always[:, 0, 0].sum(dim=1).max() == 30
    assert torch.equal(mask_spectrograms(ones, draws, MaskAugmentation(probability=0.0)), ones)
    with pytest.raises(ValueError):
        MaskAugmentation(probability=2.0)
    with pytest.raises(ValueError):
        VideoAugmentation(crop=300)
    with pytest.raises(ValueError):
        VideoAugmentation(magnitude=31)


def test_normalise_mels():
    mels = torch.tensor([[-13.8, 0.0]], dtype=torch.float16)
    result = normalise_mels(mels, -6.0, 5.0)
    assert result.dtype == torch.float32
    assert torch.allclose(result, torch.tensor([[-1.56, 1.2]]), atol=2e-3)


def test_several_masks_are_the_union_of_single_ones():
    ones = torch.ones(50, 2, 96, 280)
    draws = draw_masks(0, 0, range(50), "primary", count=2)
    assert torch.equal(draws[:, :6], draw_masks(0, 0, range(50), "primary"))
    masked = mask_spectrograms(ones, draws, MaskAugmentation(count=2)) == 0
    single = [mask_spectrograms(ones, part) == 0 for part in (draws[:, :6], draws[:, 6:])]
    assert torch.equal(masked, single[0] | single[1])
    assert masked.float().mean() > 1.5 * single[0].float().mean()
