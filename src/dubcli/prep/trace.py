"""What the sync check keeps of a track while it streams by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

SAMPLE_RATE = 48000
DECIMATION = 6
RATE = SAMPLE_RATE // DECIMATION  # 8 kHz: phase weighting needs bandwidth, not treble
HOP = 160  # of the onset strength: 50 a second
ONSET_RATE = RATE / HOP
BANDS_HZ = (60, 150, 300, 500, 800, 1200, 1800, 2600, 3800)
WINDOW_SECONDS = 12
SHORTEST_WINDOW_SECONDS = 3
WINDOW_EVERY_SECONDS = 60  # twice as far apart whenever there are too many: a long film needs no more memory
MOST_WINDOWS = 40
DENSE_SECONDS = 120  # a short film gives window after window up to here
SILENCE = 1e-7  # energy of a band; its logarithm is the lowest that energies have
_FULL_SCALE = 77e3  # summed energy, mid and side, per mean square of a channel


class SyncTrace:
    """What is kept of one track while it streams by: band energies of all of it, and some windows of waveform.

    12 MB of energies and 15 MB of windows for a two-hour film.
    """

    def __init__(self) -> None:
        self._rest = np.zeros((2, 0), np.float32)  # at 48 kHz, less than a decimation step
        self._pending = np.zeros((2, 0), np.float32)  # at 8 kHz, not yet turned into energies
        self._energies: list[npt.NDArray[np.float16]] = []
        self._position = 0  # in 8 kHz samples: the end of what has come
        self._window: list[Float] = []
        self._every_seconds = WINDOW_EVERY_SECONDS
        self.windows: dict[int, npt.NDArray[np.float16]] = {}  # start in 8 kHz samples -> (2, samples)

    def add(self, stereo: npt.NDArray[Any]) -> None:
        """Take the next samples, (2, samples) at 48 kHz, from the film's zero on and without holes."""
        left_right = np.concatenate([self._rest, np.asarray(stereo, np.float32)], axis=1)
        whole = left_right.shape[1] // DECIMATION * DECIMATION
        self._rest = left_right[:, whole:]
        # Not media.resample: a plain mean of six samples takes a fifth of its time (2.4 of 11.5 s for two hours).
        # What it lets alias is the same in both tracks, which are only compared with each other.
        mean = sum(left_right[:, first:whole:DECIMATION] for first in range(DECIMATION)) / np.float32(DECIMATION)
        mid_side = np.stack([mean[0] + mean[1], mean[0] - mean[1]])
        self._collect_windows(mid_side)
        self._pending = np.concatenate([self._pending, mid_side], axis=1)
        if self._pending.shape[1] >= 64 * HOP:
            self._add_energies()

    @property
    def seconds(self) -> float:
        """How much has come."""
        return self._position / RATE

    def finish(self) -> None:
        """Call at the end of the track: keeps the last, shorter window (filled with silence) of a short film."""
        if self._window:
            last = np.concatenate(self._window, axis=1)
            if last.shape[1] >= SHORTEST_WINDOW_SECONDS * RATE:
                padding = ((0, 0), (0, WINDOW_SECONDS * RATE - last.shape[1]))
                start = self._position // (WINDOW_SECONDS * RATE) * WINDOW_SECONDS * RATE
                self.windows[start] = np.pad(last, padding).astype(np.float16)
            self._window = []
        if self._pending.shape[1] >= 2 * HOP:
            self._add_energies()

    def energies(self, bands: slice = slice(None)) -> Float:
        """(16, frames), or some of the bands: natural log of the energy in 8 of mid and of side, 50 frames a second."""
        if not self._energies:
            return np.zeros((2 * (len(BANDS_HZ) - 1), 0), np.float32)[bands]
        return np.concatenate([part[bands] for part in self._energies], axis=1, dtype=np.float32)

    def onsets(self) -> Float:
        """(16, frames): half-wave rectified rises of the energies."""
        rises = self.energies()
        for row in rises:  # a band at a time: those of a long film have 23 MB
            row[1:] = np.maximum(np.diff(row), 0)
            row[:1] = 0
        return rises

    def powers(self) -> Float:
        """(frames,): mean square of a channel, of full scale, between 60 and 3800 Hz."""
        parts = [np.exp(part.astype(np.float32)).sum(axis=0) for part in self._energies]
        return np.asarray(np.concatenate([np.zeros(0, np.float32), *parts]) / _FULL_SCALE, np.float32)

    def around(self, start: int, length: int) -> Float | None:
        """(2, ``length``) samples at 8 kHz from ``start`` on, made of the windows; None where they lack half of it."""
        out = np.zeros((2, length), np.float32)
        covered = 0
        for low, high, window_start in self._pieces(start, length):
            out[:, low - start : high - start] = self.windows[window_start][:, low - window_start : high - window_start]
            covered += high - low
        return out if covered >= length // 2 else None

    def covers(self, start: int, length: int) -> npt.NDArray[np.bool_]:
        """(``length``,): which of these samples a window has, and are no filling after the track's end."""
        out = np.zeros(length, bool)
        for low, high, _ in self._pieces(start, length):
            out[low - start : max(low, min(high, self._position)) - start] = True
        return out

    def _pieces(self, start: int, length: int) -> list[tuple[int, int, int]]:
        """(from, to, the window's start), in samples of the track, of what the windows have of a stretch."""
        ends = ((max(start, at), min(start + length, at + window.shape[1]), at) for at, window in self.windows.items())
        return [piece for piece in ends if piece[0] < piece[1]]

    def _add_energies(self) -> None:
        frames = self._pending.shape[1] // HOP - 1
        blocks = np.lib.stride_tricks.sliding_window_view(self._pending, 2 * HOP, axis=1)[:, ::HOP]
        spectrum = np.fft.rfft(blocks * np.hanning(2 * HOP).astype(np.float32), axis=2)
        power = spectrum.real**2 + spectrum.imag**2
        edges = np.searchsorted(np.fft.rfftfreq(2 * HOP, 1 / RATE), BANDS_HZ)
        bands = np.add.reduceat(power, edges[:-1], axis=2)
        energy = np.log(bands + SILENCE).transpose(0, 2, 1).reshape(-1, frames)
        self._energies.append(energy.astype(np.float16))
        self._pending = self._pending[:, frames * HOP :]

    def _collect_windows(self, mid_side: Float) -> None:
        length = WINDOW_SECONDS * RATE
        while mid_side.shape[1]:
            room = length - self._position % length
            part, mid_side = mid_side[:, :room], mid_side[:, room:]
            start = self._position // length * length
            if self._wanted(start):
                self._window.append(part)
            self._position += part.shape[1]
            if self._position % length == 0 and self._window:
                self.windows[start] = np.concatenate(self._window, axis=1).astype(np.float16)
                self._window = []
                if len(self.windows) > MOST_WINDOWS:
                    self._every_seconds *= 2
                    self.windows = {start: kept for start, kept in self.windows.items() if self._wanted(start)}

    def _wanted(self, start: int) -> bool:
        return start < DENSE_SECONDS * RATE or start % (self._every_seconds * RATE) == 0
