"""What learns on one rank: the model, its optimizer and its step, wrapped for the ranks and made as they stay."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dubcli.core import distributed, machine
from dubcli.core.backbones import frames_wanted
from dubcli.core.kernels import kernels_of, settle_kernels
from dubcli.core.layout import lay_out
from dubcli.core.memory import is_out_of_memory, largest_that_fits, peak_bytes
from dubcli.core.models import DubModel, preset_sizes
from dubcli.core.variants import Variant
from dubcli.errors import UserError
from dubcli.pretrain.config import PretrainConfig
from dubcli.pretrain.loader import Batch
from dubcli.pretrain.model import Given, make_model
from dubcli.pretrain.step import Inputs, Stepper


class Learner:
    """Trains on batches. ``compiled``: whether the step is; ``why_eager``: why not, where it was tried in vain."""

    def __init__(
        self,
        variant: Variant,
        config: PretrainConfig,
        device: torch.device,
        mel_statistics: tuple[float, float],
        given: Given | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.variant, self.config, self.device = variant, config, device
        crop = preset_sizes(config.model.preset).crop
        self.model = build_model(variant, config, device, given)
        if self.model.video is not None:
            shape = config.optimisation.batch_size, 3, frames_wanted(self.model.video), crop, crop
            settle_kernels(self.model.video, shape, device, machine.choose_precision(config.run.precision, device), say)
        chosen = config.optimisation
        self.optimizer = torch.optim.AdamW(  # paper section 3.4
            parameter_groups(self.model, chosen.decay),
            lr=chosen.learning_rate,
            betas=(chosen.beta1, chosen.beta2),
            weight_decay=chosen.weight_decay,
            fused=True,
        )
        wrapped: nn.Module = self.model
        if distributed.world_size() > 1:
            wrapped = DistributedDataParallel(
                self.model, device_ids=[device] if device.type == "cuda" else None, gradient_as_bucket_view=True
            )
        self.stepper = Stepper(wrapped, variant, config, device, mel_statistics, crop)
        self.compiled, self.why_eager = False, ""

    def settle(self, batch: Batch) -> None:
        """Compile where that is wanted, and throw a step away where the first would be another than those after it.

        Weights and BatchNorm's statistics are as before, the generators are not. Raises UserError where compiling was
        asked for and cannot be done.
        """
        if not self.compiles and distributed.world_size() == 1 and self.device.type == "cpu":
            return
        if batch.error is not None:
            raise UserError(batch.error)
        before = [buffer.clone() for buffer in self.model.buffers()]
        inputs = self._inputs(batch)
        if self.compiles:
            self._compile(inputs)
        # DistributedDataParallel sums the gradients of its first step in buckets of the weights' order and those of all
        # later steps in buckets of the order in which gradients came. From three ranks on the place in a bucket decides
        # the order of a sum, and so its last bits: a run that goes on would take another first step than the run it
        # goes on with. After this step every step of every start is a later one. (``find_unused_parameters`` keeps the
        # first buckets too, but walks the graph in each step.) It costs one step a start.
        self.stepper.backward(inputs)
        self._forget(before)

    @property
    def compiles(self) -> bool:
        """Whether compiling is to be tried."""
        asked = self.config.run.compile
        return asked or (asked is None and self.device.type == "cuda")

    def _compile(self, inputs: Inputs) -> None:
        plain = self.stepper.model
        torch._dynamo.reset()  # graphs of a model before this one would be taken without being counted
        self.stepper.model = torch.compile(plain)  # type: ignore[assignment]
        reason = self._why_not_compiled(plain, inputs)
        # all ranks run the same: one that trains eagerly and others that do not would wait for each other's buckets
        reasons = distributed.gather_objects(reason)
        self.why_eager = next((found for found in reasons if found), "")
        self.compiled = not self.why_eager
        if self.compiled:
            return
        torch._dynamo.reset()
        self.stepper.model = plain
        if self.config.run.compile:
            raise UserError(f"the model cannot be compiled here: {self.why_eager}; leave --compile away")

    def _why_not_compiled(self, plain: nn.Module, inputs: Inputs) -> str:
        """Run the compiled model forward and backward, asking no other rank: in which, on failing, it would be missed.

        torch's ``suppress_errors`` would train on, eagerly, and tell nobody.
        """
        graphs = torch._dynamo.utils.counters["stats"]
        graphs.clear()
        part = self.stepper.parts(inputs)[0]
        try:
            with _asking_nobody(plain), self.stepper.autocast():
                outputs = self.stepper.model(*part)
            torch.stack([value.float().square().mean() for value in outputs.values()]).sum().backward()  # type: ignore[no-untyped-call]
        except Exception as error:  # whatever a compiler raises
            if is_out_of_memory(error):
                raise
            lines = str(error).strip().splitlines()[:2]
            told = " ".join(lines if lines and lines[0].endswith(":") else lines[:1])  # "... raised:" and what
            return f"{type(error).__name__}: {told}"
        return "" if graphs["unique_graphs"] else "torch.compile is switched off"

    def _forget(self, buffers: list[Tensor]) -> None:
        for parameter in self.model.parameters():
            parameter.grad = None
        for buffer, value in zip(self.model.buffers(), buffers, strict=True):
            buffer.copy_(value)

    def step(self, batch: Batch, learning_rate: float) -> dict[str, Tensor]:
        """Train on a batch. Returns the loss's terms, detached."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        terms = self.stepper.backward(self._inputs(batch))
        scaler = self.stepper.scaler
        if self.config.optimisation.clip_gradient:
            scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optimisation.clip_gradient)
        scaler.step(self.optimizer)
        scaler.update()
        return terms

    def _inputs(self, batch: Batch) -> Inputs:
        # what augmentation adds up by atomics (histograms) are whole numbers, the same in any order
        strict = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        try:
            return self.stepper.inputs(batch)
        finally:
            torch.use_deterministic_algorithms(strict)

    def measured(self, steps: int) -> dict[str, float]:
        """After so many steps, for a line of the log: peak memory and, of fp16, the steps that were left out.

        Those are steps with a gradient that is not finite, of which the scaler keeps the optimizer.
        """
        found: dict[str, float] = {"peak_memory_gb": round(peak_bytes(self.device) / 1e9, 3)}
        if self.stepper.precision == "fp16":
            state: dict[str, Any] = next(iter(self.optimizer.state.values()), {"step": 0})
            found["skipped_steps"] = steps - int(state["step"])
        return found

    @property
    def note(self) -> str:
        """What to tell the user of how it computes; empty where there is nothing."""
        if self.why_eager:
            return f"the model is not compiled, which costs speed: {self.why_eager}"
        if self.compiled and self.config.model.sync_bn:
            return "with --sync-bn the model is compiled in pieces, between its BatchNorms"
        return ""

    @property
    def facts(self) -> dict[str, Any]:
        """What the machine made of the options, for ``config.json`` and the dry run."""
        return {
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu",
            "precision_used": self.stepper.precision,
            "compiled": self.compiled,
            "why_not_compiled": self.why_eager,
            "layout_used": kernels_of(self.model, self.device),
            "torch": torch.__version__,
        }

    def out_of_memory(self, blank: Callable[[int], Batch]) -> UserError:
        """What to say where a step did not fit: sizes measured to fit, of a batch of about as many clips.

        ``blank``: a batch of so many clips. Call this after the ``except`` block, as ``largest_that_fits``.
        """
        size, passes = self.config.optimisation.batch_size, self.config.optimisation.accumulate
        where = f"out of memory on {self.device} with --batch-size {size}"

        def passes_of(smaller: int) -> int:
            return -(-size * passes // smaller)

        def attempt(smaller: int) -> None:
            self._attempt(blank(smaller * passes_of(smaller)), smaller, passes_of(smaller))

        fits = largest_that_fits(self.device, size, attempt, least=2)
        if not fits:
            return UserError(f"{where}, and with 2 as well; give a smaller --preset, or use another machine")
        return UserError(f"{where}; --batch-size {fits} --accumulate {passes_of(fits)} fits")

    def _attempt(self, batch: Batch, batch_size: int, accumulate: int) -> None:
        """A step of other sizes by a copy of the model, asking no other rank; to see whether its memory suffices."""
        for parameter in self.model.parameters():
            parameter.grad = None
        config = self.config.changed(batch_size=batch_size, accumulate=accumulate, local_negatives=True)
        statistics = self.stepper.mel_mean, self.stepper.mel_std
        model = copy.deepcopy(self.model)  # with its gradients as large as AdamW's state, which may not be there yet
        alone = Stepper(model, self.variant, config, self.device, statistics, self.stepper.crop)
        alone.backward(alone.inputs(batch))

    def state(self) -> dict[str, Any]:
        """What a run that goes on needs of it."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.stepper.scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``state`` and of the weights in a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if state.get("scaler") and self.stepper.scaler.is_enabled():
            self.stepper.scaler.load_state_dict(state["scaler"])


def parameter_groups(model: nn.Module, decay: str) -> list[dict[str, Any]]:
    """What AdamW is given. ``decay`` ``all``: one group; ``weights``: biases and norms, vectors all, do not decay."""
    if decay == "all":
        return [{"params": list(model.parameters())}]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    return [{"params": others}, {"params": vectors, "weight_decay": 0.0}]


def build_model(variant: Variant, config: PretrainConfig, device: torch.device, given: Given | None = None) -> DubModel:
    """The model on its device, with the weights of the run's seed, or those ``given``.

    Raises UserError where --sync-bn cannot be had, or as ``make_model``.
    """
    torch.manual_seed(config.run.seed)
    model = make_model(config, variant, given)
    if config.model.sync_bn and distributed.world_size() > 1:
        if device.type != "cuda":
            raise UserError("--sync-bn needs GPUs: torch's SyncBatchNorm has no CPU form; leave it away")
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return lay_out(model.to(device), device)


@contextmanager
def _asking_nobody(model: nn.Module) -> Iterator[None]:
    """Inside the block DistributedDataParallel neither sends buffers nor, for what is computed in it, gradients."""
    if not isinstance(model, DistributedDataParallel):
        yield
        return
    model.require_forward_param_sync = False
    try:
        with model.no_sync():
            yield
    finally:
        model.require_forward_param_sync = True
