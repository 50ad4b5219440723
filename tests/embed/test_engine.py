import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from dubcli.core.features import log_mel
from dubcli.core.folding import fold, fold_backbone
from dubcli.core.models import PRESETS, freeze, normalise_pixels
from dubcli.core.trained import random_trained
from dubcli.core.transforms import eval_video, normalise_mels
from dubcli.embed import Embedder
from dubcli.embed.engine import Compiling, Engine
from dubcli.errors import UserError
from helpers.sounds import noise


@pytest.fixture(scope="module")
def trained():
    """A model whose batch norms are not the identity."""
    torch.manual_seed(3)
    model = random_trained(0, "tiny")
    for module in model.model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.uniform_(0.5, 2)
            module.bias.normal_(0, 0.2)
    return model


@pytest.fixture
def compile_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.reset()
    return tmp_path / "inductor"


def inputs(modality, batch=3):
    shape = (2, 96, 280) if modality == "audio" else (3, 16, 112, 112)
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


def plain(module, batch):
    with torch.no_grad():
        return module(batch)


def close(found, expected):
    scale = expected.abs().max().item()
    np.testing.assert_allclose(found.numpy() / scale, expected.numpy() / scale, atol=2e-6)


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_folded_backbone_gives_the_same(trained, modality):
    module = getattr(trained.model, modality)
    folded = fold_backbone(trained.model, modality, pytest.fail)
    assert not any(isinstance(part, torch.nn.BatchNorm3d) and "bn" in name and modality == "audio"
                   for name, part in folded.named_modules())  # fmt: skip
    close(plain(folded, inputs(modality)), plain(module, inputs(modality)))
    close(Engine(folded, torch.device("cpu"), "fp32")(inputs(modality)), plain(module, inputs(modality)))


@pytest.mark.slow
def test_compiled_backbone_gives_the_same_for_full_and_smaller_batches(trained, compile_cache):
    told = []
    engine = Engine(copy.deepcopy(trained.model.audio), torch.device("cpu"), "fp32", Compiling(True, told.append))
    close(engine(inputs("audio", 4)), plain(trained.model.audio, inputs("audio", 4)))
    if told[1:]:
        pytest.skip(f"nothing to compile with here: {told[1]}")
    assert told[0].startswith("compiling the backbone for batches of 4")
    close(engine(inputs("audio", 3)), plain(trained.model.audio, inputs("audio", 3)))
    assert len(told) == 1  # filled up, not compiled again
    assert list((compile_cache / "marks").iterdir())


def test_without_a_compiler_it_says_so_once_and_goes_on(trained, compile_cache, monkeypatch):
    monkeypatch.setenv("CXX", "/nonexistent/compiler")
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/nonexistent/compiler",))
    told = []
    compiling = Compiling(True, told.append)
    engines = {
        modality: Engine(copy.deepcopy(getattr(trained.model, modality)), torch.device("cpu"), "fp32", compiling)
        for modality in ("audio", "video")
    }
    for modality in ("audio", "video", "audio"):
        close(engines[modality](inputs(modality)), plain(getattr(trained.model, modality), inputs(modality)))
    assert len(told) == 2
    assert told[0].startswith("compiling")
    assert "folded by torch" in told[1]


def test_compiles_when_the_work_left_pays(trained, monkeypatch):
    engine = Engine(copy.deepcopy(trained.model.audio), torch.device("cpu"), "fp32", Compiling(None), "pays")
    asked = []
    monkeypatch.setattr(engine, "_try_to_compile", lambda batch: asked.append(tuple(batch.shape)))
    engine(inputs("audio"), left=1e9)  # the first batch tells what a clip costs
    assert asked == []
    engine(inputs("audio"), left=10)
    assert asked == []
    engine(inputs("audio"), left=1e9)
    assert asked == [(3, 2, 96, 280)]
    never = Engine(copy.deepcopy(trained.model.audio), torch.device("cpu"), "fp32", Compiling(False))
    monkeypatch.setattr(never, "_try_to_compile", lambda batch: pytest.fail("compiled"))
    never(inputs("audio"))
    never(inputs("audio"), left=1e9)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("modality", ["audio", "video"])
