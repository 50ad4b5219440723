"""The training loop: resumable after any step, stopped by signals, the same on one process and on many."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from dubcli.core import distributed, machine
from dubcli.core.backbones import frames_wanted
from dubcli.core.checkpoint import model_entries, restore_rng, rng_state
from dubcli.core.memory import is_out_of_memory, keep_freed_memory, room_for_model
from dubcli.core.models import DubModel, count_parameters
from dubcli.core.sampler import SameMovieBatchSampler, Share
from dubcli.core.schedule import warmup_cosine
from dubcli.errors import UserError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.learner import Learner
from dubcli.pretrain.live import LiveView
from dubcli.pretrain.loader import BadClip, Batch, BlankClips, ClipDataset, Request, Requests
from dubcli.pretrain.loading import Loading, choose_loading, load_batches
from dubcli.pretrain.model import Given, recorded
from dubcli.pretrain.pace import RecentLosses, Tally
from dubcli.pretrain.run_folder import RunFolder, as_begun
from dubcli.pretrain.signals import StopRequests
from dubcli.pretrain.step import Stepper
from dubcli.pretrain.summary import RunSummary
from dubcli.pretrain.training_films import TrainingFilms, mel_statistics, read_training_films
from dubcli.pretrain.validation import HeldOut, validate

TASK = "steps"


def train(
    config: PretrainConfig,
    progress: Progress = SILENT,
    *,
    device: str | None = None,
    fresh: bool = False,
    model: Given | None = None,
) -> RunSummary:
    """Train in this process, which may be one rank of a process group that is set up already.

    An existing run folder is gone on with, to the same result as if it had never been interrupted.

    Args:
        config: data, model, loss, optimisation and the run's folder.
        progress: takes bars and lines.
        device: torch's name; None is CUDA where there is one.
        fresh: start over where a run is there.
        model: a ``DubModel`` of the caller's, or ``{"audio": module}``, ``{"video": module}`` or both, in place of what
            ``config`` names; its seed is then that of the rest of the weights. Checkpoints name the modules' classes;
            they load again with ``load_trained(path, backbones={"audio": module})``.

    Returns:
        Where the checkpoint is, and how far the run came.

    Raises:
        UserError: nothing can be trained, the folder holds a run with another config, or the loss is no number.

    >>> from dubcli.pretrain import PretrainConfig, train  # a notebook's way; the command is dubav pretrain
    >>> config = PretrainConfig(cache="cache", out="runs/fr", variant="fr", preset="paper")
    >>> train(config)  # doctest: +SKIP
    """
    config = as_begun(config, fresh=fresh)
    data = config.data
    films = read_training_films(data.cache, data.variant, data.val_fraction, data.films_with)
    trainer = Trainer(config, films, machine.choose_device(device), progress, model)
    with StopRequests() as stop:
        return trainer.run(stop, fresh=fresh)


class Trainer:
    """One rank's part of a run."""

    def __init__(
        self,
        config: PretrainConfig,
        films: TrainingFilms,
        device: torch.device,
        progress: Progress,
        model: Given | None = None,
        processes_here: int | None = None,
    ) -> None:
        self.config, self.films, self.device = recorded(config, model), films, device
        self._given = model
        self.progress = progress if distributed.is_main() else SILENT
        self.folder = RunFolder(config.folder)
        self.sampler = SameMovieBatchSampler(
            films.train.clips_per_movie,
            config.optimisation.clips_per_step,
            config.data.k,
            seed=config.run.seed,
            share=Share(distributed.rank(), distributed.world_size()),
            sampling=config.data.sampling,
        )
        self.epoch_steps = len(self.sampler)
        if self.epoch_steps == 0:
            need = config.optimisation.clips_per_step * distributed.world_size()
            raise UserError(
                f"variant {films.variant.name} has {films.train.clips} clips to train on, a step takes {need}; "
                f"prepare more films or give --batch-size {max(2, films.train.clips // distributed.world_size())}"
            )
        self.total_steps = config.optimisation.total_steps(self.epoch_steps)
        self.warmup_steps = config.optimisation.warmup_steps(self.epoch_steps)
        self.step = 0
        self.bad_clips = sum(clips for clips, _ in films.damaged)
        self.validated = 0
        self.metrics: dict[str, float] = {}
        self._losses = RecentLosses(config.run.log_every)
        self._last_save = time.monotonic()
        self._since_log = Tally()
        self.processes_here = processes_here or distributed.local_world_size()
        if device.type == "cpu":
            keep_freed_memory()

    def run(self, stop: StopRequests, *, fresh: bool) -> RunSummary:
        """Train from where the folder stands to the end, or until a signal.

        Raises UserError also where memory does not suffice, with sizes that it suffices for.
        """
        with machine.kernels(self.config.run.deterministic, self.device):
            try:
                with self.folder.held():
                    return self._run(stop, fresh)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            raise self.out_of_memory()

    def out_of_memory(self) -> UserError:
        """What to say of it; after the ``except`` block, which holds on to memory."""
        return self.learner.out_of_memory(self._blank_batch)

    def choose_loading(self) -> Loading:
        """How this rank's batches come."""
        return choose_loading(self.dataset(), self.config, self.device, self.processes_here)

    def _run(self, stop: StopRequests, fresh: bool) -> RunSummary:
        if fresh:
            distributed.on_main(self.folder.clear)
        self.folder.check(self.config, distributed.world_size())
        self._note_bad([text for _, text in self.films.damaged], "left out", count=0)
        state = self.folder.load()
        statistics = (
            (state["mel_mean"], state["mel_std"]) if state else mel_statistics(self.films.train, self.films.variant)
        )
        self._build(statistics)
        if state is not None:
            self._restore(state)
        self.loading = self.choose_loading()
        for text in filter(None, (self.films.note, self.sampler.note(), self.loading.note, self.learner.note)):
            self.progress.message(text)
        distributed.on_main(self._begin)
        self.progress.start(TASK, self.total_steps, "steps")
        try:
            stopped = self._validate(stop)  # where it was due and the run ended before it was done
            if stopped is None:
                stopped = self._epochs(stop)
        finally:
            self.progress.finish(TASK)
            self.live.close()
            self.folder.close()
        return RunSummary(
            folder=self.folder.path,
            step=self.step,
            total_steps=self.total_steps,
            stopped_by=stopped,
            metrics=self.metrics,
            bad_clips=self.bad_clips,
        )

    def _begin(self) -> None:
        self.folder.begin(self.config, self._extra())
        self.folder.cut_metrics(self.step)

    def _extra(self) -> dict[str, Any]:
        """What ``config.json`` records beside the options."""
        return {
            "world_size": distributed.world_size(),
            **self.films.record(),
            "steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
            "parameters": count_parameters(self.model),
            **self.learner.facts,
            **self.loading.facts,
        }

    @property
    def model(self) -> DubModel:
        """The model itself, as checkpoints hold it."""
        return self.learner.model

    @property
    def stepper(self) -> Stepper:
        """Its step."""
        return self.learner.stepper

    def _build(self, statistics: tuple[float, float]) -> None:
        with room_for_model(self.device):
            self.learner = Learner(
                self.films.variant, self.config, self.device, statistics, self._given, self.progress.message
            )
        self.learner.settle(self._blank_batch(self.sampler.batch_size))
        self.live = LiveView(self.folder, self.films.train, self.stepper, self.progress)
        # ranks draw different dropout; the other generators are seeded so that nothing depends on the moment
        own_seed = self.config.run.seed * 4099 + 1 + distributed.rank()
        torch.manual_seed(own_seed)
        random.seed(own_seed)
        np.random.seed(own_seed % 2**32)

    def _blank_batch(self, clips: int) -> Batch:
        """A batch of the shapes of so many clips, with nothing in it."""
        variant = self.films.variant
        dataset = self.dataset(BlankClips)
        numbers = np.resize(np.array(self.sampler.batch(0)), clips).tolist()
        return dataset[Request(0, 0, tuple(numbers), variant.secondary_at(0, 0))]

    def _restore(self, state: dict[str, Any]) -> None:
        if "optimizer" not in state:
            raise UserError(f"{self.folder.checkpoint} holds a model but no training state; use --fresh to start over")
        self.films.require_same(state, self.folder.path)
        self.learner.restore(state)
        self.sampler.load_state_dict(state["sampler"])
        restore_rng(state["rng"][distributed.rank()])
        self.step, self.bad_clips = int(state["step"]), int(state["bad_clips"])
        self.validated = int(state["validated"])

    def _state(self) -> dict[str, Any]:
        rng = distributed.gather_objects(rng_state())
        epoch, step = divmod(self.step, self.epoch_steps)
        self.sampler.set_epoch(epoch)
        entries = model_entries(
            self.model, mel_mean=self.stepper.mel_mean, mel_std=self.stepper.mel_std, config=self.config.to_dict()
        )
        return entries | {
            **self.films.facts,
            "epoch": epoch,
            "step": self.step,
            "bad_clips": self.bad_clips,
            "validated": self.validated,
            **self.learner.state(),
            "sampler": self.sampler.state_dict(step),
            "rng": rng,
        }

    def dataset(self, kind: type[ClipDataset] = ClipDataset) -> ClipDataset:
        """Of the clips that are trained on."""
        on_device, frames = self.device.type == "cuda", frames_wanted(self.model.video)
        return kind(self.films.train, self.films.variant, self.config, on_device=on_device, frames=frames)

    def _epochs(self, stop: StopRequests) -> int | None:
        dataset = self.dataset()
        while self.step < self.total_steps:
            epoch, first = divmod(self.step, self.epoch_steps)
            last = min(self.epoch_steps, first + self.total_steps - self.step)
            self.live.wait()  # of a process with a busy thread a fork may hold a lock for ever
            requests = Requests(self.sampler, self.films.variant, epoch, first, last)
            stopped = self._steps(load_batches(dataset, requests, self.loading), stop)
            if stopped is not None:
                return stopped
        return None

    def _steps(self, batches: Iterator[Batch], stop: StopRequests) -> int | None:
        asked = time.monotonic()
        for batch in batches:
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
            # first of all the step is kept: whoever ends this process while it validates waits for no more than that
            if signal_number is not None or epoch_done or finished or self._validation_due or self._due():
                self._check_losses()
                self._save(epoch_done)
            if signal_number is None:
                signal_number = self._validate(stop)
            if signal_number is not None and not (finished and not self._validation_due):
                return signal_number
            asked = time.monotonic()
        return None

    @property
    def _validation_due(self) -> bool:
        """Early, after half an epoch, then after each epoch and at the end; and not done yet."""
        if not self.films.held_out.movies or self.step == 0 or self.validated == self.step:
            return False
        at_epoch = self.step % self.epoch_steps == 0
        return at_epoch or self.step == self.total_steps or self.step == self.epoch_steps // 2

    def _train_on(self, batch: Batch) -> None:
        share = warmup_cosine(self.step, self.total_steps, self.warmup_steps)
        self.learning_rate = self.config.optimisation.learning_rate * share
        with self.live.watching(self.step + 1, batch):
            self._terms = terms = self.learner.step(batch, self.learning_rate)
        self._losses.add(self.step, batch.request.clips, torch.stack(list(terms.values())).sum())

    def _note_bad(self, texts: list[str], what: str, *, count: int) -> None:
        self.bad_clips += count
        for text in texts:
            self.progress.message(f"{what}: {text}")
        data = self.config.data
        if texts and self.bad_clips > data.max_bad_clips:
            raise UserError(
                f"{self.bad_clips} clips cannot be read, more than --max-bad-clips {data.max_bad_clips}; "
                f"the last: {texts[-1]}; dubav ls {data.cache} --check names them all"
            )

    def _after_step(self, batch: Batch, waited: float, took: float) -> None:
        if self.device.type == "cpu":
            self._check_losses()
        self._since_log.add(len(batch.request.clips) * distributed.world_size(), waited, took)
        if self.step % self.config.run.log_every and self.step != self.total_steps:
            return
        self._check_losses()
        losses = {name: float(distributed.mean_over_ranks(value)) for name, value in self._terms.items()}
        self.metrics = {"loss": sum(losses.values()), **{f"loss/{name}": value for name, value in losses.items()}}
        speed = self._since_log.take()
        if distributed.is_main():
            line = {"step": self.step, "epoch": round(self.step / self.epoch_steps, 4), **self.metrics}
            line |= {"lr": self.learning_rate, **speed, **self.learner.measured(self.step)}
            line["batches_above_k"] = self.sampler.above_k
            secondary = batch.request.secondary
            other = secondary not in (None, self.films.variant.primary)
            self.folder.log(line | {"secondary": str(secondary)} if other else line)
        self.progress.update(TASK, self.step, loss=self.metrics["loss"], lr=self.learning_rate, **speed)

    def _check_losses(self) -> None:
        """A loss that is no number ends the run before anything of it is saved."""
        wrong = self._losses.first_not_finite()
        if wrong is not None:
            names = ", ".join(self.films.train.name(clip) for clip in wrong.clips)
            good = self.folder.checkpoint if self.folder.checkpoint.exists() else "none yet"
            raise UserError(
                f"the loss of step {wrong.step + 1} is {float(wrong.loss)}; the batch: {names}; "
                f"last good checkpoint: {good}; a lower --learning-rate or --precision fp32 may help"
            )

    def _due(self) -> bool:
        run = self.config.run
        if run.save_every and self.step % run.save_every == 0:
            return True
        due = time.monotonic() - self._last_save > run.save_minutes * 60
        # rank 0's clock decides for all: saving gathers the generators' states from every rank
        return bool(distributed.broadcast_object(due)) if self.step % run.log_every == 0 else False

    def _save(self, epoch_done: int | None) -> None:
        state = self._state()
        if distributed.is_main():
            self.folder.save(state, epoch_done=epoch_done, keep=self.config.run.keep)
        self._last_save = time.monotonic()
        distributed.barrier()

    def _validate(self, stop: StopRequests) -> int | None:
        """Validate where it is due, and keep that it was done. Returns the signal that cut it short, if any."""
        if not self._validation_due:
            return None
        frames = frames_wanted(self.model.video)
        dataset = ClipDataset(self.films.held_out, self.films.variant, self.config, on_device=False, frames=frames)
        held_out = HeldOut(dataset, self.config.data.val_clips, self.loading.workers)
        asked: list[int] = []

        def stopped() -> bool:
            number = stop.agreed(self.device)
            asked.extend([] if number is None else [number])
            return bool(asked)

        try:
            metrics = validate(self.stepper, self.model, held_out, stopped)
        except BadClip as error:
            raise UserError(error.advice) from None
        if metrics is None:
            return asked[0]
        first, self.validated = self.validated == 0, self.step
        # named each time; counted once, the first time
        self._note_bad(held_out.bad, "replaced in validation", count=len(held_out.bad) if first else 0)
        self.metrics |= metrics
        if distributed.is_main():
            numbers = {name: value for name, value in metrics.items() if math.isfinite(value)}
            self.folder.log({"step": self.step, "epoch": round(self.step / self.epoch_steps, 4), **numbers})
        self._save(None)
        return None
