"""The HEAR 2021 API (https://hearbenchmark.com/hear-api.html) over a checkpoint's audio backbone.

Any program that takes a module with this API (hear-eval-kit, hear-validator) takes ``dubcli.hear``::

    model = load_model("runs/efj/ckpt.pt")
    scenes = get_scene_embeddings(audio, model)                    # (sounds, features)
    embeddings, timestamps = get_timestamp_embeddings(audio, model)  # (sounds, times, features), (sounds, times) in ms

``audio``: mono, float, (sounds, samples) at ``model.sample_rate`` Hz, in [-1, 1], on the model's device.

Computed in float32 unless ``load_model`` is told otherwise: that is what other models with this API do, and what makes
results of one machine those of another. ``precision="auto"`` is bf16 on GPUs that compute it natively.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from dubcli.core.features import log_mel
from dubcli.core.layout import Layout
from dubcli.core.machine import autocast, choose_precision, parse_precision
from dubcli.core.memory import keep_freed_memory, out_of_memory
from dubcli.core.outputs import Output
from dubcli.core.samples import LOUDEST, usable
from dubcli.core.trained import TrainedModel
from dubcli.core.transforms import normalise_mels
from dubcli.embed.chunks import CHUNK_SECONDS, chunk_count, padded_length
from dubcli.embed.embedder import load_trained_or_random
from dubcli.errors import UserError, one_of

HOP_MS = 50.0
"""Milliseconds between timestamp embeddings: the largest that HEAR recommends (its transcription tolerance)."""

_WINDOWS_PER_BATCH = {"cpu": 16}
_WINDOWS_PER_BATCH_ON_ACCELERATOR = 256


class HearModel(nn.Module):
    """A frozen audio backbone with the attributes that HEAR asks for.

    ``sample_rate`` in Hz (48000, or 44100 for ``sep`` checkpoints); ``scene_embedding_size`` and
    ``timestamp_embedding_size``: the backbone's width, 1024 for the paper's.

    Args:
        trained: the model.
        hop_ms: milliseconds between timestamp embeddings, 1 to 3000.
        precision: auto, bf16, fp16 or fp32.
        batch_size: windows that go through the backbone at once; None chooses by the device.
        pool: how a sound's chunks become its scene embedding, mean or max.
        output: the backbone's output, that of a layer inside, or the projection head's.

    Raises:
        UserError: values out of range, a layer that is not there.

    >>> model = load_model("random:tiny", hop_ms=100)
    >>> model.sample_rate, model.scene_embedding_size
    (48000, 1024)
    """

    def __init__(
        self,
        trained: TrainedModel,
        hop_ms: float = HOP_MS,
        *,
        precision: str = "fp32",
        batch_size: int | None = None,
        pool: str = "mean",
        output: Output = Output(),
    ) -> None:
        super().__init__()
        if not 1.0 <= hop_ms <= 1000.0 * CHUNK_SECONDS:
            raise UserError(f"hop_ms is {hop_ms}; give 1 to {1000 * CHUNK_SECONDS}")
        self.sample_rate: int = trained.sample_rate
        self.scene_embedding_size: int = output.size(trained.model, "audio")
        self.timestamp_embedding_size: int = self.scene_embedding_size
        if batch_size is not None and batch_size < 1:
            raise UserError(f"batch_size is {batch_size}; give 1 or more")
        self.hop_ms = hop_ms
        self.pool = one_of("pool", pool, ("mean", "max"))
        self.precision = parse_precision(precision)
        self._batch_size = batch_size
        self.mel_mean = trained.mel_mean
        self.mel_std = trained.mel_std
        self.backbone = output.module(trained.model, "audio", warnings.warn)
        Layout.of(self.backbone, torch.device("cpu")).module(self.backbone)

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """(sounds, samples) mono -> (sounds, features) float32; each sound as one chunk. Mono becomes dual mono.

        Raises UserError, with a batch size that fits, where the device's memory does not hold so many.
        """
        try:
            return self._features(audio)
        except torch.OutOfMemoryError:
            pass
        option = "load_model(..., batch_size={})"
        raise out_of_memory(audio.device, len(audio), lambda size: self._features(audio[:size]), option)

    def _features(self, audio: Tensor) -> Tensor:
        if audio.device.type == "cpu":
            keep_freed_memory()
        mels = normalise_mels(log_mel(audio.float(), self.sample_rate), self.mel_mean, self.mel_std)
        batch = mels[:, None].expand(-1, 2, -1, -1)
        with autocast(audio.device, choose_precision(self.precision, audio.device)):
            features: Tensor = self.backbone(Layout.of(self.backbone, batch.device).tensor(batch))
        return features.float()

    @property
    def batch_size(self) -> int:
        """Windows that go through the backbone at once."""
        if self._batch_size is not None:
            return self._batch_size
        device = next(self.backbone.parameters()).device.type
        return _WINDOWS_PER_BATCH.get(device, _WINDOWS_PER_BATCH_ON_ACCELERATOR)


def load_model(
    model_file_path: str | os.PathLike[str] = "",
    *,
    seed: int = 0,
    layer: str = "",
    projected: bool = False,
    **options: Any,
) -> HearModel:
    """A checkpoint of any variant as a HEAR model.

    Args:
        model_file_path: a checkpoint; ``""`` or ``"random"`` is the seeded random model (RP baseline),
            ``"random:tiny"`` and ``"random:small"`` those of the smaller presets.
        seed: of the random model.
        layer, projected: features of a layer inside the backbone, or the space of the contrastive loss.
        options: hop_ms, precision, batch_size, pool: see HearModel.

    Returns:
        The model, as the HEAR API's other functions take it.

    Raises:
        UserError: the file is no checkpoint.

    >>> load_model("runs/es").timestamp_embedding_size
    1024
    """
    trained = load_trained_or_random(os.fspath(model_file_path) or "random", seed=seed)
    return HearModel(trained, output=Output(layer, projected), **options)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """One embedding per sound: the mean (or ``model.pool``) over its chunks, those of ``dubcli.embed.chunks``.

    Args:
        audio: floating point (sounds, samples), mono at ``model.sample_rate``.
        model: of ``load_model``.

    Returns:
        float32 (sounds, features).

    Raises:
        ValueError: audio that is not 2-D or is empty, or whose samples cannot be used (``core.samples``).

    >>> get_scene_embeddings(torch.zeros(2, 48000), load_model("random:tiny")).shape
    torch.Size([2, 1024])
    """
    audio = _checked(audio)
    full = CHUNK_SECONDS * model.sample_rate
    samples = audio.shape[1]
    count = chunk_count(samples, full)
    length = full if samples >= full else padded_length(samples, model.sample_rate)
    filled = pad(audio, (0, max(0, count * length - samples)))[:, : count * length]
    chunks = filled.reshape(-1, length)
    features = torch.cat([model(part) for part in torch.split(chunks, model.batch_size)])
    of_sounds = features.reshape(audio.shape[0], count, -1)
    return of_sounds.amax(dim=1) if model.pool == "max" else of_sounds.mean(dim=1)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """Embeddings over time.

    The embedding at time t is that of the 3 seconds around t, with silence beyond the sound's ends; t = 0, hop, 2 hop,
    ... up to the sound's end. Window starts are rounded from exact fractions, so nothing drifts in long sounds.

    Args:
        audio: floating point (sounds, samples), mono at ``model.sample_rate``.
        model: of ``load_model``.

    Returns:
        float32 (sounds, times, features), and their times in milliseconds, (sounds, times).

    Raises:
        ValueError: audio that is not 2-D or is empty, or whose samples cannot be used (``core.samples``).

    >>> embeddings, milliseconds = get_timestamp_embeddings(torch.zeros(1, 9600), load_model("random:tiny"))
    >>> embeddings.shape, milliseconds[0].tolist()
    (torch.Size([1, 5, 1024]), [0.0, 50.0, 100.0, 150.0, 200.0])
    """
    audio = _checked(audio)
    full = CHUNK_SECONDS * model.sample_rate
    hop = Fraction(model.hop_ms).limit_denominator(1_000_000) * model.sample_rate / 1000
    times = int(Fraction(audio.shape[1]) / hop) + 1
    surrounded = pad(audio, (full // 2, full - full // 2))
    out = torch.empty(audio.shape[0], times, model.timestamp_embedding_size, device=audio.device)
    for sound in range(audio.shape[0]):
        for part in _parts(times, model.batch_size):
            starts = [round(hop * time) for time in part]
            windows = torch.stack([surrounded[sound, start : start + full] for start in starts])
            out[sound, part.start : part.stop] = model(windows)
    timestamps = torch.arange(times, dtype=torch.float64, device=audio.device) * model.hop_ms
    return out, timestamps.float().expand(audio.shape[0], -1)


def _parts(count: int, size: int) -> Iterator[range]:
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def _checked(audio: Tensor) -> Tensor:
    if audio.ndim != 2 or audio.shape[1] == 0 or not audio.is_floating_point():
        raise ValueError(f"audio is {audio.dtype} {tuple(audio.shape)}; give float (sounds, samples)")
    if float(audio.abs().amax()) <= LOUDEST:  # not where one is no number
        return audio
    try:
        return torch.stack([usable(sound) for sound in audio])
    except UserError as error:
        raise ValueError(str(error)) from None
