"""Where demucs's overlapping chunks lie in a track, and what each of them has to read (demucs 4.1, shifts=0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

OVERLAP = 0.25


@dataclass(frozen=True)
class Chunk:
    """A chunk's output covers [offset, offset + length) of the track, its input [start, stop).

    All in samples. The input may reach over the track's ends: what lies there is silence.
    """

    offset: int
    length: int
    start: int
    stop: int

    @property
    def trimmed(self) -> slice:
        """The part of the model's output that belongs to the chunk."""
        before = self.offset - self.start
        return slice(before, before + self.length)


@dataclass(frozen=True)
class Plan:
    """Chunks of ``size`` samples every ``stride`` samples over a track of ``total`` samples."""

    size: int
    stride: int
    total: int
    chunks: tuple[Chunk, ...]

    def first_needed(self) -> list[int]:
        """For every chunk the first sample that it or a later one reads: a short last chunk can read further back."""
        needed = [max(0, chunk.start) for chunk in self.chunks]
        for index in range(len(needed) - 2, -1, -1):
            needed[index] = min(needed[index], needed[index + 1])
        return needed


def plan_chunks(
    total: int, *, segment_seconds: float, sample_rate: int, valid_length: Callable[[int], int] | None
) -> Plan:
    """Cut a track of ``total`` samples as demucs does.

    ``valid_length`` is the model's own method where it has one: the input's length for an output's; the difference is
    filled with the neighbouring sound, half of it (rounded down) on the left.
    """
    size = int(sample_rate * segment_seconds)
    stride = int((1 - OVERLAP) * size)
    chunks = []
    for offset in range(0, total, stride):
        length = min(size, total - offset)
        wanted = length if valid_length is None else valid_length(length)
        start = offset - (wanted - length) // 2
        chunks.append(Chunk(offset, length, start, start + wanted))
    return Plan(size, stride, total, tuple(chunks))


def triangle(size: int) -> Tensor:
    """(size,) float32 weights of a chunk, rising to 1 in the middle, then falling; a short one takes the left part."""
    rising = torch.arange(1, size // 2 + 1)
    falling = torch.arange(size - size // 2, 0, -1)
    weight = torch.cat([rising, falling])
    return weight / weight.max()
