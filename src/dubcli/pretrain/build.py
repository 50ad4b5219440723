"""A run's model and optimizer, wrapped for its ranks, and a step thrown away that makes them as they stay."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dubcli.core import distributed
from dubcli.core.layout import lay_out
from dubcli.core.models import DubModel
from dubcli.core.variants import Variant
from dubcli.errors import UserError
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.loader import Batch
from dubcli.pretrain.model import Given, make_model
from dubcli.pretrain.step import Stepper


def build_model(variant: Variant, config: PretrainConfig, device: torch.device, given: Given | None = None) -> DubModel:
    """The model on its device, with the weights of the run's seed, or those ``given``.

    Raises UserError where --sync-bn cannot be had, or as ``make_model``.
    """
    torch.manual_seed(config.seed)
    model = make_model(config, variant, given)
    if config.sync_bn and distributed.world_size() > 1:
        if device.type != "cuda":
            raise UserError("--sync-bn needs GPUs: torch's SyncBatchNorm has no CPU form; leave it away")
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return lay_out(model.to(device), device)


def build_optimizer(model: nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    """AdamW over all weights (paper section 3.4)."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )


def wrap(model: DubModel, config: PretrainConfig, device: torch.device) -> nn.Module:
    """The model as it is stepped: gradients averaged over the ranks, compiled where that is wanted."""
    wrapped: nn.Module = model
    if distributed.world_size() > 1:
        wrapped = DistributedDataParallel(
            model, device_ids=[device] if device.type == "cuda" else None, gradient_as_bucket_view=True
        )
    if config.compile or (config.compile is None and device.type == "cuda"):
        # where nobody asked for it, a machine without a compiler trains as well, with a warning
        torch._dynamo.config.suppress_errors = config.compile is None
        wrapped = torch.compile(wrapped)  # type: ignore[assignment]
    return wrapped


def settle(stepper: Stepper, model: DubModel, batch: Batch) -> None:
    """A step thrown away: weights and BatchNorm's statistics are as before, the generators are not.

    DistributedDataParallel sums the gradients of its first step in buckets of the weights' order and those of all later
    steps in buckets of the order in which gradients came. From three ranks on the place in a bucket decides the order
    of a sum, and so its last bits: a run that goes on would take another first step than the run it goes on with.
    After this step every step of every start is a later one. (``find_unused_parameters`` keeps the first buckets too,
    but walks the graph in each step.) It costs one step a start.
    """
    if batch.error is not None:
        raise UserError(batch.error)
    before = [buffer.clone() for buffer in model.buffers()]
    stepper.backward(stepper.inputs(batch))
    for parameter in model.parameters():
        parameter.grad = None
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.copy_(value)
