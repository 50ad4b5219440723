"""Sound to stereo by the names of its channels, on arrays: ATSC A/52 section 7.8.2 (DESIGN section 3).

``core.features`` has the same on tensors. No torch here: prep, which reads films, would wait for it.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from dubcli.errors import UserError

_SIDE = 1 / math.sqrt(2)
# Weight of a channel by name in (left, right), before the common factor g. Names not listed: see _channel_weights.
_WEIGHTS = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "BIL": (1.0, 0.0),
    "BIR": (0.0, 1.0),
    "FLC": (1.0, 0.0),
    "FRC": (0.0, 1.0),
    "FC": (_SIDE, _SIDE),
    "BC": (0.5, 0.5),
    "TC": (0.5, 0.5),
    "TFC": (0.5, 0.5),
    "TBC": (0.5, 0.5),
    "BFC": (0.5, 0.5),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}
_LEFT_NAMES = ("BL", "SL", "WL", "SDL", "TFL", "TBL", "TSL", "BFL", "SSL", "TTL")

# FFmpeg's layouts (libavutil/channel_layout.c): the channels in the order in which they are stored.
_LAYOUTS = {
    "mono": "FC",
    "stereo": "FL+FR",
    "downmix": "DL+DR",
    "binaural": "BIL+BIR",
    "2.1": "FL+FR+LFE",
    "3.0": "FL+FR+FC",
    "3.0(back)": "FL+FR+BC",
    "3.1": "FL+FR+FC+LFE",
    "4.0": "FL+FR+FC+BC",
    "quad": "FL+FR+BL+BR",
    "quad(side)": "FL+FR+SL+SR",
    "4.1": "FL+FR+FC+LFE+BC",
    "5.0": "FL+FR+FC+BL+BR",
    "5.0(side)": "FL+FR+FC+SL+SR",
    "5.1": "FL+FR+FC+LFE+BL+BR",
    "5.1(side)": "FL+FR+FC+LFE+SL+SR",
    "3.1.2": "FL+FR+FC+LFE+TFL+TFR",
    "6.0": "FL+FR+FC+BC+SL+SR",
    "6.0(front)": "FL+FR+FLC+FRC+SL+SR",
    "hexagonal": "FL+FR+FC+BL+BR+BC",
    "6.1": "FL+FR+FC+LFE+BC+SL+SR",
    "6.1(back)": "FL+FR+FC+LFE+BL+BR+BC",
    "6.1(front)": "FL+FR+LFE+FLC+FRC+SL+SR",
    "7.0": "FL+FR+FC+BL+BR+SL+SR",
    "7.0(front)": "FL+FR+FC+FLC+FRC+SL+SR",
    "7.1": "FL+FR+FC+LFE+BL+BR+SL+SR",
    "7.1(wide)": "FL+FR+FC+LFE+BL+BR+FLC+FRC",
    "7.1(wide-side)": "FL+FR+FC+LFE+FLC+FRC+SL+SR",
    "5.1.2": "FL+FR+FC+LFE+SL+SR+TFL+TFR",
    "5.1.2(back)": "FL+FR+FC+LFE+BL+BR+TFL+TFR",
    "octagonal": "FL+FR+FC+BL+BR+BC+SL+SR",
    "cube": "FL+FR+BL+BR+TFL+TFR+TBL+TBR",
    "5.1.4": "FL+FR+FC+LFE+SL+SR+TFL+TFR+TBL+TBR",
    "7.1.2": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR",
    "7.1.4": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR",
    "7.2.3": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBC+LFE2",
    "9.1.4": "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR",
    "9.1.6": "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR+TSL+TSR",
    "hexadecagonal": "FL+FR+FC+BL+BR+BC+SL+SR+TFL+TFC+TFR+TBL+TBC+TBR+WL+WR",
    "22.2": "FL+FR+FC+LFE+BL+BR+FLC+FRC+BC+SL+SR+TC+TFL+TFC+TFR+TBL+TBC+TBR+LFE2+TSL+TSR+BFC+BFL+BFR",
}
# What FFmpeg (and WAVE without a channel mask) takes a bare number of channels for.
_BY_COUNT = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class LayoutError(UserError, ValueError):
    """A channel layout that we cannot place."""


def channel_names(layout: str) -> tuple[str, ...]:
    """Channels of a layout in stored order.

    layout: FFmpeg's name (``"5.1(side)"``), a list (``"FL+FR+FC"``, also as ``"3 channels (FL+FR+FC)"``) or a bare
    number (``"6 channels"``: FFmpeg's default layout of that many). Raises LayoutError when it is none of these.
    """
    text = layout.strip()
    bare = re.fullmatch(r"(\d+) channels", text)
    if bare is not None:
        text = _BY_COUNT.get(int(bare[1]), text)
    listed = re.fullmatch(r"\d+ channels \((.+)\)", text)
    names = tuple(_LAYOUTS.get(text, listed[1] if listed else text).split("+"))
    if any(_channel_weights(name) is None for name in names):
        known = "FFmpeg's names such as stereo, 5.1(side), 7.1, or a list such as FL+FR+FC"
        raise LayoutError(f"unknown channel layout {layout!r}; known are {known}")
    return names


def _channel_weights(name: str) -> tuple[float, float] | None:
    if name in _WEIGHTS:
        return _WEIGHTS[name]
    if name in _LEFT_NAMES:
        return (_SIDE, 0.0)
    if name.replace("R", "L") in _LEFT_NAMES:
        return (0.0, _SIDE)
    return None


def downmix_weights(layout: str) -> npt.NDArray[np.float64]:
    """The (2, channels) matrix that brings a layout to stereo, g included (ATSC A/52 7.8.2; DESIGN section 3).

    Front left and right (and left, right of centre) count 1, the centre, side, back, wide and top channels 1/sqrt(2)
    on their side, a back or top centre 1/2 on each side, LFE nothing. g = 1 / the largest row sum, so that nothing
    can clip; stereo thereby passes unchanged and mono is duplicated. A single channel of any name is mono.
    Raises LayoutError for an unknown layout, or one with nothing but LFE.
    """
    names = channel_names(layout)
    if len(names) == 1 and not names[0].startswith("LFE"):
        return np.ones((2, 1))
    matrix = np.array([_channel_weights(name) for name in names], np.float64).T
    largest = matrix.sum(axis=1).max()
    if largest == 0:
        raise LayoutError(f"channel layout {layout!r} has nothing but low-frequency effects")
    return np.ascontiguousarray(matrix / largest)


def downmix_gain(layout: str) -> float:
    """g of a layout: 1 for mono and stereo, 1/(1 + sqrt(2)) for 5.1. Raises LayoutError as ``downmix_weights``."""
    return float(downmix_weights(layout).max())


def passes_unchanged(weights: npt.NDArray[np.float64]) -> bool:
    """Whether they are those of stereo."""
    return np.array_equal(weights, np.eye(2))


def downmix_array(sound: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """(channels, samples) of floats to (2, samples), as ``core.features.downmix``. Raises LayoutError as that."""
    weights = downmix_weights(layout)
    require_channels(layout, weights.shape[1], sound.shape)
    return sound if passes_unchanged(weights) else weights.astype(sound.dtype) @ sound


def require_channels(layout: str, channels: int, shape: tuple[int, ...]) -> None:
    """Raises LayoutError where a waveform (..., channels, samples) has another number of channels."""
    if len(shape) < 2 or shape[-2] != channels:
        raise LayoutError(f"layout {layout!r} has {channels} channels, the waveform is {tuple(shape)}")
