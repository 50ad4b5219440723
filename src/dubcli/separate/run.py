"""A loaded model on its device: a track in, stems out, and what has to be recorded of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from dubcli.core.machine import choose_precision, recorded_precision
from dubcli.errors import InputError
from dubcli.jobs.devices import Devices, claim
from dubcli.separate.bags import Bag, load_bag
from dubcli.separate.config import SeparateConfig
from dubcli.separate.segments import OVERLAP
from dubcli.separate.stream import Execution, PrecisionCheck, measure, separate_blocks

BATCH_ON_ACCELERATOR = 4
_SHARE_OF_STATISTICS = 0.05  # of an item's progress


class Separator:
    """A bag of models and how it runs. One per process."""

    def __init__(self, bag: Bag, execution: Execution) -> None:
        self.bag, self._execution = bag, execution
        self._check = PrecisionCheck()

    def stems(self, sound: Callable[[], Iterator[Tensor]], report: Callable[..., None]) -> Iterator[Tensor]:
        """Separate a track that ``sound`` gives twice, as (2, samples) blocks at the bag's sample rate.

        Yields (sources, 2, samples) blocks. Raises InputError when there are no samples.
        """
        self._check.reset()
        statistics = measure(sound())
        if statistics.samples == 0:
            raise InputError("its track holds no samples that can be decoded")
        if not self.bag.normalise:
            statistics = replace(statistics, mean=0.0, std=1.0)
        report(_SHARE_OF_STATISTICS)
        begun, done = time.monotonic(), 0
        for stems in separate_blocks(self.bag, sound(), statistics, self._execution, self._check):
            yield stems
            done += stems.shape[-1]
            speed = done / self.bag.sample_rate / max(1e-3, time.monotonic() - begun)
            share = _SHARE_OF_STATISTICS + (1 - _SHARE_OF_STATISTICS) * done / statistics.samples
            report(share, speed=f"{speed:.2f}x real time")

    def recipe(self) -> dict[str, Any]:
        """What makes two results the same kind of result."""
        return {
            "model": self.bag.name,
            "digest": self.bag.digest,
            "speech": self.bag.speech,
            "overlap": OVERLAP,
            "shifts": 0,
            "precision": recorded_precision(self._execution.autocast_precision),
        }

    def circumstances(self) -> dict[str, Any]:
        """What may move the last bits of a result, for the record."""
        from importlib.metadata import version

        made_by = {"torch": torch.__version__, "demucs": version("demucs")}
        device = torch.device(self._execution.device).type
        return {"device": device, "batch_size": self._execution.batch, "versions": made_by, **self.errors()}

    def errors(self) -> dict[str, float]:
        """What half precision cost on the last track: its error against float32, relative to the stems' RMS."""
        error = self._check.error
        return {} if error is None else {"precision_error": float(f"{error:.3g}")}


def separator_for(config: SeparateConfig, devices: Devices) -> Separator:
    """This process's Separator, loaded on first use."""
    return _loaded(config.model_alone(), claim(devices))


@lru_cache(maxsize=1)
def _loaded(config: SeparateConfig, device: str) -> Separator:
    precision, batch = config.precision, config.batch_size
    if precision != "auto":  # auto is demucs's own choice here, see Execution
        precision = choose_precision(precision, torch.device(device))
    repo, speech = config.model_repo, config.speech_stem
    bag = load_bag(config.model, repo, trust=config.trust_models, device=device, speech=speech)
    if batch is None:
        batch = 1 if torch.device(device).type == "cpu" else BATCH_ON_ACCELERATOR
    return Separator(bag, Execution(device=device, batch=batch, precision=precision))
