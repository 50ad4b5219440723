"""Features of waveforms and frames in memory: what notebooks, ``dubcli.hear`` and ``embed`` itself call."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dubcli.core.checkpoint import load_trained
from dubcli.core.features import log_mel
from dubcli.core.languages import found_as
from dubcli.core.machine import choose_device, choose_precision, torch_type
from dubcli.core.memory import out_of_memory
from dubcli.core.models import normalise_pixels, preset_sizes
from dubcli.core.outputs import Output
from dubcli.core.tracks import Track
from dubcli.core.trained import TrainedModel, random_trained
from dubcli.core.transforms import eval_clip, normalise_mels
from dubcli.embed.arrays import Pooled, Waveforms, as_sounds, as_stereo, checked_rate
from dubcli.embed.chunks import CHUNK_SECONDS, Chunk, cut
from dubcli.embed.config import POOLS, EmbedConfig, ModelOptions, check_hop
from dubcli.embed.engine import Compiling, Engine, Pending, say_nothing
from dubcli.errors import UserError, one_of
from dubcli.media.resample import RESAMPLER, resample_blocks

if TYPE_CHECKING:
    from typing_extensions import Unpack

RANDOM = "random"

_BATCHES_HELD = 4
"""Batches of chunks that are held at a time: sounds of other lengths have batches of their own."""
_BLOCK_SECONDS = 30


class Embedder:
    """A checkpoint's frozen backbones in eval mode, without projection heads (paper section 3.5).

    Several threads may call one; it can be pickled. Beside the results its memory is that of a few batches.

    Args:
        ckpt: a checkpoint file, ``"random"`` (a seeded random model, the RP baseline of appendix D) or a TrainedModel.
        config: of it ``device``, ``compile``, ``precision``, ``batch_size``, ``layer``, ``projected``, and the random
            model's ``seed`` and ``preset`` count here; ``lang`` where ``projected`` is asked for.
        say: takes lines for the user.
        options: those of ``config`` by name, in its place or over it. ``device``: torch's name; None is CUDA when there
            is one. ``compile``: at the first batch (True), never (False, the default), or where the chunks of one call
            pay for it (None). ``precision``: ``"auto"`` (bf16 where the device computes it natively, else fp32),
            ``"bf16"``, ``"fp16"``, ``"fp32"``. ``batch_size``: chunks at once. ``layer``, ``projected``: features of a
            layer inside the backbones, or of the projection heads, as ``core.outputs.Output`` has them. ``lang``: the
            track that sounds are of, which says which head places them; None is the primary one.

    Raises:
        UserError: a file that is no checkpoint, a device or a layer that is not there.
        TypeError: an option of another name.

    >>> features = Embedder("random", preset="tiny").audio(np.zeros((2, 48000)), 48000)  # one second of two sounds
    >>> features.shape, features.dtype
    ((2, 1024), dtype('float32'))
    """

    def __init__(
        self,
        ckpt: str | os.PathLike[str] | TrainedModel = RANDOM,
        config: EmbedConfig = EmbedConfig(compile=False),
        *,
        say: Callable[[str], None] = say_nothing,
        **options: Unpack[ModelOptions],
    ) -> None:
        if unknown := options.keys() - ModelOptions.__annotations__.keys():
            raise TypeError(f"Embedder has no argument {', '.join(sorted(unknown))}")
        config = replace(config, **options)
        self.trained = load_trained_or_random(ckpt, seed=config.seed, preset=config.preset)
        self.output = output_of(self.trained, config)
        self.modalities = self.output.modalities(self.trained.model)
        """Those that there are features of: the checkpoint has a backbone for them, and that has the layer."""
        self.device = choose_device(config.device)
        self._precision = choose_precision(config.precision, self.device)
        self._batch_size = config.batch_size
        # what hands a layer's output to its own thread cannot be compiled
        self._compiling = Compiling(False if config.layer else config.compile, say)
        self._engines: dict[str, Engine] = {}
        self._making = threading.Lock()

    @property
    def precision(self) -> torch.dtype:
        """The type in which convolutions are computed."""
        return torch_type(self._precision)

    @property
    def sample_rate(self) -> int:
        """Hz, of the sound that the audio backbone was trained on."""
        return self.trained.sample_rate

    @cached_property
    def feature_sizes(self) -> dict[str, int]:
        """Widths of the features by modality, 1024 for the paper's backbones."""
        return {name: self.output.size(self.trained.model, name) for name in self.modalities}

    def audio(
        self,
        waveforms: Waveforms,
        sample_rate: int,
        *,
        per_chunk: bool = False,
        pool: str = "mean",
        hop_seconds: float = CHUNK_SECONDS,
    ) -> np.ndarray:
        """Features of sounds: the mean over each sound's 3-second chunks, cut as ``dubcli.embed.chunks`` says.

        Args:
            waveforms: samples in [-1, 1] as (samples,), (n, samples) mono or (n, channels, samples) with one or two
                channels (mono becomes dual mono), or a list of (samples,) and (channels, samples) of different lengths.
                One or two channels may be the last axis too, as soundfile has it.
            sample_rate: in Hz; they are resampled to the checkpoint's.
            per_chunk: give the chunks of all sounds one after another; as ``pool="none"``.
            pool: how a sound's chunks become its row: ``mean``, ``max`` or ``none``.
            hop_seconds: from a chunk's start to the next one's.

        Returns:
            float32 (n, features), or (chunks, features).

        Raises:
            UserError: an empty sound, other shapes, types or rates, samples that cannot be used (``core.samples``).
                What is mended is warned of.

        >>> Embedder("random", preset="tiny").audio([np.zeros(8000), np.zeros((2, 40000))], 8000, per_chunk=True).shape
        (3, 1024)
        """
        rate, hop_seconds = checked_rate(sample_rate), check_hop(hop_seconds)
        pooled = Pooled("none" if per_chunk else one_of("pool", pool, POOLS), self._width("audio"))
        held: list[tuple[int, Chunk]] = []
        for number, waveform in enumerate(as_sounds(waveforms)):
            parts = torch.split(as_stereo(waveform), _BLOCK_SECONDS * rate, dim=1)
            blocks = resample_blocks(parts, rate, self.sample_rate)
            pooled.begin()
            for chunk in cut(blocks, self.sample_rate, hop_seconds=hop_seconds):
                held.append((number, chunk))
                if len(held) == _BATCHES_HELD * self.batch_size("wave"):
                    self._pool(held, pooled)
                    held = []
            if not pooled.has(number) and not any(owner == number for owner, _ in held[-1:]):
                raise UserError("a sound without samples has no features; leave it out")
        self._pool(held, pooled)
        return pooled.result()

    def _pool(self, held: Sequence[tuple[int, Chunk]], pooled: Pooled) -> None:
        features = self._in_batches([chunk for _, chunk in held], "audio")
        for (number, _), row in zip(held, features, strict=True):
            pooled.add(number, row)

    def video(self, frames: Tensor | np.ndarray) -> np.ndarray:
        """Features of clips: short side to 256, centre crop 224 (paper section 3.5).

        Args:
            frames: uint8 RGB (n, frames, height, width, 3), or (frames, height, width, 3) for one clip of 3 seconds. Of
                other numbers of frames than 16, the 16 at the centres of equal parts are taken.

        Returns:
            float32 (n, features).

        Raises:
            UserError: another type or shape.

        >>> Embedder("random", preset="tiny").video(np.zeros((2, 75, 90, 160, 3), np.uint8)).shape
        (2, 1024)
        """
        clips = torch.as_tensor(frames)
        if clips.ndim == 4:
            clips = clips[None]
        if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != torch.uint8 or 0 in clips.shape[1:]:
            raise UserError(f"frames are {clips.dtype} {tuple(clips.shape)}; give uint8 (n, frames, height, width, 3)")
        sizes = preset_sizes(self.trained.preset)
        out = np.zeros((len(clips), self._width("video")), dtype=np.float32)
        for rows in batches(range(len(clips)), _BATCHES_HELD * self.batch_size("frames")):
            chunks = [Chunk("frames", row, 0.0, 3.0, 0.0, eval_clip(clips[row], sizes)) for row in rows]
            out[rows] = self._in_batches(chunks, "video")
        return out

    def _width(self, modality: str) -> int:
        if modality not in self.modalities:
            layer, name = self.output.layer, self.trained.name
            what = f"has no layer {layer} for" if layer else "is an audio-only checkpoint; it has no"
            raise UserError(f"{name} {what} {modality} features")
        return self.feature_sizes[modality]

    def features(self, chunks: Sequence[Chunk], left: float = 0.0) -> np.ndarray:
        """Features of chunks of one kind and shape in one batch, float32 (chunks, features).

        ``left``: an estimate of how many chunks like these are still to come, which decides whether compiling pays.
        """
        return self.start(chunks, left).result().numpy()[: len(chunks)]

    def start(self, chunks: Sequence[Chunk], left: float = 0.0, *, fill: bool = False) -> Pending:
        """As ``features``, whose first rows ``result()`` of what this returns will be: on CUDA the work goes on.

        ``fill``: bring the batch to a size whose items have the bits that they would have in any other batch of this
        embedder: on the CPU to 2 items, of which alone one is computed in another order; elsewhere to a full batch.
        Raises UserError with a batch size that fits when the device's memory does not hold this one.
        """
        kind = chunks[0].kind
        size = len(chunks)
        if fill:
            size = max(size, 2 if self.device.type == "cpu" else self.batch_size(kind))
        try:
            return self._start(self._stage(chunks, size), kind, left)
        except torch.OutOfMemoryError:
            pass
        raise out_of_memory(self.device, size, lambda part: self._start(self._stage(chunks[:part], part), kind, 0.0))

    def _stage(self, chunks: Sequence[Chunk], size: int) -> Tensor:
        """(size, ...) on the device: the chunks' data, then zeros. From pinned memory CUDA copies while it computes."""
        data = [chunk.data for chunk in chunks]
        pinned = self.device.type == "cuda"
        batch = torch.empty((size, *data[0].shape), dtype=data[0].dtype, pin_memory=pinned)
        torch.stack(data, out=batch[: len(data)])
        batch[len(data) :].zero_()
        return batch.to(self.device, non_blocking=True)

    def _start(self, batch: Tensor, kind: str, left: float) -> Pending:
        if kind == "frames":
            return self._engine("video").start(normalise_pixels(batch), left)
        mels = log_mel(batch, self.sample_rate) if kind == "wave" else batch
        mels = normalise_mels(mels, self.trained.mel_mean, self.trained.mel_std)
        return self._engine("audio").start(mels, left)

    def batch_size(self, kind: str) -> int:
        """Chunks that go through a backbone at once."""
        if self._batch_size is not None:
            return self._batch_size
        if self.device.type != "cpu":
            return 32 if kind == "frames" else 128
        return 4 if kind == "frames" else 8

    def _in_batches(self, chunks: Sequence[Chunk], modality: str) -> np.ndarray:
        out = np.zeros((len(chunks), self._width(modality)), dtype=np.float32)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for number, chunk in enumerate(chunks):
            by_shape.setdefault(tuple(chunk.data.shape), []).append(number)
        for numbers in by_shape.values():
            left = len(numbers)
            before: tuple[list[int], Pending] | None = None
            for part in batches(numbers, self.batch_size(chunks[numbers[0]].kind)):
                left -= len(part)
                started = self.start([chunks[number] for number in part], left)
                if before is not None:
                    _put(out, *before)
                before = part, started
            if before is not None:
                _put(out, *before)
        return out

    def identity(self) -> dict[str, Any]:
        """What the features of an input depend on: those that were made with the same are used again."""
        return {
            "resampler": RESAMPLER,
            "content_hash": self.trained.content_hash,
            "backbones": {name: spec.to_dict() for name, spec in sorted(self.trained.model.backbones.items())},
            "mel": [self.sample_rate, self.trained.mel_mean, self.trained.mel_std],
            "precision": str(self.precision).removeprefix("torch."),
            **self.output.identity(),
        }

    def _engine(self, modality: str) -> Engine:
        with self._making:
            if modality not in self._engines:
                self._engines[modality] = self._make_engine(modality)
            return self._engines[modality]

    def _make_engine(self, modality: str) -> Engine:
        self._width(modality)
        module = self.output.module(self.trained.model, modality, self._compiling.say)
        name = "-".join([self.trained.content_hash, modality, *self.output.identity()])
        return Engine(module, self.device, self._precision, self._compiling, name)

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made again where it is unpickled: folded and compiled backbones."""
        return {**self.__dict__, "_engines": {}, "_making": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._making = threading.Lock()


def output_of(trained: TrainedModel, config: EmbedConfig) -> Output:
    """What options ask of a model: sound is placed by the head that was trained on its track."""
    if not config.projected or config.lang is None:
        return Output(config.layer, config.projected)
    track = Track(found_as(config.lang, trained.variant.languages), trained.variant.primary.kind)
    return Output(config.layer, config.projected, trained.variant.head_of(track))


def load_trained_or_random(
    ckpt: str | os.PathLike[str] | TrainedModel, *, seed: int = 0, preset: str = "paper"
) -> TrainedModel:
    """The frozen model of a checkpoint file, or of the word ``random`` (``random:tiny``: of a preset).

    Raises UserError when the file is no checkpoint.
    """
    if isinstance(ckpt, TrainedModel):
        return ckpt
    word, _, named = str(ckpt).partition(":")
    if word == RANDOM and not os.path.exists(ckpt):
        return random_trained(seed, preset=named or preset)
    return load_trained(ckpt)


def batches(numbers: Sequence[int], size: int) -> Iterable[list[int]]:
    """``numbers`` in order, ``size`` at a time."""
    for start in range(0, len(numbers), size):
        yield list(numbers[start : start + size])


def _put(out: np.ndarray, rows: list[int], pending: Pending) -> None:
    out[rows] = pending.result()[: len(rows)].numpy()
