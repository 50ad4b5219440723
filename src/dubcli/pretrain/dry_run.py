"""What a run would be: its data, its size, and how long a few measured steps say that it takes."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from dubcli.core import machine
from dubcli.core.memory import is_out_of_memory, peak_bytes
from dubcli.core.models import count_parameters
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT
from dubcli.pretrain.config import LaunchConfig, PretrainConfig
from dubcli.pretrain.launcher import gpus_of
from dubcli.pretrain.loader import Request
from dubcli.pretrain.trainer import Trainer
from dubcli.pretrain.training_films import mel_statistics, read_training_films

MEASURED_STEPS = 3


def dry_run(config: PretrainConfig, where: LaunchConfig) -> dict[str, Any]:
    """{"config": every option, "summary": data, parameters, steps, memory and time}. Nothing is written.

    A few steps are trained in this process and thrown away. Raises UserError as ``train`` does.
    """
    data = config.data
    films = read_training_films(data.cache, data.variant, data.val_fraction, data.films_with)
    gpus = gpus_of(where)
    processes = (gpus or where.procs) * where.nnodes
    device = torch.device("cuda" if gpus else "cpu")
    trainer = Trainer(config, films, device, SILENT, processes_here=processes // where.nnodes)
    loading, training = _measured(trainer)
    batches = trainer.choose_loading()
    workers = batches.workers
    # worker processes load while the model trains; on the CPU they take its cores, on none they take turns with it
    ahead = device.type == "cuda" and workers > 0
    seconds = max(training, loading / workers) if ahead else training + loading
    epoch_steps = films.train.clips // (config.optimisation.clips_per_step * processes)
    steps = config.optimisation.total_steps(epoch_steps)
    facts = trainer.learner.facts
    summary = {
        "variant": films.variant.name,
        "films to train on": len(films.train.movies),
        "hours to train on": round(films.train.hours, 3),
        "films held out": len(films.held_out.movies),
        "films that lack a track": films.lacking,
        "film set": films.film_set,
        "other films": films.note or "none",
        "languages": ", ".join(films.variant.languages),
        "tracks": ", ".join(map(str, films.variant.tracks)),
        "parameters": count_parameters(trainer.model),
        "processes": processes,
        "steps": steps,
        "device": facts["device"],
        "precision": facts["precision_used"],
        "compiled": facts["compiled"] or facts["why_not_compiled"] or False,
        "memory layout": facts["layout_used"],
        "torch": facts["torch"],
        "loader processes": f"{workers} over {batches.sharing}" if workers else 0,
        "films damaged": len(films.damaged),
        "seconds per step": round(seconds, 3),
        "hours for all steps": round(steps * seconds / 3600, 2),
        "peak memory (GB)": round(peak_bytes(device) / 1e9, 2),
    }
    return {"config": config.to_dict(), "summary": summary}


def _measured(trainer: Trainer) -> tuple[float, float]:
    """``_measure`` of the built trainer. Raises UserError also where memory does not suffice."""
    with machine.kernels(trainer.config.run.deterministic, trainer.device):
        try:
            trainer._build(mel_statistics(trainer.films.train, trainer.films.variant))
            return _measure(trainer)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        raise trainer.out_of_memory()


def _measure(trainer: Trainer) -> tuple[float, float]:
    """Seconds to load a batch (one process) and to train on it: medians; the first step, which warms up, is left out.

    Raises UserError where a batch cannot be loaded.
    """
    variant = trainer.films.variant
    dataset = trainer.dataset()
    loading, training = [], []
    for step in range(1 + MEASURED_STEPS):
        begun = time.monotonic()
        clips = tuple(trainer.sampler.batch(step % trainer.epoch_steps))
        batch = dataset[Request(0, step, clips, variant.secondary_at(0, step))]
        if batch.error is not None:
            raise UserError(batch.error)
        loaded = time.monotonic()
        trainer._train_on(batch)
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()
        loading.append(loaded - begun)
        training.append(time.monotonic() - loaded)
    return statistics.median(loading[1:]), statistics.median(training[1:])
