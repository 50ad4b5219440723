"""One frozen backbone, run as fast as the machine allows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Engine:
    """Runs ``module`` on batches as the backbone takes them (5-D); features are float32 (batch, 1024) on the CPU."""

    def __init__(self, module: nn.Module, device: torch.device, precision: torch.dtype) -> None:
        self._device = device
        self._precision = precision
        self._module = module.to(device).to(memory_format=torch.channels_last_3d)

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """(batch, ...) float32 on the engine's device -> (batch, 1024) float32 on the CPU."""
        batch = batch.to(memory_format=torch.channels_last_3d)
        with torch.autocast(self._device.type, self._precision, enabled=self._precision != torch.float32):
            features: Tensor = self._module(batch)
        return features.float().cpu()
