"""The training loop: resumable after any step, stopped by signals, the same on one process and on many."""

from __future__ import annotations

import math
import random
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dubcli.core import distributed
from dubcli.core.checkpoint import model_entries, restore_rng, rng_state
from dubcli.core.kernels import kernels_of, settle_kernels
from dubcli.core.machine import choose_precision
from dubcli.core.memory import keep_freed_memory
from dubcli.core.models import FRAMES, count_parameters, preset_sizes
from dubcli.core.sampler import SameMovieBatchSampler
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.pretrain.build import build_model, build_optimizer, settle, wrap
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.corpus import Corpus, mel_statistics, read_corpus
from dubcli.pretrain.loader import BadClip, Batch, BlankClips, ClipDataset, Request, Requests, make_loader
from dubcli.pretrain.model import Given, recorded
from dubcli.pretrain.run_folder import RunFolder
from dubcli.pretrain.signals import StopRequests
from dubcli.pretrain.step import Stepper
from dubcli.pretrain.validation import validate

TASK = "steps"


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """How a run ended. ``stopped_by``: the signal's number, None where all steps are done."""

    folder: Path
    step: int
    total_steps: int
    stopped_by: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    bad_clips: int = 0


def learning_rate_at(step: int, total: int, warmup: int, highest: float) -> float:
    """Linear warm-up over ``warmup`` steps, then a cosine to 0 at step ``total`` (paper section 3.4)."""
    if step < warmup:
        return highest * (step + 1) / warmup
    return highest * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def train(
    config: PretrainConfig,
    progress: Progress = SILENT,
    *,
    device: str | None = None,
    fresh: bool = False,
    model: Given | None = None,
) -> RunSummary:
    """Train in this process, which may be one rank of a process group that is set up already.

    ``model``: a ``DubModel`` of the caller's, or ``{"audio": module}``, ``{"video": module}`` or both, in place of what
    ``config`` names; ``config.seed`` then seeds the rest of the weights. Checkpoints name the modules' classes; they
    load again with ``load_trained(path, backbones={"audio": module})``.

    An existing run folder is gone on with, to the same result as if it had never been interrupted; ``fresh`` starts
    over. Raises UserError where nothing can be trained, the folder holds a run with another config, or the loss is
    no number.
    """
    corpus = read_corpus(config.cache, config.variant, config.val_fraction)
    trainer = Trainer(config, corpus, _device(device), progress, model)
    with StopRequests() as stop:
        return trainer.run(stop, fresh=fresh)


def _device(name: str | None) -> torch.device:
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


@dataclass
class _Tally:
    """Clips and seconds since the last line of the log."""

    clips: int = 0
    waited: float = 0.0
    took: float = 0.0

    def add(self, clips: int, waited: float, took: float) -> None:
        self.clips, self.waited, self.took = self.clips + clips, self.waited + waited, self.took + took

    def take(self) -> dict[str, float]:
        """{"clips_per_second", "data_wait" (share of the time)}, and begin anew."""
        took = max(self.took, 1e-9)
        found = {"clips_per_second": self.clips / took, "data_wait": self.waited / took}
        self.clips, self.waited, self.took = 0, 0.0, 0.0
        return found