def test_bfloat16_on_cuda_is_near(trained, modality):
    engine = Engine(copy.deepcopy(getattr(trained.model, modality)), torch.device("cuda"), "bf16")
    found, expected = engine(inputs(modality).cuda()), plain(getattr(trained.model.cpu(), modality), inputs(modality))
    cosine = torch.nn.functional.cosine_similarity(found, expected)
    assert cosine.min() > 0.999


def test_bfloat16_on_cpu_is_near(trained):
    sound = noise(3)[:, 0]
    wide = Embedder(trained).audio(sound, 48000)
    narrow = Embedder(trained, precision="bfloat16").audio(sound, 48000)
    assert narrow.dtype == np.float32
    cosine = (wide * narrow).sum() / np.linalg.norm(wide) / np.linalg.norm(narrow)
    assert 0.999 < cosine < 1 - 1e-9


def test_embedder_is_the_plain_model(trained):
    sound = torch.rand(2, 2, 144000) - 0.5
    mels = normalise_mels(log_mel(sound, 48000), trained.mel_mean, trained.mel_std)
    with torch.no_grad():
        close(torch.from_numpy(Embedder(trained).audio(sound, 48000)), trained.model.embed_audio(mels))
    frames = torch.randint(0, 256, (1, 16, 120, 200, 3), dtype=torch.uint8)
    pixels = normalise_pixels(eval_video(frames.permute(0, 1, 4, 2, 3), PRESETS["tiny"])).transpose(1, 2)
    with torch.no_grad():
        close(torch.from_numpy(Embedder(trained).video(frames)), trained.model.embed_video(pixels))


def test_shapes_that_embedder_takes(tiny):
    mono = noise(4)[:, 0].astype(np.float32)
    expected = tiny.audio(mono, 48000)
    assert expected.shape == (1, 1024)
    assert expected.dtype == np.float32
    for same in (mono[None], mono[None, None], [mono], [np.stack([mono, mono])], torch.from_numpy(mono)):
        np.testing.assert_allclose(tiny.audio(same, 48000), expected, atol=1e-7)
    mixed = tiny.audio([mono, mono[:24000], mono], 48000)
    np.testing.assert_allclose(mixed[[0, 2]], expected.repeat(2, axis=0), atol=1e-7)
    assert tiny.audio(np.zeros((2, 9 * 48000)), 48000, per_chunk=True).shape == (6, 1024)
    assert tiny.audio(np.zeros((0, 100)), 48000).shape == (0, 1024)
    frames = np.random.default_rng(0).integers(0, 256, (32, 90, 160, 3), dtype=np.uint8)
    np.testing.assert_allclose(tiny.video(frames), tiny.video(frames[None, 1::2]), atol=1e-7)


@pytest.mark.parametrize(
    "waveforms", [np.zeros((1, 1, 1, 9)), np.zeros((1, 3, 100)), np.zeros((1, 100), np.int16), np.zeros((1, 0))]
)
def test_waveforms_that_are_none(tiny, waveforms):
    with pytest.raises(UserError):
        tiny.audio(waveforms, 48000)


@pytest.mark.parametrize("frames", [np.zeros((16, 64, 64, 3)), np.zeros((16, 3, 64, 64), np.uint8), np.zeros(3)])
def test_frames_that_are_none(tiny, frames):
    with pytest.raises(UserError, match="give uint8"):
        tiny.video(frames)


def test_devices_that_are_not_there():
    with pytest.raises(UserError, match="--device"):
        Embedder("random:tiny", device="cuda:99")
    with pytest.raises(UserError, match="--device"):
        Embedder("random:tiny", device="abacus")


