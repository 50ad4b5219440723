"""Streaming separation against demucs on the whole track."""

import pytest
import torch
from demucs.apply import BagOfModels, apply_model
from demucs.demucs import Demucs
from demucs.htdemucs import HTDemucs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dubcli.separate.bags import as_bag
from dubcli.separate.segments import plan_segments, triangle
from dubcli.separate.stream import Execution, PrecisionCheck, Statistics, measure, separate_blocks
from helpers.separation import SOURCES, small_hdemucs

RATE = 44100
SEGMENT = 0.6
SIZE = int(RATE * SEGMENT)
STRIDE = int(0.75 * SIZE)
UNCHANGED = {"mean": 0.0, "std": 1.0}
LENGTHS = {
    "far below one segment": 1000,
    "below one segment": SIZE - 1,
    "one segment": SIZE,
    "one segment and one": SIZE + 1,
    "one stride": STRIDE,
    "one stride and one": STRIDE + 1,
    "two strides": 2 * STRIDE,
    "two strides and one": 2 * STRIDE + 1,
    "two strides and five": 2 * STRIDE + 5,
    "a short last segment": 3 * STRIDE + SIZE // 3,
}


def hdemucs(seed=0, segment=SEGMENT):
    return small_hdemucs(seed, segment=segment)


def demucs():
    torch.manual_seed(3)
    return Demucs(SOURCES, channels=8, depth=4, segment=SEGMENT)


def htdemucs():
    torch.manual_seed(4)
    return HTDemucs(SOURCES, channels=8, segment=SEGMENT, t_layers=1, t_heads=2)


def weighted_bag():
    return BagOfModels([hdemucs(0), hdemucs(1), demucs()], [[1, 0, 2, 0.3], [1.0, 0.5, 1 / 3, 0], [0.1, 1, 1, 1]])


def bag_of_other_lengths():
    return BagOfModels([hdemucs(0, 0.5), hdemucs(1, 0.8), htdemucs()])


MODELS = {
    "HDemucs": hdemucs,
    "Demucs": demucs,
    "HTDemucs": htdemucs,
    "bag with weights": weighted_bag,
    "bag of unequal segments": bag_of_other_lengths,
}


@pytest.fixture(scope="module")
def models():
    return {name: make().eval() for name, make in MODELS.items()}


def sound(samples, seed=0, channels=2):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(channels, samples, generator=generator) + 0.03


def whole(model, waveform):
    with torch.no_grad():
        return apply_model(model, waveform[None], shifts=0)[0]


def streamed(model, waveform, block=7001, statistics=UNCHANGED, **execution):
    blocks = waveform.split(block, dim=-1)
    known = Statistics(samples=waveform.shape[-1], **statistics)
    return torch.cat(list(separate_blocks(as_bag(model, "x"), blocks, known, Execution(**execution))), dim=-1)


def rms(waveform):
    return waveform.double().square().mean().sqrt().item()


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS.keys())
def test_hdemucs_streamed_is_bit_equal_to_apply_model(models, length):
    waveform = sound(length)
    assert torch.equal(streamed(models["HDemucs"], waveform), whole(models["HDemucs"], waveform))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "HDemucs"])
@pytest.mark.parametrize("case", ["far below one segment", "one segment and one", "two strides and five"])
def test_other_models_and_bags_are_bit_equal_too(models, name, case):
    waveform = sound(LENGTHS[case], seed=1)
    assert torch.equal(streamed(models[name], waveform), whole(models[name], waveform))


@settings(max_examples=8, deadline=None)
@given(length=st.integers(1, 3 * STRIDE), cuts=st.lists(st.integers(1, 30000), max_size=4))
def test_any_length_in_any_blocks(length, cuts):
    model = _fast_model()
    waveform = sound(length)
    sizes = []
    for cut in cuts:
        if sum(sizes) + cut < length:
            sizes.append(cut)
    sizes.append(length - sum(sizes))
    assert torch.equal(streamed(model, waveform, sizes), whole(model, waveform))


def _fast_model():
    torch.manual_seed(5)
    return Demucs(SOURCES, channels=4, depth=3, segment=SEGMENT, lstm_layers=0, resample=False).eval()


@pytest.mark.parametrize("name", ["HDemucs", "bag with weights"])
def test_batches_of_chunks_change_nothing_that_matters(models, name):
    waveform = sound(5 * STRIDE + 1234)
    expected = whole(models[name], waveform)
    assert rms(streamed(models[name], waveform, batch=3) - expected) < 1e-5 * rms(expected)


