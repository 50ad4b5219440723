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
