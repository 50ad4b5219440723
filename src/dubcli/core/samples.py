"""Samples that are no sound, by one rule: in files and films, in arrays that are given to Embedder and HEAR.

* NaN and infinity become 0.
* Full scale is 1. Over it there is sound still, up to ``LOUDEST``: lossy sound and mixes in floats go there.
* What is louder is damage (a bit flipped in a float) and is cut to ``LOUDEST``.
* Where more than ``OFF_SCALE_SHARE`` of the samples that are not 0 lie beyond ``OFF_SCALE``, the sound as a whole is
  not in full scale (floats in the scale of integers): it is refused, since nothing says by what it should be divided.
  So is sound without any usable sample.

What was changed is counted and told.
"""

from __future__ import annotations

import math
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dubcli.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Samples = TypeVar("Samples", bound=Any)
"""An array of numpy or a tensor, floats of any shape: no torch here, for which prep would wait."""

LOUDEST = 2.0
"""6 dB over full scale."""
OFF_SCALE = 16.0
"""24 dB over full scale."""
OFF_SCALE_SHARE = 0.05


class SampleCheck:
    """Cleans the blocks of one sound and knows what was wrong with them.

    >>> import torch
    >>> check = SampleCheck()
    >>> check.clean(torch.tensor([0.5, float("nan"), 1.5, -1e30])).tolist()
    [0.5, 0.0, 1.5, -2.0]
    >>> check.problems[0]
    '1 samples are NaN or infinite and were taken as 0'
    """

    def __init__(self) -> None:
        self.not_finite = 0
        self.too_loud = 0
        self.peak = 0.0
        """The loudest finite sample as it was given."""
        self._off_scale = 0
        self._sounding = 0

    def clean(self, samples: Samples) -> Samples:
        """The next samples as they are to be used: the same array or tensor where nothing is wrong."""
        size = math.prod(samples.shape)
        if not size:
            return samples
        peak = _peak(samples)
        if not peak <= LOUDEST:  # also where it is no number
            return self._mend(samples)
        self.peak = max(self.peak, peak)
        self._sounding += size if peak > 0 else 0
        return samples

    def _mend(self, samples: Samples) -> Samples:
        wrong = ~(abs(samples) < math.inf)
        self.not_finite += int(wrong.sum())
        samples = deepcopy(samples)
        samples[wrong] = 0
        self.peak = max(self.peak, _peak(samples))
        self.too_loud += int((abs(samples) > LOUDEST).sum())
        self._off_scale += int((abs(samples) > OFF_SCALE).sum())
        self._sounding += int((samples != 0).sum())
        return cast(Samples, samples.clip(-LOUDEST, LOUDEST))

    @property
    def problems(self) -> list[str]:
        """What was changed, a line each."""
        found = []
        if self.not_finite:
            found.append(f"{self.not_finite} samples are NaN or infinite and were taken as 0")
        if self.too_loud:
            found.append(f"{self.too_loud} samples are more than 6 dB over full scale and were cut to that")
        return found

    @property
    def refusal(self) -> str | None:
        """Why the sound cannot be used; None where it can."""
        if self.not_finite and self.peak == 0:
            return f"no usable sample: {self.not_finite} are NaN or infinite, the others 0"
        if self._off_scale > OFF_SCALE_SHARE * self._sounding:
            share = 100 * self._off_scale / self._sounding
            return (
                f"its samples are not in full scale: the loudest is {self.peak:.4g}, {share:.0f} % are beyond "
                f"{OFF_SCALE:g} (floats in the scale of integers?); divide them so that full scale is 1"
            )
        return None


def usable(sound: Tensor) -> Tensor:
    """A whole sound as it is to be used, floats of any shape; what was changed is a warning.

    Raises UserError where it cannot be used.

    >>> import torch
    >>> usable(torch.tensor([0.5, -0.25])).tolist()
    [0.5, -0.25]
    """
    check = SampleCheck()
    sound = check.clean(sound)
    if check.refusal is not None:
        raise UserError(f"a sound cannot be used: {check.refusal}")
    for problem in check.problems:
        warnings.warn(problem, stacklevel=3)
    return sound


def _peak(samples: Any) -> float:
    """The largest absolute value; NaN where a sample is."""
    return max(-float(samples.min()), float(samples.max()))