@pytest.mark.parametrize("name", ["HDemucs", "bag with weights", "HTDemucs"])
def test_with_its_own_statistics_it_equals_the_separator(models, name, monkeypatch):
    from demucs.api import Separator

    monkeypatch.setattr("demucs.api.get_model", lambda **_: models[name])
    waveform = sound(2 * STRIDE + 4321) * torch.tensor([[3.0], [0.2]]) + 0.5
    _, stems = Separator(model="x", device="cpu", shifts=0).separate_tensor(waveform)
    expected = torch.stack(list(stems.values()))
    statistics = measure(waveform.split(5000, dim=-1))
    ours = torch.cat(list(separate_blocks(as_bag(models[name], "x"), waveform.split(5000, -1), statistics)), dim=-1)
    assert rms(ours - expected) < 1e-5 * rms(expected)
    ref = waveform.mean(0)
    same = {"mean": ref.mean().item(), "std": ref.std().item()}
    assert torch.equal(streamed(models[name], waveform, statistics=same), expected)


@pytest.mark.parametrize("block", [1, 997, 44100])
def test_statistics_are_those_of_the_whole(block):
    waveform = sound(3 * 44100 if block > 1 else 500) + 2.0
    average = waveform.double().mean(0)
    statistics = measure(waveform.split(block, dim=-1))
    assert statistics.samples == waveform.shape[-1]
    assert statistics.mean == pytest.approx(average.mean().item(), rel=1e-12)
    assert statistics.std == pytest.approx(average.std().item(), rel=1e-12)


def test_statistics_of_nothing_and_of_one_sample():
    assert measure([]) == Statistics(samples=0, mean=0.0, std=0.0)
    assert measure([torch.full((2, 1), 0.25)]) == Statistics(samples=1, mean=0.25, std=0.0)


class Echo(nn.Module):
    """Gives its input back as every stem: what overlap-add makes of it must be the input again."""

    sources, samplerate, audio_channels, segment = SOURCES, 4000, 2, 1.0

    def __init__(self):
        super().__init__()
        self.longest = 0

    def forward(self, mix):
        self.longest = max(self.longest, mix.shape[-1])
        return mix[:, None].expand(-1, 4, -1, -1).clone()


def test_memory_is_that_of_a_chunk_however_long_the_track():
    """What went in and has not come out is never more than a segment and a block."""
    model, block = Echo(), 2700
    total = 600 * model.samplerate
    taken = given_out = most = 0

    def blocks():
        nonlocal taken, most
        for start in range(0, total, block):
            size = min(block, total - start)
            taken += size
            most = max(most, taken - given_out)
            yield torch.full((2, size), 0.5)

    known = Statistics(samples=total, mean=0.0, std=1.0)
    for stems in separate_blocks(as_bag(model, "echo"), blocks(), known):
        given_out += stems.shape[-1]
        assert (stems - 0.5).abs().max() < 1e-6
    assert given_out == total
    assert most <= model.samplerate + 2 * block
    assert model.longest == model.samplerate


def test_a_track_of_another_length_than_measured_is_refused():
    with pytest.raises(ValueError, match="has 5000 samples, its statistics are of 6000"):
        list(separate_blocks(as_bag(Echo(), "x"), [torch.zeros(2, 5000)], Statistics(samples=6000, **UNCHANGED)))


def test_silence_and_a_constant_stay_finite(models):
    for level in (0.0, 0.7):
        blocks = [torch.full((2, 9000), level)]
        out = torch.cat(list(separate_blocks(as_bag(models["HDemucs"], "x"), blocks, measure(blocks))), dim=-1)
        assert torch.isfinite(out).all()


def test_half_precision_reports_its_error(models):
    waveform = sound(STRIDE)
    waveform -= waveform.mean()
    check = PrecisionCheck()
    execution = Execution(precision="bf16")
    bag = as_bag(models["HDemucs"], "x")
    statistics = measure([waveform])
    half = torch.cat(list(separate_blocks(bag, [waveform], statistics, execution, check)), dim=-1)
    exact = torch.cat(list(separate_blocks(bag, [waveform], statistics)), dim=-1)
    actual = rms(half - exact) / rms(exact)
    assert 1e-4 < actual < 0.2
    assert check.error == pytest.approx(actual, rel=0.5)
    check.reset()
    list(separate_blocks(bag, [waveform], statistics, Execution(), check))
    assert check.error is None


def test_plan_of_a_padded_model_takes_real_neighbours_and_looks_far_enough_back():
    plan = plan_segments(250, segment_seconds=1.0, sample_rate=100, valid_length=lambda length: 120)
    assert [(c.offset, c.length, c.start, c.stop) for c in plan.segments] == [
        (0, 100, -10, 110),
        (75, 100, 65, 185),
        (150, 100, 140, 260),
        (225, 25, 178, 298),
    ]
    assert plan.first_needed() == [0, 65, 140, 178]
    far = plan_segments(151, segment_seconds=1.0, sample_rate=100, valid_length=lambda n: n if n > 50 else 300)
    assert [segment.start for segment in far.segments] == [0, 75, 1]
    assert far.first_needed() == [0, 1, 1]


@pytest.mark.parametrize(("size", "expected"), [(4, [0.5, 1, 1, 0.5]), (5, [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3])])
def test_triangle(size, expected):
    assert torch.allclose(triangle(size), torch.tensor(expected))
