"""Where demucs's overlapping segments lie in a track, and what each of them has to read (demucs 4.1, shifts=0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

OVERLAP = 0.25


@dataclass(frozen=True)
class Segment:
    """A segment's output covers [offset, offset + length) of the track, its input [start, stop).

    All in samples. The input may reach over the track's ends: what lies there is silence.
    """

    offset: int
    length: int
    start: int
    stop: int

    @property
    def trimmed(self) -> slice:
        """The part of the model's output that belongs to the segment."""
        before = self.offset - self.start
        return slice(before, before + self.length)


@dataclass(frozen=True)
class SegmentPlan:
    """Segments of ``size`` samples every ``stride`` samples over a track of ``total`` samples."""

    size: int
    stride: int
    total: int
    segments: tuple[Segment, ...]

    def first_needed(self) -> list[int]:
        """For every segment the first sample that it or a later one reads: a short last one can read further back."""
        needed = [max(0, segment.start) for segment in self.segments]
        for index in range(len(needed) - 2, -1, -1):
            needed[index] = min(needed[index], needed[index + 1])
        return needed


def plan_segments(
    total: int, *, segment_seconds: float, sample_rate: int, valid_length: Callable[[int], int] | None
) -> SegmentPlan:
    """Cut a track of ``total`` samples as demucs does.

    ``valid_length`` is the model's own method where it has one: the input's length for an output's; the difference is
    filled with the neighbouring sound, half of it (rounded down) on the left.
    """
    size = int(sample_rate * segment_seconds)
    stride = int((1 - OVERLAP) * size)
    segments = []
    for offset in range(0, total, stride):
        length = min(size, total - offset)
        wanted = length if valid_length is None else valid_length(length)
        start = offset - (wanted - length) // 2
        segments.append(Segment(offset, length, start, start + wanted))
    return SegmentPlan(size, stride, total, tuple(segments))


def triangle(size: int) -> Tensor:
    """(size,) float32 weights of a segment, rising to 1 in the middle, then falling; a short one takes the left."""
    rising = torch.arange(1, size // 2 + 1)
    falling = torch.arange(size - size // 2, 0, -1)
    weight = torch.cat([rising, falling])
    return weight / weight.max()