class Small(torch.nn.Module):
    """A convolution with its norm, whose forward asks for sizes and types."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(2, 5, 3), torch.nn.BatchNorm2d(5)

    def forward(self, mels):
        maps = self.norm(self.conv(mels))
        wide = isinstance(mels, torch.Tensor) and mels.shape[3] > 100
        return maps.mean(dim=(2, 3)) if wide else maps.amax(dim=(2, 3))


class AsksForValues(Small):
    """What cannot be run without numbers."""

    def forward(self, mels):
        maps = self.norm(self.conv(mels))
        return maps.mean(dim=(2, 3)) if mels.mean() > -100 else maps.amax(dim=(2, 3))


class TakesTheRawToo(Small):
    """Folded, the convolution's own output is not there any more."""

    def forward(self, mels):
        maps = self.conv(mels)
        return (self.norm(maps) + maps).mean(dim=(2, 3))


class TwiceTheSame(Small):
    """Folding the shared convolution's batch norm twice would scale twice."""

    def forward(self, mels):
        return self.norm(self.conv(mels)).mean(dim=(2, 3)) + self.norm(self.conv(-mels)).mean(dim=(2, 3))


class SharedWeights(Small):
    """Another module convolves with the same weights, unfolded ones."""

    def __init__(self):
        super().__init__()
        self.other = torch.nn.Conv2d(2, 5, 3)
        self.other.weight = self.conv.weight

    def forward(self, mels):
        return (self.norm(self.conv(mels)) + self.other(mels)).mean(dim=(2, 3))


@pytest.mark.parametrize(
    ("kind", "folds", "says"),
    [(Small, True, False), (AsksForValues, False, True), (TakesTheRawToo, False, True), (TwiceTheSame, False, False),
     (SharedWeights, True, False)],
)  # fmt: skip
def test_only_what_computes_the_same_is_folded(kind, folds, says):
    torch.manual_seed(0)
    module = kind()
    module.norm.running_var.fill_(4.0)
    module.norm.running_mean.fill_(0.3)
    freeze(module)
    told = []
    folded = fold(module, torch.randn(1, 2, 96, 280), told.append)
    assert isinstance(folded.norm, torch.nn.Identity) is folds
    assert isinstance(module.norm, torch.nn.BatchNorm2d)
    for batch in (inputs("audio"), inputs("audio", 2)):
        close(plain(folded, batch), plain(module, batch))
    assert len(told) == says
    assert all(line.startswith(f"{kind.__name__} runs as it is, its batch norms not folded: ") for line in told)


def test_while_one_thread_opens_embedders_another_trains_as_if_alone(trained):
    """Tracing put its own call in place of every module's, in all threads."""

    def train(steps, go_on=lambda: False):
        torch.manual_seed(0)
        generator, done = torch.Generator().manual_seed(0), 0
        network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU())
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        states = []
        while done < steps or go_on():
            optimizer.zero_grad()
            network(torch.randn(4, 8, generator=generator)).square().mean().backward()
            optimizer.step()
            done += 1
            if done <= steps:
                states.append([tensor.clone() for tensor in network.state_dict().values()])
        return states

    alone, sound = train(50), noise(1)[:, 0].astype(np.float32)
    expected = Embedder(trained).audio(sound, 48000)
    with ThreadPoolExecutor(5) as pool:
        embedder = Embedder(trained)
        found = [pool.submit(embedder.audio, sound, 48000) for _ in range(4)]  # its first calls, all at once
        beside = pool.submit(train, 50, lambda: not all(future.done() for future in found))
        for future in found:
            np.testing.assert_array_equal(future.result(), expected)
        for mine, yours in zip(beside.result(), alone, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine, yours, strict=True))


def test_an_embedder_is_pickled_with_its_model(trained):
    embedder, sound = Embedder(trained, precision="bf16"), noise(1)[:, 0]
    before = embedder.audio(sound, 48000)
    again = pickle.loads(pickle.dumps(embedder))
    np.testing.assert_array_equal(again.audio(sound, 48000), before)
    assert again.identity() == embedder.identity()
