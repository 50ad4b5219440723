"""Features of waveforms and frames in memory: what notebooks, ``dubcli.hear`` and ``embed`` itself call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from dubcli.core.checkpoint import load_trained
from dubcli.core.features import log_mel
from dubcli.core.machine import choose_device, choose_precision, torch_type
from dubcli.core.memory import out_of_memory
from dubcli.core.models import normalise_pixels, preset_sizes
from dubcli.core.samples import usable
from dubcli.core.trained import TrainedModel, random_trained
from dubcli.core.transforms import eval_clip, normalise_mels
from dubcli.embed.chunks import Chunk, cut
from dubcli.embed.config import EmbedConfig, ModelOptions
from dubcli.embed.engine import Compiling, Engine, Pending, fold_example, say_nothing
from dubcli.errors import UserError
from dubcli.media.resample import RESAMPLER, resample_blocks

if TYPE_CHECKING:
    from typing_extensions import Unpack

RANDOM = "random"

Waveforms = Tensor | np.ndarray | Sequence[Any]


class Embedder:
    """A checkpoint's frozen backbones in eval mode, without projection heads (paper section 3.5).

    Args:
        ckpt: a checkpoint file, ``"random"`` (a seeded random model, the RP baseline of appendix D) or a TrainedModel.
        config: of it ``device``, ``compile``, ``precision``, ``batch_size``, and the random model's ``seed`` and
            ``preset`` count here.
        say: takes lines for the user.
        options: those of ``config`` by name, in its place or over it. ``device``: torch's name; None is CUDA when there
            is one. ``compile``: at the first batch (True), never (False, the default), or where the chunks of one call
            pay for it (None). ``precision``: ``"auto"`` (bf16 where the device computes it natively, else fp32),
            ``"bf16"``, ``"fp16"``, ``"fp32"``. ``batch_size``: chunks at once; None chooses by device.

    Raises:
        UserError: a file that is no checkpoint, a device that is not there.
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
        self.device = choose_device(config.device)
        self._precision = choose_precision(config.precision, self.device)
        self._batch_size = config.batch_size
        self._compiling = Compiling(config.compile, say)
        self._engines: dict[str, Engine] = {}

    @property
    def precision(self) -> torch.dtype:
        """The type in which convolutions are computed."""
        return torch_type(self._precision)

    @property
    def sample_rate(self) -> int:
        """Hz, of the sound that the audio backbone was trained on."""
        return self.trained.sample_rate

    @property
    def feature_sizes(self) -> dict[str, int]:
        """Widths of the features by modality, 1024 for the paper's backbones."""
        return self.trained.model.feature_sizes

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the checkpoint has a backbone for."""
        return ("audio",) if self.trained.model.video is None else ("audio", "video")

    def audio(self, waveforms: Waveforms, sample_rate: int, *, per_chunk: bool = False) -> np.ndarray:
        """Features of sounds: the mean over each sound's 3-second chunks, cut as ``dubcli.embed.chunks`` says.

        Args:
            waveforms: samples in [-1, 1] as (samples,), (n, samples) mono or (n, channels, samples) with one or two
                channels (mono becomes dual mono), or a list of (samples,) and (channels, samples) of different lengths.
            sample_rate: in Hz; they are resampled to the checkpoint's.
            per_chunk: give the chunks of all sounds one after another.

        Returns:
            float32 (n, features), or (chunks, features).

        Raises:
            UserError: an empty sound, samples that cannot be used (``core.samples``); what is mended is warned of.

        >>> Embedder("random", preset="tiny").audio([np.zeros(8000), np.zeros((2, 40000))], 8000, per_chunk=True).shape
        (3, 1024)
        """
        chunks: list[Chunk] = []
        counts = []
        for waveform in _as_list(waveforms):
            own = list(cut(resample_blocks([_stereo(waveform)], sample_rate, self.sample_rate), self.sample_rate))
            if not own:
                raise UserError("a sound without samples has no features; leave it out")
            chunks.extend(own)
            counts.append(len(own))
        features = self._in_batches(chunks, "audio")
        if per_chunk or not counts:
            return features
        return np.stack([part.mean(axis=0) for part in np.split(features, np.cumsum(counts)[:-1])])

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
        if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != torch.uint8:
            raise UserError(f"frames are {clips.dtype} {tuple(clips.shape)}; give uint8 (n, frames, height, width, 3)")
        sizes = preset_sizes(self.trained.preset)
        chunks = [Chunk("frames", i, 0.0, 3.0, 0.0, eval_clip(clip, sizes)) for i, clip in enumerate(clips)]
        return self._in_batches(chunks, "video")

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
        out = np.zeros((len(chunks), self.feature_sizes.get(modality, 0)), dtype=np.float32)
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
        }

    def _engine(self, modality: str) -> Engine:
        if modality not in self._engines:
            module: nn.Module | None = getattr(self.trained.model, modality)
            if module is None:
                raise UserError(f"{self.trained.name} is an audio-only checkpoint; it has no {modality} features")
            name = f"{self.trained.content_hash}-{modality}"
            example = fold_example(self.trained.model, modality)
            self._engines[modality] = Engine(module, self.device, self._precision, self._compiling, name, example)
        return self._engines[modality]


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


def _as_list(waveforms: Waveforms) -> list[Tensor]:
    if isinstance(waveforms, (Tensor, np.ndarray)):
        tensor = torch.as_tensor(waveforms)
        if tensor.ndim not in (1, 2, 3):
            raise UserError(f"waveforms are {tuple(tensor.shape)}; give (n, samples) or (n, channels, samples)")
        return list(tensor[None] if tensor.ndim == 1 else tensor)
    return [torch.as_tensor(waveform) for waveform in waveforms]


def _stereo(waveform: Tensor) -> Tensor:
    if waveform.ndim not in (1, 2) or (waveform.ndim == 2 and waveform.shape[0] > 2):
        raise UserError(
            f"a waveform is {tuple(waveform.shape)}; give (samples,), (1, samples) or (2, samples), and more channels "
            "through dubcli.core.features.downmix"
        )
    if not waveform.dtype.is_floating_point:
        raise UserError(f"a waveform is {waveform.dtype}; give floating point samples in [-1, 1]")
    waveform = usable(waveform.detach().cpu().float())
    return waveform.expand(2, -1) if waveform.ndim == 1 or waveform.shape[0] == 1 else waveform
