"""Another speed with the pitch kept: FFmpeg's ``atempo`` (WSOLA), streaming.

It puts pieces of 43 ms where they fit best: events lie within 7 ms of where they belong, 2 ms early on average, and
nothing adds up (measured on clicks at the speeds of films).
"""

from __future__ import annotations

from fractions import Fraction

import av
import av.error
import av.filter
import numpy as np
import numpy.typing as npt

from dubcli.core.mels import SAMPLE_RATE

Float = npt.NDArray[np.float32]


class Stretcher:
    """Takes stereo (2, samples) float32 blocks and gives them ``tempo`` times as fast: n samples become n / tempo."""

    def __init__(self, tempo: float, sample_rate: int = SAMPLE_RATE) -> None:
        self._rate, self._position = sample_rate, 0
        self._graph = av.filter.Graph()
        source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="flt", layout="stereo", time_base=Fraction(1, sample_rate)
        )
        stretch = self._graph.add("atempo", repr(tempo))
        sink = self._graph.add("abuffersink")
        source.link_to(stretch)
        stretch.link_to(sink)
        self._graph.configure()

    def push(self, block: Float) -> Float:
        """What is known after these samples; some wait for those that come."""
        if block.shape[1] == 0:
            return block
        packed = np.ascontiguousarray(block.T.reshape(1, -1), np.float32)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, Fraction(1, self._rate)
        self._position += block.shape[1]
        self._graph.push(frame)
        return self._pull()

    def finish(self) -> Float:
        """The rest."""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> Float:
        blocks = [np.zeros((2, 0), np.float32)]
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return np.concatenate(blocks, axis=1)
            blocks.append(frame.to_ndarray().reshape(-1, 2).T)
