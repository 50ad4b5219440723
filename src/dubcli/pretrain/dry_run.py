"""What a run would be: its data, its size, and how long a few measured steps say that it takes."""

from __future__ import annotations

import time
from typing import Any

import torch

from dubcli.core.models import count_parameters
from dubcli.jobs.progress import SILENT
from dubcli.pretrain.config import LaunchConfig, PretrainConfig
from dubcli.pretrain.corpus import mel_statistics, read_corpus
from dubcli.pretrain.loader import ClipDataset, Request
from dubcli.pretrain.trainer import Trainer

MEASURED_STEPS = 3


def dry_run(config: PretrainConfig, where: LaunchConfig) -> dict[str, Any]:
    """{"config": every option, "summary": data, parameters, steps, memory and time}. Nothing is written.

    A few steps are trained in this process and thrown away. Raises UserError as ``train`` does.
    """
    corpus = read_corpus(config.cache, config.variant, config.val_fraction)
    processes = (where.gpus or where.procs) * where.nnodes
    device = torch.device("cuda" if where.gpus != 0 and torch.cuda.is_available() else "cpu")
    trainer = Trainer(config, corpus, device, SILENT)
    trainer._build(mel_statistics(corpus.train, corpus.variant))
    dataset = ClipDataset(corpus.train, corpus.variant, config, on_device=device.type == "cuda")
    seconds = []
    for step in range(MEASURED_STEPS):
        batch = dataset[Request(0, 0, tuple(trainer.sampler.batch(0)), corpus.variant.secondary_at(0, step))]
        begun = time.monotonic()
        trainer.stepper.backward(trainer.stepper.inputs(batch))
        trainer.optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - begun)
    steps = max(1, trainer.total_steps // processes) if not config.max_steps else trainer.total_steps
    summary = {
        "variant": corpus.variant.name,
        "films to train on": len(corpus.train.movies),
        "hours to train on": round(corpus.train.hours, 3),
        "films held out": len(corpus.held_out.movies),
        "films that lack a track": corpus.lacking,
        "languages": ", ".join(corpus.variant.languages),
        "parameters": count_parameters(trainer.model),
        "processes": processes,
        "steps": steps,
        "device": str(device),
        "precision": trainer.stepper.precision,
        "seconds per step": round(min(seconds), 3),
        "hours for all steps": round(steps * min(seconds) / 3600, 2),
        "peak memory (GB)": round(_peak_bytes(device) / 1e9, 2),
    }
    return {"config": config.to_dict(), "summary": summary}


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
