"""A film's sound in a few numbers that another title with the same sound has too, wherever in it that sound lies.

Landmarks as A. Wang has them ("An industrial-strength audio search algorithm", ISMIR 2003): peaks of the spectrogram,
put together by fours, whose bands and distances in time make a number. They are made of the mels that the cache has
anyway, but do not depend on where a clip begins; a level, a codec or other noise leaves enough of them. Of all such
numbers those are kept that a rule on the number alone picks, so that two titles keep the same ones.

Films are brought from 24 to 25 frames a second by playing them faster, with their pitch or without. So a title also has
the numbers that it would have if it were such a version, and had been slowed again.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubcli.cache import layout
from dubcli.cache.reader import Movie
from dubcli.core.atomic import atomic_write
from dubcli.prep.trace import SAMPLE_RATE

Landmarks = npt.NDArray[np.uint32]  # (n, 3): number, when it is heard in hundredths of a second, and as what (a FORM)
_Floats = npt.NDArray[np.float64]

PLAIN, SLOWED, SLOWED_LOWERED = FORMS = range(3)  # as it is; slowed with its pitch kept; slowed and lowered
FASTER = 25 / 24
MEL_BANDS = slice(4, 66)  # 100 Hz to 7 kHz, which codecs of low rates keep
PEAK_MELS, PEAK_FRAMES = 6, 24  # a peak is the highest of so many to each side (a quarter of a second)
LEAST_RISE = 0.7  # natural logarithm, over the band's mean of that time: a steady tone has no peaks
FOLLOWING = 6  # peaks after one that are put together with it
TOGETHER = 4
LONGEST_SECONDS = 2.0
STEP_SECONDS = 0.04  # of distances: about four frames, whose phase differs between two titles
KEPT_OF = 16  # one number of so many
CLIPS_AT_ONCE = 20  # of a minute; of five minutes peaks take 90 MB
_FRAME_SECONDS = 512 / SAMPLE_RATE


def landmarks_file(folder: Path) -> Path:
    """Where a movie's are."""
    return folder / layout.LANDMARKS_FILE


def add_landmarks(movie: Movie) -> None:
    """Write a movie's landmarks, of its primary track, into its folder. Raises UserError where its mel is damaged."""

    def clips(first: int, stop: int) -> npt.NDArray[np.float16]:
        # mapped anew each time: a map that is kept keeps in memory what was read through it, 260 MB of a long film
        return np.array(Movie(movie.folder).mel(movie.primary)[first:stop])

    found = landmarks(movie.n_clips, clips)
    with atomic_write(landmarks_file(movie.folder)) as file:
        np.save(file, found, allow_pickle=False)


def landmarks(n_clips: int, clips: Callable[[int, int], npt.NDArray[np.float16]]) -> Landmarks:
    """Of mels of 3 s each, as the cache has them; form by form, each sorted by number and time.

    ``clips`` gives those from a first one up to another, (clips, 2, 96, 280).
    """
    times, bands = [np.zeros(0)], [np.zeros(0)]
    for first in range(0, n_clips, CLIPS_AT_ONCE):
        low = max(0, first - 1)  # a clip more at each side: peaks at its edge are compared with what is beyond
        at, band = _peaks(clips(low, min(n_clips, first + CLIPS_AT_ONCE + 1)))
        at += low * layout.CLIP_SECONDS
        inside = (at >= first * layout.CLIP_SECONDS) & (at < (first + CLIPS_AT_ONCE) * layout.CLIP_SECONDS)
        times.append(at[inside])
        bands.append(band[inside])
    return landmarks_of_peaks(np.concatenate(times), np.concatenate(bands))


def landmarks_of_peaks(seconds: _Floats, bands: _Floats) -> Landmarks:
    """Of a spectrogram's peaks, sorted by time; ``bands`` counts mels from the first of ``MEL_BANDS``."""
    slow = seconds * FASTER
    forms = [(seconds, bands), (slow, bands), (slow, _lowered(bands))]
    return np.concatenate([_numbers(at, np.rint(band).astype(np.int64), form)
                           for form, (at, band) in enumerate(forms)])  # fmt: skip


def _lowered(bands: _Floats) -> _Floats:
    """Where a band's frequency lies after the pitch went down by ``FASTER``."""
    mels = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)  # of HTK, up to half of the rate, which 96 filters share
    width = mels / (layout.MELS + 1)
    hertz = 700 * (10 ** ((bands + MEL_BANDS.start + 1) * width / 2595) - 1)
    return np.asarray(2595 * np.log10(1 + hertz / FASTER / 700) / width - MEL_BANDS.start - 1)


def _peaks(mel: npt.NDArray[np.float16]) -> tuple[_Floats, _Floats]:
    """(seconds, bands) of the spectrogram's peaks, by time; bands to parts of one, by the parabola through three."""
    from scipy.ndimage import maximum_filter

    power = np.exp(mel[:, :, MEL_BANDS].astype(np.float32)).mean(axis=1)  # (clips, bands, frames)
    clips, bands, frames = power.shape
    level = np.log(power).transpose(1, 0, 2).reshape(bands, clips * frames)
    around = (2 * PEAK_MELS + 1, 2 * PEAK_FRAMES + 1)
    highest = maximum_filter(level, around, mode="constant", cval=-np.inf)
    rising = level - _mean(level, PEAK_FRAMES) >= LEAST_RISE
    frame, band = np.nonzero(((level == highest) & rising).T)
    below, top, above = (level[np.clip(band + by, 0, bands - 1), frame] for by in (-1, 0, 1))
    beside = np.clip((below - above) / 2 / np.minimum(below - 2 * top + above, -1e-3), -0.5, 0.5)
    return frame // frames * layout.CLIP_SECONDS + (frame % frames + 1) * _FRAME_SECONDS, band + beside.astype(float)


def _mean(values: npt.NDArray[np.float32], reach: int) -> npt.NDArray[np.float32]:
    """The mean of each value and of ``reach`` to each side in time; at the edges of what there is."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0)), mode="constant"), axis=1, dtype=np.float64)
    at = np.arange(values.shape[1])
    low, high = np.maximum(at - reach, 0), np.minimum(at + reach + 1, values.shape[1])
    return np.asarray((sums[:, high] - sums[:, low]) / (high - low), np.float32)


def _numbers(times: _Floats, bands: npt.NDArray[np.int64], form: int) -> Landmarks:
    """Peaks by fours, within a short time of the first."""
    found = [np.zeros((0, 3), np.uint32)]
    for others in combinations(range(1, FOLLOWING + 1), TOGETHER - 1):
        count = len(times) - others[-1]
        if count <= 0:
            continue
        (near,) = np.nonzero(times[others[-1] :] - times[:count] <= LONGEST_SECONDS)
        number = bands[near] & 63
        for by in others:
            steps = np.rint((times[near + by] - times[near]) / STEP_SECONDS).astype(np.int64)
            number = (number * 64 + (bands[near + by] & 63)) * 64 + steps
        mixed = _mixed(number)
        kept = mixed % KEPT_OF == 0
        hundredths = np.rint(times[near[kept]] * 100).astype(np.uint32)
        found.append(np.stack([mixed[kept], hundredths, np.full_like(hundredths, form)], axis=1))
    joined = np.concatenate(found)
    return joined[np.lexsort(joined.T[:2][::-1])]


def _mixed(number: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """32 bits in which near numbers are far (the finaliser of splitmix64)."""
    bits = number.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(bits >> np.uint64(32), np.uint32)
