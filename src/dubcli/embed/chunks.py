"""Which 3-second chunks a sound or a video has: the rule of paper section 3.5, and ours for what does not fit it.

* Chunk i covers [3i, 3i + 3) seconds from the file's start.

What does not fit is left open by the paper; there are three rules. ``half``, the default:

* The last partial chunk counts when at least half of it is there, and is filled up to 3 s with silence (video: with the
  last frame); a shorter rest is dropped.
* A file shorter than 3 s is one chunk whatever its length. Its sound is filled with silence to the next half second, to
  1 s at least: the network averages over time, so a word of 0.6 s in 3 s of silence would mostly describe silence, and
  cost three times as much. A video chunk always has 16 frames, so a short video is one chunk of 3 s.

``padded``: every rest counts, and is filled up to 3 s; so is a shorter file. ``whole``: no rest counts; a file shorter
than 3 s is one chunk, filled up to 3 s.

What was added is counted and reported (``padded_seconds``).

With a hop of other than 3 seconds chunk i covers [i hop, i hop + 3), and each counts by the same rules: those of which
all is there, and of the others as many as the rule lets, until nothing of one is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn.functional import pad

from dubcli.core.models import FRAMES, ModelSizes
from dubcli.core.tracks import FULL

CHUNK_SECONDS = 3
HALF = "half"


@dataclass(frozen=True)
class Chunk:
    """A piece of one file, ready for a backbone.

    ``data``: float32 (2, samples) waveform for ``kind`` "wave"; float (2, 96, frames) for "mel"; uint8
    (3, 16, size, size) for "frames". ``padded_seconds`` of ``seconds`` are not from the file.
    """

    kind: str
    index: int
    start_seconds: float
    seconds: float
    padded_seconds: float
    data: Tensor


def chunk_count(length: int, full: int, rule: str = HALF, hop: Fraction | int | None = None) -> int:
    """Number of chunks of ``full`` units, one every ``hop`` (None: of ``full``), in a file of ``length`` units."""
    if length <= 0:
        return 0
    hop = full if hop is None else hop
    whole = int((length - full) // hop) + 1 if length >= full else 0
    while whole and _counts(length - whole * hop, full, rule):
        whole += 1
    return max(1, whole)


def _counts(rest: Fraction | int, full: int, rule: str) -> bool:
    """Whether a chunk of a file that has whole ones is one too, of which so much is there."""
    if rule == HALF:
        return 2 * rest >= full
    return rule == "padded" and rest > 0


def padded_length(samples: int, sample_rate: int, rule: str = HALF) -> int:
    """Samples of the only chunk of a file of ``samples`` < 3 s; by ``half`` to the next half second, at least 1 s."""
    if rule != HALF:
        return CHUNK_SECONDS * sample_rate
    half = sample_rate // 2
    return min(max(2, -(-samples // half)) * half, CHUNK_SECONDS * sample_rate)


def exact_hop(hop_seconds: float) -> Fraction:
    """Seconds between chunks' starts as they were meant: 0.1 is a tenth, so that nothing drifts in long files."""
    return Fraction(hop_seconds).limit_denominator(1_000_000)


def cut(
    blocks: Iterable[Tensor], sample_rate: int, rule: str = HALF, hop_seconds: float = CHUNK_SECONDS
) -> Iterator[Chunk]:
    """Cut a stream of (2, samples) blocks into chunks; only about a chunk and a block are in memory at a time."""
    full = CHUNK_SECONDS * sample_rate
    hop = exact_hop(hop_seconds)
    window = _Window()
    index = 0
    for block in blocks:
        window.add(block)
        while window.end - (start := round(index * hop * sample_rate)) >= full:
            yield Chunk("wave", index, float(index * hop), float(CHUNK_SECONDS), 0.0, window.part(start, full))
            index += 1
    while (rest := window.end - (start := round(index * hop * sample_rate))) > 0:
        if index and (window.end < full or not _counts(rest, full, rule)):
            return
        length = full if index else padded_length(rest, sample_rate, rule)
        filled = pad(window.part(start, rest), (0, length - rest))
        yield Chunk("wave", index, float(index * hop), length / sample_rate, (length - rest) / sample_rate, filled)
        index += 1


class _Window:
    """The samples of a stream from where they are still asked for. ``end``: how many have come in all."""

    def __init__(self) -> None:
        self.end = 0
        self._held: Tensor | None = None

    def add(self, block: Tensor) -> None:
        """The next (2, samples)."""
        self._held = block if self._held is None else torch.cat([self._held, block], dim=-1)
        self.end += block.shape[-1]

    def part(self, start: int, length: int) -> Tensor:
        """(2, length) from the sample ``start`` on; what is before it is forgotten."""
        assert self._held is not None
        self._held = self._held[:, start - (self.end - self._held.shape[-1]) :]
        return self._held[:, :length]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the backbones take: modalities, sound at ``sample_rate``, frames of a preset's size, one sound track.

    ``frames``: of a 3-second chunk of a video file; what a cache holds is 16. ``frame_rule``: of
    ``media.picture.Instants``. ``chunks``: the rule. ``hop_seconds``: between the starts of chunks. ``kind``: of the
    track in a cache. ``base``: the folder that relative paths are in; empty is the working folder.
    """

    modalities: tuple[str, ...]
    sample_rate: int
    sizes: ModelSizes
    lang: str | None = None
    kind: str = FULL
    frames: int = FRAMES
    chunks: str = HALF
    frame_rule: str = "centres"
    hop_seconds: float = CHUNK_SECONDS
    base: str = ""

    def count(self, seconds: Fraction | float) -> int:
        """Chunks of a file of that length."""
        hop = 1000 * exact_hop(self.hop_seconds)
        return chunk_count(round(1000 * seconds), 1000 * CHUNK_SECONDS, self.chunks, hop)


@dataclass
class DecodeNotes:
    """What was noticed while an item was read. ``expected``: chunks by kind, as far as the file's header tells."""

    seconds: float = 0.0
    expected: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def warning(self) -> str | None:
        """All of it in one line."""
        return "; ".join(self.warnings) or None