class Trainer:
    """One rank's part of a run."""

    def __init__(
        self,
        config: PretrainConfig,
        corpus: Corpus,
        device: torch.device,
        progress: Progress,
        model: Given | None = None,
    ) -> None:
        self.config, self.corpus, self.device = recorded(config, model), corpus, device
        self._given = model
        self.progress = progress if distributed.is_main() else SILENT
        self.folder = RunFolder(config.folder)
        self.sampler = SameMovieBatchSampler(
            corpus.train.clips_per_movie,
            config.batch_size * config.accumulate,
            config.k,
            seed=config.seed,
            rank=distributed.rank(),
            world_size=distributed.world_size(),
            sampling=config.sampling,
        )
        self.epoch_steps = len(self.sampler)
        if self.epoch_steps == 0:
            need = config.batch_size * config.accumulate * distributed.world_size()
            raise UserError(
                f"variant {corpus.variant.name} has {corpus.train.clips} clips to train on, a step takes {need}; "
                f"prepare more films or give --batch-size {max(2, corpus.train.clips // distributed.world_size())}"
            )
        everything = config.epochs * self.epoch_steps
        self.total_steps = min(config.max_steps, everything) if config.max_steps else everything
        self.warmup_steps = max(1, min(round(config.warmup_epochs * self.epoch_steps), self.total_steps // 2))
        self.step = 0
        self.bad_clips = sum(clips for clips, _ in corpus.damaged)
        self.validated = 0
        self.metrics: dict[str, float] = {}
        self._recent: deque[tuple[int, tuple[int, ...], Tensor]] = deque(maxlen=max(config.log_every, 1))
        self._last_save = time.monotonic()
        self._since_log = _Tally()
        if device.type == "cpu":
            keep_freed_memory()

    def run(self, stop: StopRequests, *, fresh: bool) -> RunSummary:
        """Train from where the folder stands to the end, or until a signal."""
        if fresh and distributed.is_main():
            self.folder.clear()
        distributed.barrier()
        self.folder.check(self.config, distributed.world_size())
        self._note_bad([text for _, text in self.corpus.damaged], "left out", count=0)
        state = self.folder.load()
        statistics = (
            (state["mel_mean"], state["mel_std"]) if state else mel_statistics(self.corpus.train, self.corpus.variant)
        )
        self._build(statistics)
        if state is not None:
            self._restore(state)
        if distributed.is_main():
            self.folder.begin(self.config, self._extra())
            self.folder.cut_metrics(self.step)
        self.progress.start(TASK, self.total_steps, "steps")
        try:
            if self._validation_due and self.validated != self.step:  # stopped before it could be done
                self._validate()
                self._save(None)
            stopped = self._epochs(stop)
        finally:
            self.progress.finish(TASK)
            self.folder.close()
        return RunSummary(
            folder=self.folder.path,
            step=self.step,
            total_steps=self.total_steps,
            stopped_by=stopped,
            metrics=self.metrics,
            bad_clips=self.bad_clips,
        )

    def _extra(self) -> dict[str, Any]:
        """What ``config.json`` records beside the options."""
        train, held_out = self.corpus.train, self.corpus.held_out
        return {
            "world_size": distributed.world_size(),
            "languages": list(self.corpus.variant.languages),
            "tracks": {
                track.name: {"sample_rate": track.sample_rate, "mel_frames": track.mel_frames}
                for track in self.corpus.variant.tracks
            },
            "train_films": len(train.movies),
            "train_hours": round(train.hours, 4),
            "held_out_films": [movie.id for movie in held_out.movies],
            "damaged": [text for _, text in self.corpus.damaged],
            "steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "parameters": count_parameters(self.model),
            "precision_used": self.stepper.precision,
            "layout_used": kernels_of(self.model, self.device),
        }

    def _build(self, statistics: tuple[float, float]) -> None:
        config = self.config
        crop = preset_sizes(config.preset).crop
        self.model = build_model(self.corpus.variant, config, self.device, self._given)
        if self.model.video is not None:
            precision = choose_precision(config.precision, self.device)
            shape = config.batch_size, 3, FRAMES, crop, crop
            settle_kernels(self.model.video, shape, self.device, precision, self.progress.message)
        self.optimizer = build_optimizer(self.model, config)
        wrapped = wrap(self.model, config, self.device)
        self.stepper = Stepper(wrapped, self.corpus.variant, config, self.device, statistics, crop)
        if distributed.world_size() > 1:
            settle(self.stepper, self.model, self._blank_batch())
        # ranks draw different dropout; the other generators are seeded so that nothing depends on the moment
        own_seed = config.seed * 4099 + 1 + distributed.rank()
        torch.manual_seed(own_seed)
        random.seed(own_seed)
        np.random.seed(own_seed % 2**32)

    def _blank_batch(self) -> Batch:
        """The shapes of the first step, with nothing in it."""
        variant = self.corpus.variant
        dataset = BlankClips(self.corpus.train, variant, self.config, on_device=self.device.type == "cuda")
        return dataset[Request(0, 0, tuple(self.sampler.batch(0)), variant.secondary_at(0, 0))]

    def _restore(self, state: dict[str, Any]) -> None:
        if "optimizer" not in state:
            raise UserError(f"{self.folder.checkpoint} holds a model but no training state; use --fresh to start over")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.load_state_dict(state["sampler"])
        restore_rng(state["rng"][distributed.rank()])
        self.step, self.bad_clips = int(state["step"]), int(state["bad_clips"])
        self.validated = int(state["validated"])

    def _state(self) -> dict[str, Any]:
        rng: list[Any] = [rng_state()]
        if distributed.world_size() > 1:
            everyone: list[Any] = [None] * distributed.world_size()
            torch.distributed.all_gather_object(everyone, rng[0])
            rng = everyone
        epoch, step = divmod(self.step, self.epoch_steps)
        self.sampler.set_epoch(epoch)
        entries = model_entries(
            self.model, mel_mean=self.stepper.mel_mean, mel_std=self.stepper.mel_std, config=self.config.to_dict()
        )
        return entries | {
            "epoch": epoch,
            "step": self.step,
            "bad_clips": self.bad_clips,
            "validated": self.validated,
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.state_dict(step),
            "rng": rng,
        }

    def _epochs(self, stop: StopRequests) -> int | None:
        dataset = ClipDataset(self.corpus.train, self.corpus.variant, self.config, on_device=self.device.type == "cuda")
        while self.step < self.total_steps:
            epoch, first = divmod(self.step, self.epoch_steps)
            last = min(self.epoch_steps, first + self.total_steps - self.step)
            requests = Requests(self.sampler, self.corpus.variant, epoch, first, last)
            loader = make_loader(dataset, requests, self._loader_workers(), pin=self.device.type == "cuda")
            stopped = self._steps(iter(loader), last - first, stop)
            if stopped is not None:
                return stopped
        return None

    def _loader_workers(self) -> int:
        if self.config.loader_workers >= 0:
            return self.config.loader_workers
        from dubcli.jobs.options import JobOptions

        cores = JobOptions().worker_count
        local = max(1, distributed.world_size())
        # on the CPU the model itself keeps the cores busy
        return min(2, cores // 2) if self.device.type == "cpu" else max(1, min(12, cores // local))

    def _steps(self, batches: Any, count: int, stop: StopRequests) -> int | None:
        for _ in range(count):
            asked = time.monotonic()
            batch: Batch = next(batches)
            if batch.error is not None:
                raise UserError(batch.error)
            waited = time.monotonic() - asked
            self._note_bad(batch.bad, "replaced", count=len(batch.bad))
            self._train_on(batch)
            self.step += 1
            self._after_step(batch, waited, time.monotonic() - asked)
            signal_number = stop.agreed(self.device)
            epoch_done = self.step // self.epoch_steps if self.step % self.epoch_steps == 0 else None
            finished = self.step == self.total_steps
            if self._validation_due and signal_number is None:
                self._check_losses()
                self._validate()
            if signal_number is not None or epoch_done or finished or self._due():
                self._check_losses()
                self._save(epoch_done)
            if signal_number is not None and not finished:
                return signal_number
        return None

    @property
    def _validation_due(self) -> bool:
        """Early, after half an epoch, then after each epoch and at the end."""
        at_epoch = self.step > 0 and self.step % self.epoch_steps == 0
        return at_epoch or self.step == self.total_steps or (self.step > 0 and self.step == self.epoch_steps // 2)

    def _train_on(self, batch: Batch) -> None:
        self.learning_rate = learning_rate_at(self.step, self.total_steps, self.warmup_steps, self.config.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.stepper.backward(self.stepper.inputs(batch))
        if self.config.clip_gradient:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_gradient)
        self.optimizer.step()
        self._terms = terms
        self._recent.append((self.step, batch.request.clips, torch.stack(list(terms.values())).sum()))

    def _note_bad(self, texts: list[str], what: str, *, count: int) -> None:
        self.bad_clips += count
        for text in texts:
            self.progress.message(f"{what}: {text}")
        if texts and self.bad_clips > self.config.max_bad_clips:
            raise UserError(
                f"{self.bad_clips} clips cannot be read, more than --max-bad-clips {self.config.max_bad_clips}; "
                f"the last: {texts[-1]}; dubav ls {self.config.cache} --check names them all"
            )

    def _after_step(self, batch: Batch, waited: float, took: float) -> None:
        if self.device.type == "cpu":
            self._check_losses()
        self._since_log.add(len(batch.request.clips) * distributed.world_size(), waited, took)
        if self.step % self.config.log_every and self.step != self.total_steps:
            return
        self._check_losses()
        losses = {name: float(distributed.mean_over_ranks(value)) for name, value in self._terms.items()}
        self.metrics = {"loss": sum(losses.values()), **{f"loss/{name}": value for name, value in losses.items()}}
        speed = self._since_log.take()
        if distributed.is_main():
            epoch = self.step / self.epoch_steps
            line = {"step": self.step, "epoch": round(epoch, 4), **self.metrics, "lr": self.learning_rate, **speed}
            secondary = batch.request.secondary
            other = secondary not in (None, self.corpus.variant.primary)
            self.folder.log(line | {"secondary": str(secondary)} if other else line)
        self.progress.update(TASK, self.step, loss=self.metrics["loss"], lr=self.learning_rate, **speed)

    def _check_losses(self) -> None:
        """A loss that is no number ends the run before anything of it is saved."""
        if not self._recent:
            return
        losses = torch.stack([loss for _, _, loss in self._recent]).tolist()  # a device is waited for once
        for (step, clips, _), loss in zip(self._recent, losses, strict=True):
            if not math.isfinite(loss):
                names = ", ".join(self.corpus.train.name(clip) for clip in clips)
                good = self.folder.checkpoint if self.folder.checkpoint.exists() else "none yet"
                raise UserError(
                    f"the loss of step {step + 1} is {loss}; the batch: {names}; last good checkpoint: {good}; "
                    "a lower --learning-rate or --precision fp32 may help"
                )
        self._recent.clear()

    def _due(self) -> bool:
        if self.config.save_every and self.step % self.config.save_every == 0:
            return True
        due = time.monotonic() - self._last_save > self.config.save_minutes * 60
        # rank 0's clock decides for all: saving gathers the generators' states from every rank
        return bool(distributed.broadcast_object(due)) if self.step % self.config.log_every == 0 else False

    def _save(self, epoch_done: int | None) -> None:
        state = self._state()
        if distributed.is_main():
            self.folder.save(state, epoch_done=epoch_done, keep=self.config.keep)
        self._last_save = time.monotonic()
        distributed.barrier()

    def _validate(self) -> None:
        first, self.validated = self.validated == 0, self.step
        if not self.corpus.held_out.movies:
            return
        dataset = ClipDataset(self.corpus.held_out, self.corpus.variant, self.config, on_device=False)
        bad: list[str] = []
        try:
            metrics = validate(self.stepper, self.model, dataset, self.config.val_clips, bad, self._loader_workers())
        except BadClip as error:
            raise UserError(f"{error}; prepare that film again, or leave it out of the cache") from None
        # named each time; counted once, the first time
        self._note_bad(bad, "replaced in validation", count=len(bad) if first else 0)
        self.metrics |= metrics
        if distributed.is_main():
            numbers = {name: value for name, value in metrics.items() if math.isfinite(value)}
            self.folder.log({"step": self.step, "epoch": round(self.step / self.epoch_steps, 4), **numbers})
