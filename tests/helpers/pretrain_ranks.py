"""What the tests of several processes run on each rank: five steps of the trainer, or joining and dying."""

import os
import signal
import time
from typing import Any
from unittest import mock

import torch
from fvcore.nn.distributed import differentiable_all_reduce
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dubcli.core import distributed
from dubcli.core.models import DubModel
from dubcli.core.sampler import SameMovieBatchSampler, Share
from dubcli.jobs.progress import SILENT, SilentProgress
from dubcli.pretrain import model as model_module
from dubcli.pretrain.launcher import join_process_group
from dubcli.pretrain.loader import ClipDataset, Request
from dubcli.pretrain.signals import StopRequests
from dubcli.pretrain.step import Stepper
from dubcli.pretrain.trainer import Trainer, train
from dubcli.pretrain.training_films import mel_statistics, read_training_films
from helpers.runs import small_config

STEPS = 5


class GlobalNorm(nn.Module):
    """BatchNorm over all ranks as fvcore's NaiveSyncBatchNorm computes it (equal batches), for any dimensions."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        others = [d for d in range(x.dim()) if d != 1]
        moments = torch.stack([x.mean(others), (x * x).mean(others)])
        if distributed.is_distributed():
            moments = differentiable_all_reduce(moments) / distributed.world_size()
        mean, variance = moments[0], moments[1] - moments[0] ** 2
        shape = [1, -1] + [1] * (x.dim() - 2)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return x * scale.reshape(shape) + (self.bias - mean * scale).reshape(shape)


def _global_double_model(*arguments: Any, **named: Any) -> nn.Module:
    """float64, so that Adam does not blow up rounding: a gradient's sign counts as much as its size there."""
    model = DubModel(*arguments, **named)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                setattr(parent, name, GlobalNorm(child))
    return model.double()


def _double_inputs(self: Stepper, batch: Any) -> Any:
    return tuple(None if x is None else x.double() for x in _INPUTS(self, batch))


_INPUTS = Stepper.inputs


def five_steps(rank: int, world_size: int, cache: str, out: str, local: bool, accumulate: int) -> dict[str, Any]:
    """{"loss": of the five steps, "parameters"}; with world_size 1 the batches of both ranks of a world of two."""
    joined = 2 // world_size
    config = small_config(cache, out, variant="efj", batch_size=4 // accumulate * joined, k=2, accumulate=accumulate,
                          local_negatives=local)  # fmt: skip
    corpus = read_training_films(cache, "efj", 0.0)
    with (
        mock.patch.object(model_module, "DubModel", _global_double_model),
        mock.patch.object(Stepper, "inputs", _double_inputs),
    ):
        trainer = Trainer(config, corpus, torch.device("cpu"), SILENT)
        trainer._build(mel_statistics(corpus.train, corpus.variant))
        dataset = ClipDataset(corpus.train, corpus.variant, config, on_device=False)
        ranks = (0, 1) if joined == 2 else (rank,)
        samplers = [SameMovieBatchSampler(corpus.train.clips_per_movie, 4, 2, share=Share(r, 2)) for r in ranks]
        losses = []
        for number in range(STEPS):
            epoch, step = divmod(number, len(samplers[0]))
            for sampler in samplers:
                sampler.set_epoch(epoch)
            clips = tuple(clip for sampler in samplers for clip in sampler.batch(step))
            trainer._train_on(dataset[Request(epoch, step, clips, corpus.variant.secondary_at(epoch, step))])
            trainer.step += 1
            losses.append(float(distributed.mean_over_ranks(torch.stack(list(trainer._terms.values())).sum())))
    return {"loss": losses, "parameters": {name: p.detach() for name, p in trainer.model.named_parameters()}}


def die_in_a_group(late_by_seconds):
    """Join the process group that the environment describes and leave it as a killed worker does, with status 7."""
    time.sleep(late_by_seconds)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    join_process_group("gloo")
    torch.distributed.barrier()
    os._exit(7)


def ask_before_the_other(rank: int, world_size: int) -> list[int | None]:
    """``StopRequests.agreed`` of four steps. Rank 1 asks when rank 0 has its answer; its signal comes in step 3."""
    store = torch.distributed.distributed_c10d._get_default_store()
    stop, answers = StopRequests(), []
    for step in range(4):
        if rank == 1:
            store.wait([f"answered {step}"])
            stop.received = 15 if step == 2 else stop.received
        answers.append(stop.agreed(torch.device("cpu")))
        if rank == 0:
            store.set(f"answered {step}", "")
    return answers


class _StopAfter(SilentProgress):
    def __init__(self, step: int) -> None:
        self.step = step

    def update(self, task: str, completed: float, **fields: str | float) -> None:
        if completed == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


def straight_and_resumed(rank: int, world_size: int, cache: str, out: str) -> None:
    """Six steps into ``straight``; the same into ``run``, stopped after the third and gone on with by a new trainer."""
    options = {"variant": "efj", "batch_size": 2, "max_steps": 6, "dropout": 0.2, "val_fraction": 0.0}
    train(small_config(cache, f"{out}/straight", **options), device="cpu")
    config = small_config(cache, f"{out}/run", **options)
    assert train(config, _StopAfter(2), device="cpu").step == 3
    train(config, device="cpu")


def straight(rank: int, world_size: int, cache: str, out: str) -> None:
    """Three steps of a rank."""
    train(small_config(cache, out, variant="efj", batch_size=2, max_steps=3, val_fraction=0.0), device="cpu")
