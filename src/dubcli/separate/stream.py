"""Demucs over a track of any length in bounded memory.

The result equals ``demucs.api.Separator`` with ``shifts=0`` on the whole track, bit for bit when it is given the same
statistics: the same segments, weights and order of sums. A sample leaves as soon as no later segment can change it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from dubcli.core.machine import autocast
from dubcli.errors import UserError
from dubcli.separate.bags import Bag
from dubcli.separate.segments import Segment, SegmentPlan, plan_segments, triangle

_LOUD = 0.1  # standard deviation, of 1 over the whole track, from which on a segment tells something of precision
_TINY = 1e-8  # demucs adds it to the deviation, so that silence can be divided by it


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Samples of a track, and the mean and (unbiased) standard deviation of its channels' average."""

    samples: int
    mean: float
    std: float


def measure(blocks: Iterable[Tensor]) -> Statistics:
    """The statistics by which demucs normalises a track, from (channels, samples) blocks.

    Sums are in float64; a float32 mean over a whole track, which demucs takes, differs by up to 4e-6 of RMS.
    """
    count, mean, squares = 0, 0.0, 0.0
    for block in blocks:
        size = block.shape[-1]
        if not size:
            continue
        average = block.double().mean(0)
        block_mean = average.mean().item()
        block_squares = (average - block_mean).square().sum().item()
        # Chan, Golub and LeVeque: joins the moments of two sets without the cancellation of sums of squares
        delta = block_mean - mean
        squares += block_squares + delta * delta * count * size / (count + size)
        mean += delta * size / (count + size)
        count += size
    std = math.sqrt(squares / (count - 1)) if count > 1 else 0.0
    return Statistics(samples=count, mean=mean, std=std)


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the models run: on ``device``, ``batch`` equal segments at a time, in ``precision``.

    ``precision``: "auto" leaves torch's own choice, as demucs does (TF32 convolutions on CUDA), since what is made
    here is data that others are compared with; "fp32" is float32 throughout; "fp16" and "bf16" run the layers that
    bear it so.
    """

    device: str = "cpu"
    batch: int = 1
    precision: str = "auto"

    @property
    def autocast_precision(self) -> str:
        """``bf16`` or ``fp16`` where layers run so, else ``fp32``."""
        return "fp32" if self.precision == "auto" else self.precision

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The context in which the models run: no gradients, and the same bytes from the same sound."""
        device = torch.device(self.device)
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if device.type == "cuda":
                tf32 = torch.backends.cudnn.allow_tf32 and self.precision != "fp32"
                flags = {"benchmark": False, "deterministic": True, "allow_tf32": tf32}
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, **flags))
            stack.enter_context(autocast(device, self.autocast_precision))
            yield


class PrecisionCheck:
    """Measures what half precision costs: on the first loud segment of every model, computed in float32 as well.

    ``error``: RMS of the difference relative to the float32 output's RMS, the worst of the models; None before.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Measure anew, on another track."""
        self.error: float | None = None
        self._measured: set[int] = set()

    def look(self, model: Any, sound: Tensor, outputs: Tensor, execution: Execution) -> None:
        """Take a batch's input (batch, channels, samples) and outputs; computes only what is still to be measured."""
        if execution.autocast_precision == "fp32" or id(model) in self._measured:
            return
        if sound[0].std() < _LOUD:
            return
        with replace(execution, precision="fp32").computing():
            exact = model(sound[:1])[0]
        difference = (outputs[0].float() - exact).square().mean().sqrt() / exact.square().mean().sqrt()
        self.error = max(self.error or 0.0, difference.item())
        self._measured.add(id(model))


def separate_blocks(
    bag: Bag,
    blocks: Iterable[Tensor],
    statistics: Statistics,
    execution: Execution = Execution(),
    check: PrecisionCheck | None = None,
) -> Iterator[Tensor]:
    """Separate a track that comes as (channels, samples) float32 blocks of any sizes.

    Yields float32 (sources, channels, samples) blocks on the CPU, in order of time, ``statistics.samples`` samples in
    all; the stems in the order of ``bag.sources``. Raises ValueError when the blocks hold another number of samples.
    """
    mean = torch.tensor(statistics.mean, dtype=torch.float64).float()
    std = torch.tensor(statistics.std, dtype=torch.float64).float() + _TINY
    window = _Window(statistics.samples)
    streams = [_ModelStream(model, bag, window, execution, check or PrecisionCheck()) for model in bag.models]
    for block in blocks:
        window.push((block - mean) / std)
        for stream in streams:
            stream.advance()
        window.forget(min(stream.needed for stream in streams))
        for stems in _combined(bag, streams):
            yield stems * std + mean
    if window.end != statistics.samples:
        raise ValueError(f"the track has {window.end} samples, its statistics are of {statistics.samples}")


