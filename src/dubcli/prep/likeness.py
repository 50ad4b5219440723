"""Whether a dub is one at all: silence, the original once more; and whether a change of speed kept the pitch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from dubcli.prep.correlation import undo_speed
from dubcli.prep.trace import BANDS_HZ, ONSET_RATE, RATE, WINDOW_SECONDS, Float, SyncTrace

LagAt = Callable[[float], float]  # seconds of the film -> seconds by which the dub is late

SILENT_POWER = 1e-7  # -70 dB of full scale, ITU-R BS.1770's absolute gate
SILENT_SHARE = 1e-4  # -40 dB of the original's mean: a tape's noise under nothing
HEARD_SHARE = 0.02  # of the time in which the original sounds; less is a beep or a jingle, and no dub
# Copies through aac, ac3, mp3 and opus of 24 to 96 kbit/s: at most 0.13 of a second's cells differ and coherence is at
# least 0.85. A dub: of each second with speech 0.2 and more differ, or coherence is below 0.5 (see bench_sync).
DIFFERENT_ENERGY = 1.5  # natural logarithm: 6.5 dB
DIFFERENT_CELLS = 0.2
DIFFERENT_COHERENCE = 0.65
DIFFERENT_SECONDS = 0.005  # of the film, which a copy may have: damage, a caption read aloud
LOUD_RANGE = 6.9  # 30 dB below what is loud in the film: codecs leave out what is quieter
EMPTY_BAND = 6.0  # 26 dB less than the film's other bands: cut off in one of the two
LEAST_SHARE = 0.5  # of the energy of one of the two has to be in bands that both have: else they share the rest alone
LEAST_CELLS = 20


def is_silent(primary: SyncTrace, dub: SyncTrace) -> bool:
    """Whether the dub sounds in next to nothing of the time in which the original does."""
    original = primary.powers()
    original_heard = original[original > SILENT_POWER]
    if original_heard.size == 0:
        return False
    floor = max(SILENT_POWER, SILENT_SHARE * float(original_heard.mean()))
    return int((dub.powers() > floor).sum()) < HEARD_SHARE * int((original > floor).sum())


def repeats(primary: SyncTrace, dub: SyncTrace, lag_at: LagAt, speed: float) -> bool:
    """Whether a dub that is late by ``lag_at`` is the original once more, at any level and through any codec.

    The energies of all of the film are alike, and the waveforms of the windows that were kept, second by second.
    """
    for seconds in (_different_energies(primary, dub, lag_at), _incoherent(primary, dub, lag_at, speed)):
        if seconds.size == 0 or int(seconds.sum()) > DIFFERENT_SECONDS * seconds.size:
            return False
    return True


def _different_energies(primary: SyncTrace, dub: SyncTrace, lag_at: LagAt) -> npt.NDArray[np.bool_]:
    """(seconds,) that are loud in one of the two: whether the mid signals' bands differ, a steady equaliser apart."""
    at = _moved(np.arange(primary.frames) / ONSET_RATE, lag_at)
    inside = (at >= 0) & (at <= dub.frames - 1)
    if inside.sum() < ONSET_RATE:
        return np.zeros(0, bool)
    at = at[inside]

    def rows(band: int) -> tuple[Float, Float]:
        """One band of both, a band at a time: those of a long film have 12 MB."""
        return primary.band(band)[inside], np.interp(at, np.arange(dub.frames), dub.band(band)).astype(np.float32)

    bands = len(BANDS_HZ) - 1
    gains, tops, powers = np.zeros(bands), np.zeros(bands), np.zeros((bands, 2))
    for band in range(bands):  # all that one reading tells
        ours, theirs = rows(band)
        gains[band] = _median_where_loud(ours, theirs)
        tops[band] = np.percentile(np.maximum(ours, theirs + np.float32(gains[band])), 95)
        powers[band] = [np.exp(row).mean(dtype=np.float64) for row in (ours, theirs)]
    kept = np.flatnonzero(np.abs(gains - np.median(gains)) <= EMPTY_BAND)
    if (powers[kept].sum(axis=0) / powers.sum(axis=0)).max() < LEAST_SHARE:
        return np.ones(1, bool)
    seconds = at.size // int(ONSET_RATE)
    different, counted = np.zeros(seconds, np.int64), np.zeros(seconds, np.int64)
    for band in kept.tolist():
        ours, theirs = rows(band)
        theirs = theirs + np.float32(gains[band])
        loud = np.maximum(ours, theirs) > max(tops[band], tops[kept].max() - 2) - LOUD_RANGE
        for cells, sums in ((loud & (np.abs(ours - theirs) > DIFFERENT_ENERGY), different), (loud, counted)):
            sums += cells[: seconds * int(ONSET_RATE)].reshape(seconds, -1).sum(axis=1)
    told = counted >= LEAST_CELLS
    return np.asarray(different[told] > DIFFERENT_CELLS * counted[told])


