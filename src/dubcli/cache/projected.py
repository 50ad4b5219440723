"""Clips of a cache in the contrastive space of a model: one row of length 1 per picture or sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from dubcli.cache.clips import TrackClip
from dubcli.cache.frames import decode_frames
from dubcli.core.layout import Layout, lay_out
from dubcli.core.models import normalise_pixels, preset_sizes
from dubcli.core.outputs import placed
from dubcli.core.tracks import Track
from dubcli.core.trained import TrainedModel
from dubcli.core.transforms import eval_video, normalise_mels
from dubcli.errors import InputError, UserError

_BATCH = 8


def project(
    trained: TrainedModel,
    items: Sequence[TrackClip],
    device: torch.device,
    done: Callable[[int], None],
    *,
    features: bool = False,
) -> Tensor:
    """Pictures through the video head, sounds through the head that was trained on their track.

    Args:
        trained: the model; it is moved to ``device``.
        items: pictures, sounds or both.
        device: where it is computed.
        done: is told how many items are done.
        features: the backbones' own, before the heads, of items of one kind: what ``embed`` gives.

    Returns:
        float32 (items, width of the contrastive space, or of the features) on the CPU, rows of length 1.

    Raises:
        UserError: pictures for a model without video, frames that do not decode, too little memory.
    """
    if trained.model.video is None and any(item.language is None for item in items):
        raise UserError(f"{trained.name} was trained on sound alone; it places no pictures")
    # as it is trained: convolutions over one axis are several times slower in torch's default order on CPUs
    lay_out(trained.model, device)
    trained.model.to(device)
    rows = torch.zeros(len(items), 0)
    finished = 0
    try:
        for part in _alike(items):
            made = _project_batch(trained, [items[index] for index in part], device, features)
            rows = rows if rows.shape[1] else torch.zeros(len(items), made.shape[1])
            rows[part] = made
            finished += len(part)
            done(finished)
    except torch.OutOfMemoryError:
        raise UserError(f"out of memory on {device}; give --device cpu") from None
    return rows


def _alike(items: Sequence[TrackClip]) -> Iterator[list[int]]:
    """Numbers of items of one kind and shape, a batch at a time."""
    groups: dict[tuple[int, int] | int, list[int]] = {}
    for index, item in enumerate(items):
        width, height = item.movie.meta.get("frame_size", (0, 0))
        kind = (width, height) if item.language is None else Track.of(item.language).mel_frames
        groups.setdefault(kind, []).append(index)
    for group in groups.values():
        for start in range(0, len(group), _BATCH):
            yield group[start : start + _BATCH]


@torch.no_grad()
def _project_batch(
    trained: TrainedModel, items: Sequence[TrackClip], device: torch.device, before_heads: bool
) -> Tensor:
    model = trained.model
    if items[0].language is None:
        sizes = preset_sizes(trained.preset)
        pixels = torch.stack([eval_video(_frames(item), sizes) for item in items]).to(device)
        laid = Layout.of(model, device).tensor(normalise_pixels(pixels).permute(0, 2, 1, 3, 4))
        seen = model.embed_video(laid)
        return (normalize(seen.float(), dim=1) if before_heads else placed(model.heads["video"], seen)).cpu()
    mels = torch.from_numpy(np.stack([item.movie.mel(str(item.language))[item.clip] for item in items]))
    features = model.embed_audio(normalise_mels(mels.to(device), trained.mel_mean, trained.mel_std))
    if before_heads:
        return normalize(features.float(), dim=1).cpu()
    heads = [trained.variant.head_of(Track.of(str(item.language))) for item in items]
    found = {name: placed(model.heads[name], features).cpu() for name in set(heads)}
    return torch.stack([found[name][row] for row, name in enumerate(heads)])


def _frames(item: TrackClip) -> Tensor:
    """uint8 (16, 3, height, width). Raises UserError for frames that do not decode."""
    try:
        return decode_frames(item.movie.frame_bytes(item.clip))
    except InputError as error:
        raise UserError(f"{item.caption}: {error}; prepare the film again") from None
