"""What the ranks of the distributed loss tests do."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dubcli.core import distributed
from dubcli.core import loss as loss_module
from dubcli.core.loss import contrastive_losses, nt_xent_distributed

DIM_IN, DIM = 6, 5
TERMS = (("video", "primary"), ("video", "secondary"))


class Heads(nn.Module):
    """Three small encoders in float64, so that only real differences show."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        for name in ("video", "primary", "secondary"):
            layer = nn.Linear(DIM_IN, DIM, dtype=torch.float64)
            with torch.no_grad():
                layer.weight.copy_(torch.randn(DIM, DIM_IN, generator=generator, dtype=torch.float64))
                layer.bias.copy_(torch.randn(DIM, generator=generator, dtype=torch.float64))
            self.add_module(name, layer)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: layer(inputs[name]) for name, layer in self.named_children()}


def joined_inputs(batch: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {
        name: torch.randn(batch, DIM_IN, generator=generator, dtype=torch.float64)
        for name in ("video", "primary", "secondary")
    }


def train_step(model: nn.Module, inputs: dict[str, Tensor], negatives: str, local: bool) -> dict[str, Any]:
    losses = contrastive_losses(model(inputs), TERMS, 0.2, negatives, local_negatives=local)
    # Unequal weights: each term's gradient must reach its own heads.
    loss = losses["video-primary"] + 2 * losses["video-secondary"]
    loss.backward()
    gradients = {name.removeprefix("module."): parameter.grad for name, parameter in model.named_parameters()}
    return {"loss": distributed.mean_over_ranks(loss), "gradients": gradients}


def ddp_steps(rank: int, world_size: int, batch: int, plain: bool) -> dict[tuple[str, bool], Any]:
    """A step under DistributedDataParallel for each form of the loss, on this rank's part of the joined batch."""
    loss_module._PLAIN_ELEMENTS = 2**40 if plain else 0
    part = {name: rows.chunk(world_size)[rank] for name, rows in joined_inputs(batch).items()}
    results = {}
    for negatives in ("both", "cross"):
        for local in (False, True):
            results[negatives, local] = train_step(DistributedDataParallel(Heads()), part, negatives, local)
    return results


def feature_gradients(rank: int, world_size: int, batch: int, negatives: str) -> dict[str, Any]:
    """Gradients with respect to this rank's vectors, by the loss and by a naive loss over ``gather_with_grad``."""
    inputs = joined_inputs(batch)
    results = {}
    for name in ("blockwise", "plain", "gathered"):
        a = inputs["video"].chunk(world_size)[rank].clone().requires_grad_()
        b = inputs["primary"].chunk(world_size)[rank].clone().requires_grad_()
        loss_module._PLAIN_ELEMENTS = 2**40 if name == "plain" else 0
        if name != "gathered":
            loss = nt_xent_distributed(a, b, 0.3, negatives)
        else:
            loss = _naive_rank_loss(a, b, rank * len(a), 0.3, negatives)
        loss.backward()
        results[name] = (loss.detach(), a.grad, b.grad)
    results["plain_gather"] = distributed.gather(torch.full((2, 3), float(rank)))
    results["broadcast"] = distributed.broadcast_object({"rank": rank})
    return results


def _naive_rank_loss(a: Tensor, b: Tensor, offset: int, temperature: float, negatives: str) -> Tensor:
    """The same loss the plain way: gather with gradient, whole matrices, autograd."""
    a, b = nn.functional.normalize(a, dim=1), nn.functional.normalize(b, dim=1)
    all_a, all_b = distributed.gather_with_grad(a), distributed.gather_with_grad(b)
    place = torch.arange(len(a)) + offset
    if negatives == "cross":
        logits_a, logits_b = a @ all_b.T / temperature, b @ all_a.T / temperature
        losses = [nn.functional.cross_entropy(logits, place) for logits in (logits_a, logits_b)]
        return sum(losses) / 2
    columns = torch.cat([all_a, all_b])
    total = a.new_zeros(())
    for rows, own, positive in ((a, place, place + len(all_a)), (b, place + len(all_a), place)):
        logits = rows @ columns.T / temperature
        logits = logits.scatter(1, own[:, None], -torch.inf)
        total = total + nn.functional.cross_entropy(logits, positive) / 2
    return total