def _moved(times: npt.NDArray[np.float64], lag_at: LagAt) -> npt.NDArray[np.float64]:
    """Frames of the dub that belong to those instants of the film; the lag is a line."""
    first, last = lag_at(float(times[0])) if times.size else 0.0, lag_at(float(times[-1])) if times.size else 0.0
    return np.asarray((times + np.linspace(first, last, times.size)) * ONSET_RATE)


def _median_where_loud(ours: Float, theirs: Float) -> float:
    louder = np.maximum(ours, theirs)
    return float(np.median((ours - theirs)[louder >= np.median(louder)]))


def _incoherent(primary: SyncTrace, dub: SyncTrace, lag_at: LagAt, speed: float) -> npt.NDArray[np.bool_]:
    """(seconds,) of the windows, those that are loud: whether the mid signals are two waveforms.

    Magnitude-squared coherence of each second in bands of 125 Hz from 60 Hz to 3 kHz, weighted by both energies; a
    delay or an equaliser that is the same within a band leaves it.
    """
    size, frames, edges = 512, 31, np.arange(4, 196, 8)
    coherences, levels = [], []
    for window, other, heard in aligned(primary, dub, lag_at):
        heard = undo_speed(heard[None].astype(np.float32), speed, heard.size)[0]
        spectra = [_spectrogram(sound[0], size) for sound in (window, undo_speed(other, speed, other.shape[1]))]
        for first in range(0, len(spectra[0]) - frames + 1, frames):
            if heard[first * size // 2 : (first + frames + 1) * size // 2].min() < 1:
                continue  # not to be compared: nothing was kept of one of the two
            x, y = (spectrum[first : first + frames, :204] for spectrum in spectra)
            cross, power_x, power_y = (
                np.add.reduceat(cells.sum(axis=0), edges) for cells in (x * y.conj(), np.abs(x) ** 2, np.abs(y) ** 2)
            )
            weight = power_x / max(float(power_x.sum()), 1e-20) + power_y / max(float(power_y.sum()), 1e-20)
            coherence = np.abs(cross) ** 2 / np.maximum(power_x * power_y, 1e-20)
            coherences.append(float((weight * coherence).sum() / max(float(weight.sum()), 1e-20)))
            levels.append(float(power_x.sum()))
    loud = np.array(levels) > np.exp(-LOUD_RANGE) * max(levels, default=0.0)
    return np.asarray(np.array(coherences)[loud] < DIFFERENT_COHERENCE)


def _spectrogram(sound: Float, size: int) -> npt.NDArray[np.complex128]:
    """(frames, bins) with half overlap."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[:: size // 2]
    return np.asarray(np.fft.rfft(frames * np.hanning(size), axis=1))


def aligned(primary: SyncTrace, dub: SyncTrace, lag_at: LagAt) -> Iterator[tuple[Float, Float, npt.NDArray[np.bool_]]]:
    """The original's windows, (2, samples) at 8 kHz, each with as long a piece of the dub about the same middle.

    Third of which samples there is something of both.
    """
    length = WINDOW_SECONDS * RATE
    for start in sorted(primary.windows):
        at = start + round(lag_at(start / RATE + WINDOW_SECONDS / 2) * RATE)
        other = dub.around(at, length)
        if other is not None:
            both = primary.covers(start, length) & dub.covers(at, length)
            yield primary.windows[start].astype(np.float32), other, both


def pitch_kept(primary: SyncTrace, dub: SyncTrace, lag_at: LagAt, speed: float) -> bool:
    """Whether a dub of another speed has the original's pitch: its spectrum fits unmoved, or better than moved."""
    step, reach = 0.0025, 40
    frequencies = np.exp(np.arange(np.log(120), np.log(3400), step))
    scores = np.zeros(2)
    for window, other, _ in aligned(primary, dub, lag_at):
        ours, theirs = (_fine_structure(sound, frequencies) for sound in (window, other))
        # what was at f lies at f / speed where the pitch went with the speed
        for place, shift in enumerate((0, -round(np.log(speed) / step))):
            moved = np.roll(theirs, -shift, axis=1)[:, reach:-reach]
            scores[place] += float((ours[:, reach:-reach] * moved).sum())
    return bool(scores[0] >= scores[1])


def _fine_structure(window: Float, frequencies: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(2, frequencies): log power of mid and side over a logarithmic axis, without its slow course."""
    size, smooth = 4096, 81
    rows = []
    for sound in window:
        power = (np.abs(_spectrogram(sound, size)) ** 2).mean(axis=0)
        row = np.interp(frequencies, np.fft.rfftfreq(size, 1 / RATE), np.log(power + 1e-6))
        rows.append(row - np.convolve(np.pad(row, smooth // 2, mode="edge"), np.ones(smooth) / smooth, "valid"))
    return np.array(rows)
