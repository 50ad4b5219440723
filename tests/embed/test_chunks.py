import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubcli.embed.chunks import chunk_count, cut, padded_length


@pytest.mark.parametrize(
    ("seconds", "starts", "padded"),
    [
        (0.00001, [0], 1.0),
        (0.4, [0], 0.6),
        (1.0, [0], 0.0),
        (1.2, [0], 0.3),
        (2.9, [0], 0.1),
        (3.0, [0], 0.0),
        (4.4, [0], 0.0),
        (4.5, [0, 3], 1.5),
        (7.5, [0, 3, 6], 1.5),
        (8.9, [0, 3, 6], 0.1),
    ],
)
def test_rule_of_the_last_chunk(seconds, starts, padded):
    rate = 1000 if seconds > 0.001 else 100_000
    chunks = list(cut([torch.ones(2, round(seconds * rate))], rate))
    assert [chunk.start_seconds for chunk in chunks] == starts
    assert sum(chunk.padded_seconds for chunk in chunks) == pytest.approx(padded, abs=1e-4)
    for chunk in chunks:
        assert chunk.data.shape[-1] == chunk.seconds * rate
        real = round((chunk.seconds - chunk.padded_seconds) * rate)
        assert (chunk.data[:, :real] == 1).all()
        assert (chunk.data[:, real:] == 0).all()


def test_no_samples_no_chunks():
    assert list(cut([], 1000)) == []
    assert list(cut([torch.zeros(2, 0)], 1000)) == []
    assert chunk_count(0, 3000) == 0


def test_short_files_are_filled_to_half_seconds():
    assert [padded_length(n, 1000) for n in (1, 999, 1000, 1001, 1501, 2501, 2999)] == [
        1000, 1000, 1000, 1500, 2000, 3000, 3000,
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=12))
def test_blocks_do_not_matter(sizes):
    sound = torch.arange(1, 2 * sum(sizes) + 1, dtype=torch.float32).reshape(2, -1)
    parts = torch.split(sound, sizes, dim=1)
    whole = list(cut([sound], 100))
    pieces = list(cut(parts, 100))
    assert len(whole) == len(pieces) == chunk_count(sum(sizes), 300)
    for a, b in zip(whole, pieces, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert (a.start_seconds, a.seconds, a.padded_seconds) == (b.start_seconds, b.seconds, b.padded_seconds)


@pytest.mark.parametrize(
    ("rule", "seconds", "starts", "padded"),
    [
        ("padded", 0.4, [0], 2.6),
        ("padded", 1.0, [0], 2.0),
        ("padded", 3.0, [0], 0.0),
        ("padded", 4.4, [0, 3], 1.6),
        ("padded", 5.0, [0, 3], 1.0),
        ("padded", 10.0, [0, 3, 6, 9], 2.0),
        ("whole", 1.0, [0], 2.0),
        ("whole", 5.0, [0], 0.0),
        ("whole", 8.9, [0, 3], 0.0),
        ("whole", 10.0, [0, 3, 6], 0.0),
    ],
)
def test_other_rules_of_what_is_no_whole_chunk(rule, seconds, starts, padded):
    """Sounds of 1, 5 and 10 seconds are those of Speech Commands, ESC-50 and TUT18."""
    rate = 1000
    chunks = list(cut([torch.ones(2, round(seconds * rate))], rate, rule))
    assert [chunk.start_seconds for chunk in chunks] == starts
    assert len(chunks) == chunk_count(round(seconds * rate), 3 * rate, rule)
    assert sum(chunk.padded_seconds for chunk in chunks) == pytest.approx(padded)
    assert all(chunk.data.shape[-1] == 3 * rate for chunk in chunks)


def test_the_rule_is_a_part_of_what_features_are(tmp_path):
    """Of a video too: 4 seconds are one chunk by ``whole`` and two by ``padded``; another rule is another folder."""
    from dubcli.embed import EmbedConfig, embed
    from dubcli.errors import UserError
    from helpers.containers import Track, make_film

    make_film(tmp_path / "film.mkv", seconds=4.0, fps=8, tracks=[Track()])
    found = {}
    for rule in ("half", "padded", "whole"):
        config = EmbedConfig(chunks=rule, per_chunk=True, preset="tiny", device="cpu")
        embed([str(tmp_path / "film.mkv")], "random", tmp_path / rule, config)
        found[rule] = np.load(tmp_path / rule / "audio.npy"), np.load(tmp_path / rule / "video.npy")
    assert {rule: [len(array) for array in arrays] for rule, arrays in found.items()} == {
        "half": [1, 1], "padded": [2, 2], "whole": [1, 1],
    }  # fmt: skip
    assert np.array_equal(found["padded"][0][:1], found["whole"][0])
    with pytest.raises(UserError, match="holds features with chunks padded, now it is half"):
        embed([str(tmp_path / "film.mkv")], "random", tmp_path / "padded",
              EmbedConfig(per_chunk=True, preset="tiny", device="cpu"))  # fmt: skip
    with pytest.raises(UserError, match=r"--chunks is 'pad' .did you mean padded"):
        EmbedConfig(chunks="pad")


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=8), st.integers(20, 500), st.sampled_from(["half", "padded", "whole"]))
def test_a_chunk_every_hop(sizes, hop, rule):
    """Against the rule read plainly: chunk i is [i hop, i hop + 300), and counts by how much of it is there."""
    length = sum(sizes)
    sound = torch.arange(1, 2 * length + 1, dtype=torch.float32).reshape(2, -1)
    chunks = list(cut(torch.split(sound, sizes, dim=1), 100, rule, hop / 100))
    least = {"half": 150, "padded": 1, "whole": 300}[rule]
    starts = [start for start in range(0, length, hop) if length - start >= least] if length >= 300 else [0][:length]
    assert [round(100 * chunk.start_seconds) for chunk in chunks] == starts
    assert len(chunks) == chunk_count(length, 300, rule, hop)
    for chunk, start in zip(chunks, starts, strict=True):
        there = sound[:, start : start + 300]
        assert torch.equal(chunk.data[:, : there.shape[1]], there)
        assert not chunk.data[:, there.shape[1] :].any()
        assert round(100 * chunk.padded_seconds) == chunk.data.shape[1] - there.shape[1]
