"""One training step: batch to device, forward, loss, backward; one pass, or several with the large batch's gradient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dubcli.core import machine
from dubcli.core.layout import Layout
from dubcli.core.loss import contrastive_losses
from dubcli.core.models import normalise_pixels
from dubcli.core.transforms import MaskAugmentation, augment_videos, mask_spectrograms, normalise_mels
from dubcli.core.variants import Variant
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.loader import Batch

Inputs = tuple[Tensor | None, Tensor, Tensor | None]


class Stepper:
    """Knows how a model is trained on a batch. ``model`` may be wrapped by DDP and compiled."""

    def __init__(
        self,
        model: nn.Module,
        variant: Variant,
        config: PretrainConfig,
        device: torch.device,
        mel_statistics: tuple[float, float],
        crop: int,
    ) -> None:
        self.model, self.variant, self.config, self.device, self.crop = model, variant, config, device, crop
        self.mel_mean, self.mel_std = mel_statistics
        data = config.data
        self.masks = MaskAugmentation(
            time_frames=data.mask_time_frames,
            mel_bins=data.mask_mel_bins,
            probability=data.mask_probability,
            count=data.masks,
        )
        self.layout = Layout.of(model, device)
        self.precision = machine.choose_precision(config.run.precision, device)
        self.keeps = False
        """Whether the next step leaves what it was given and what it made of it in ``kept``."""
        self.kept: tuple[Inputs, dict[str, Tensor]] | None = None
        # float16 has no numbers for small gradients: the loss is scaled up for it (Micikevicius et al. 2018)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")

    def autocast(self) -> AbstractContextManager[object]:
        """Computing in the precision that was chosen."""
        return machine.autocast(self.device, self.precision)

    def inputs(self, batch: Batch) -> Inputs:
        """(video (batch, 3, 16, crop, crop), primary, secondary (batch, 2, 96, frames)), normalised, on the device."""
        video = None
        if batch.clips:
            moved = [clip.to(self.device, non_blocking=True) for clip in batch.clips]
            video = augment_videos(moved, batch.draws, self.crop)
        elif batch.video is not None:
            video = batch.video.to(self.device, non_blocking=True)
        return (
            None if video is None else self.pixels(video),
            self._mels(batch.primary, batch.primary_masks),
            None if batch.secondary is None else self._mels(batch.secondary, batch.secondary_masks),
        )

    def pixels(self, video: Tensor) -> Tensor:
        """uint8 (batch, 16, 3, crop, crop) -> normalised (batch, 3, 16, crop, crop), laid out as the weights."""
        moved = normalise_pixels(video.to(self.device, non_blocking=True)).permute(0, 2, 1, 3, 4)
        return self.layout.tensor(moved)

    def mels(self, mels: Tensor) -> Tensor:
        """float16 (batch, 2, 96, frames) -> normalised, on the device."""
        return normalise_mels(mels.to(self.device, non_blocking=True), self.mel_mean, self.mel_std)

    def _mels(self, mels: Tensor, draws: Tensor | None) -> Tensor:
        normal = self.mels(mels)
        return normal if draws is None else mask_spectrograms(normal, draws, self.masks)

    def losses(self, projections: dict[str, Tensor]) -> dict[str, Tensor]:
        """Named terms; the training loss is their sum (paper Eq. 2)."""
        chosen = self.config.loss
        return contrastive_losses(
            projections, self.variant.terms, chosen.temperature, chosen.negatives, chosen.local_negatives
        )

    def backward(self, inputs: Inputs) -> dict[str, Tensor]:
        """Compute the gradient of the loss over the whole batch, scaled by ``scaler``. Returns the terms, detached.

        With ``accumulate`` the batch passes in parts: first without gradient for the projections, then, the gradient
        of the loss with respect to them known, again with it (gradient caching, Gao et al. 2021). Dropout's draws are
        replayed; BatchNorm uses each part's statistics in both passes and its running ones move once.
        """
        if self.config.optimisation.accumulate == 1:
            with self.autocast():
                projections = self.model(*inputs)
                terms = self.losses(projections)
            self._keep(inputs, projections)
            self._backward(terms)
            return {name: value.detach() for name, value in terms.items()}
        return self._backward_in_parts(inputs)

    def _backward_in_parts(self, inputs: Inputs) -> dict[str, Tensor]:
        parts = self.parts(inputs)
        states, outputs = [], []
        with torch.no_grad(), frozen_running_statistics(self.model):
            for part in parts:
                states.append(_generator_state(self.device))
                with self.autocast():
                    outputs.append(self.model(*part))
        joined = {name: _widened(torch.cat([out[name] for out in outputs])).requires_grad_() for name in outputs[0]}
        terms = self.losses(joined)
        self._keep(inputs, joined)
        self._backward(terms)
        size = len(parts[0][1])
        for number, (part, state) in enumerate(zip(parts, states, strict=True)):
            last = number == len(parts) - 1
            _set_generator_state(self.device, state)
            with self._no_sync() if not last else nullcontext():
                with self.autocast():
                    projections = self.model(*part)
                rows = slice(number * size, (number + 1) * size)
                torch.autograd.backward(
                    list(projections.values()),
                    [joined[name].grad[rows].to(value.dtype) for name, value in projections.items()],  # type: ignore[index]
                )
        return {name: value.detach() for name, value in terms.items()}

    def _keep(self, inputs: Inputs, projections: dict[str, Tensor]) -> None:
        if self.keeps:
            self.kept = inputs, {name: rows.detach() for name, rows in projections.items()}

    def _backward(self, terms: dict[str, Tensor]) -> None:
        self.scaler.scale(torch.stack(list(terms.values())).sum()).backward()  # type: ignore[no-untyped-call]

    def parts(self, inputs: Inputs) -> list[Inputs]:
        """What passes through the model at once: the batch in ``accumulate`` parts."""
        count = self.config.optimisation.accumulate
        video, primary, secondary = (None if x is None else x.chunk(count) for x in inputs)
        assert primary is not None
        return [
            (video[i] if video else None, primary[i], secondary[i] if secondary else None) for i in range(len(primary))
        ]

    def _no_sync(self) -> Any:
        no_sync = getattr(self.model, "no_sync", None)
        return no_sync() if no_sync is not None else nullcontext()


@contextmanager
def frozen_running_statistics(model: nn.Module) -> Iterator[None]:
    """BatchNorm normalises by the batch as in training but its running statistics stay."""
    norms = [(norm, norm.momentum) for norm in model.modules() if isinstance(norm, _BatchNorm)]
    counters = [norm.num_batches_tracked.clone() for norm, _ in norms if norm.num_batches_tracked is not None]
    for norm, _ in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        tracked = iter(counters)
        for norm, momentum in norms:
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(next(tracked))


def _widened(tensor: Tensor) -> Tensor:
    """At least float32: the loss of autocast's bfloat16 projections."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _generator_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_generator_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