def _combined(bag: Bag, streams: list[_ModelStream]) -> Iterator[Tensor]:
    """The weighted mean of the models, as far as all of them are done."""
    totals = [sum(weights[k] for weights in bag.weights) for k in range(len(bag.sources))]
    while all(stream.finished for stream in streams):
        samples = min(stream.finished[0].shape[-1] for stream in streams)
        estimate = torch.zeros(())
        for stream, weights in zip(streams, bag.weights, strict=True):
            estimate = estimate + stream.take(samples) * _per_source(weights)
        yield estimate / _per_source(totals)


def _per_source(weights: list[float]) -> Tensor:
    return torch.tensor(weights, dtype=torch.float64).float()[:, None, None]


class _Window:
    """The part of the track that some segment still has to read."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._held: list[Tensor] = []
        self._begin = 0
        self.end = 0

    def push(self, block: Tensor) -> None:
        """Add the next samples."""
        self._held.append(block)
        self.end += block.shape[-1]

    def read(self, start: int, stop: int) -> Tensor:
        """(channels, stop - start), silence outside the track."""
        if len(self._held) > 1:
            self._held = [torch.cat(self._held, dim=-1)]
        first, last = max(0, start), min(self.total, stop)
        inside = self._held[0][:, first - self._begin : last - self._begin]
        return pad(inside, (first - start, stop - last))

    def has(self, stop: int) -> bool:
        """Whether all of the track before ``stop`` is there."""
        return self.end >= min(self.total, stop)

    def forget(self, before: int) -> None:
        """Drop whole blocks' worth of samples that lie before ``before``."""
        while self._held and self._begin + self._held[0].shape[-1] <= before:
            self._begin += self._held.pop(0).shape[-1]
        if self._held and before > self._begin:
            self._held[0] = self._held[0][:, before - self._begin :].clone()
            self._begin = before


class _ModelStream:
    """Overlap-add of one model's segments."""

    def __init__(self, model: Any, bag: Bag, window: _Window, execution: Execution, check: PrecisionCheck) -> None:
        self._model, self._window, self._execution, self._check = model, window, execution, check
        self._plan: SegmentPlan = plan_segments(
            window.total,
            segment_seconds=model.segment,
            sample_rate=bag.sample_rate,
            valid_length=getattr(model, "valid_length", None),
        )
        self._first_needed = self._plan.first_needed()
        self._next = 0
        self._weight = triangle(self._plan.size).to(execution.device)
        self._weight_on_cpu = self._weight.cpu()
        # both cover [offset, offset + size) of the next segment
        self._sum = torch.zeros(len(bag.sources), bag.channels, self._plan.size)
        self._sum_weight = torch.zeros(self._plan.size)
        self.finished: list[Tensor] = []

    @property
    def needed(self) -> int:
        """The first sample that will be read again."""
        return self._first_needed[self._next] if self._next < len(self._plan.segments) else self._window.end

    def take(self, samples: int) -> Tensor:
        """Remove the first ``samples`` of the finished output, which its first block must hold."""
        block = self.finished[0]
        if block.shape[-1] == samples:
            return self.finished.pop(0)
        self.finished[0] = block[..., samples:]
        return block[..., :samples]

    def advance(self) -> None:
        """Run all batches of segments whose input is there."""
        while batch := self._ready_batch():
            for segment, output in zip(batch, self._run(batch), strict=True):
                self._add(segment, output)

    def _ready_batch(self) -> list[Segment]:
        """The next segments of equal length: a whole batch, or what is left of it before one of another length."""
        batch: list[Segment] = []
        for segment in self._plan.segments[self._next : self._next + self._execution.batch]:
            if batch and segment.stop - segment.start != batch[0].stop - batch[0].start:
                return batch
            if not self._window.has(segment.stop):
                return []
            batch.append(segment)
        return batch

    def _run(self, batch: list[Segment]) -> Iterator[Tensor]:
        """The weighted outputs, (sources, channels, length) each, on the CPU."""
        sound = torch.stack([self._window.read(segment.start, segment.stop) for segment in batch]).to(
            self._execution.device
        )
        try:
            with self._execution.computing():
                outputs = self._model(sound)
        except torch.OutOfMemoryError:
            raise UserError(
                f"out of memory on {self._execution.device}; give a --batch-size below {len(batch)}"
                if len(batch) > 1
                else f"out of memory on {self._execution.device}; give --device cpu"
            ) from None
        self._check.look(self._model, sound, outputs, self._execution)
        for segment, output in zip(batch, outputs, strict=True):
            yield (self._weight[: segment.length] * output[..., segment.trimmed].float()).cpu()

    def _add(self, segment: Segment, weighted: Tensor) -> None:
        self._sum[..., : segment.length] += weighted
        self._sum_weight[: segment.length] += self._weight_on_cpu[: segment.length]
        self._next += 1
        last = self._next == len(self._plan.segments)
        done = segment.length if last else self._plan.stride
        self.finished.append(self._sum[..., :done] / self._sum_weight[:done])
        self._sum = pad(self._sum[..., done:], (0, done))
        self._sum_weight = pad(self._sum_weight[done:], (0, done))
