"""Which titles have most of their sound in common, from their landmarks: first which may, by a sample, then how much.

Of a large library only every so many-th landmark is looked up at first. Two titles are then compared by all they have
where landmarks that lie equally far apart in both are spread over one of them: a jingle, an opening and the credits are
not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dubcli.prep.landmarks import FORMS, KEPT_OF, PLAIN, Landmarks

MOST = 0.5  # of a title's sound
MOST_COMPARED = 1 << 22  # landmarks that are looked up, of all titles in all forms
MOST_MEETINGS = 1 << 28  # of two landmarks with one number; the commonest numbers, which tell least, are left out
SAME_TIME = 8  # hundredths of a second between two distances that are one
GAP = 1500  # hundredths of a second without a landmark in common, within a stretch that two titles share
LEAST_LANDMARKS = 5  # of such a stretch
LEAST_SHARED = 1000  # hundredths of a second: of clips that are shorter a jingle may be most
SUSPICIOUS_LANDMARKS = 3  # of a sample, that lie equally far apart in two titles
PARTS, SUSPICIOUS_PARTS = 12, 3  # of the shorter title, into which they have to fall
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Title:
    """A title in one of its forms: landmarks, of which there are some."""

    number: int
    landmarks: Landmarks

    @cached_property
    def stop(self) -> int:
        """Hundredths of a second, after the last one."""
        return int(self.landmarks[:, 1].max()) + 1


def shared_sound(titles: Sequence[Landmarks]) -> Iterator[tuple[int, int, tuple[float, float]]]:
    """(title, other title, share of the sound of each that the other has), where one of the shares is most.

    ``titles`` are as ``landmarks`` makes them. The form in which two titles share most decides.
    """
    forms = [_Title(number, part) for number, title in enumerate(titles) for part in _forms(title)]
    best: dict[tuple[int, int], tuple[float, float]] = {}
    for plain, other in _suspicious(forms):
        pair, shares = (plain.number, other.number), _shares(plain.landmarks, other.landmarks)
        if plain.number > other.number:
            pair, shares = pair[::-1], shares[::-1]
        if max(shares) > max(best.get(pair, (0.0, 0.0))):
            best[pair] = shares
    yield from ((*pair, shares) for pair, shares in sorted(best.items()) if max(shares) >= MOST)


def _forms(title: Landmarks) -> list[Landmarks]:
    bounds = np.searchsorted(title[:, 2], range(len(FORMS) + 1)).tolist()
    return [title[low:high] for low, high in pairwise(bounds) if high > low]


def _suspicious(forms: Sequence[_Title]) -> Iterator[tuple[_Title, _Title]]:
    """Plain titles, each with a form of another that may share most of its sound."""
    numbers, times, owners = _index(forms)
    plain = np.array([form.landmarks[0, 2] == PLAIN for form in forms], bool)
    title = np.array([form.number for form in forms])
    by_owner = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners, range(len(forms) + 1), sorter=by_owner)
    for asked in np.flatnonzero(plain).tolist():
        own = by_owner[bounds[asked] : bounds[asked + 1]]
        low, high = (np.searchsorted(numbers, numbers[own], side) for side in ("left", "right"))
        met = _ranges(low, high)
        mine = np.repeat(times[own], high - low)
        other = owners[met]
        # two plain titles meet once
        counts = (title[other] != title[asked]) & ~(plain[other] & (other < asked))
        other, mine, theirs = other[counts], mine[counts], times[met[counts]]
        often = _often(other, theirs - mine, SUSPICIOUS_LANDMARKS)
        other, mine, theirs = other[often], mine[often], theirs[often]
        for found in np.unique(other).tolist():
            of_it = other == found
            stop, at = min((forms[asked].stop, 0, mine), (forms[found].stop, 1, theirs))[::2]
            if len(np.unique(at[of_it] * PARTS // stop)) >= SUSPICIOUS_PARTS:
                yield forms[asked], forms[found]


def _index(forms: Sequence[_Title]) -> tuple[npt.NDArray[np.uint32], _Ints, npt.NDArray[np.int32]]:
    """(numbers, instants, places in ``forms``) of the landmarks that are looked up, by their numbers."""
    thinner = -(-sum(len(form.landmarks) for form in forms) // MOST_COMPARED) or 1
    kept = [part if thinner == 1 else part[(part[:, 0] // KEPT_OF) % thinner == 0]
            for part in (np.asarray(form.landmarks) for form in forms)]  # fmt: skip
    joined = np.concatenate([np.zeros((0, 2), np.uint32), *(part[:, :2] for part in kept)])
    owners = np.repeat(np.arange(len(forms), dtype=np.int32), [len(part) for part in kept])
    order = np.argsort(joined[:, 0], kind="stable")
    numbers, times, owners = joined[order, 0], joined[order, 1], owners[order]
    _, which, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    rarest = np.sort(counts)
    allowed = rarest[np.searchsorted(np.cumsum(rarest.astype(np.int64) ** 2), MOST_MEETINGS, "right") - 1 :][:1]
    told = counts[which] <= allowed if allowed.size else np.zeros(0, bool)
    return numbers[told], times[told].astype(np.int64), owners[told]


def _ranges(low: _Ints, high: _Ints) -> _Ints:
    """All integers from each low bound up to its high one."""
    lengths = high - low
    steps = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.asarray(np.repeat(low, lengths) + steps, np.int64)


def _shares(first: Landmarks, second: Landmarks) -> tuple[float, float]:
    """Which share of the time in which there are landmarks lies in stretches that the other has, too; of both."""
    low, high = (np.searchsorted(second[:, 0], first[:, 0], side) for side in ("left", "right"))
    times = [np.repeat(first[:, 1], high - low), second[_ranges(low, high), 1]]
    met = np.stack(times, axis=1).astype(np.int64)
    met = met[_often(np.zeros(len(met), np.int64), met[:, 1] - met[:, 0], LEAST_LANDMARKS)]
    stretches = list(_stretches(met))
    shared = [_length([span[side] for span in stretches]) for side in (0, 1)]
    sounding = [_length(list(_spans(np.sort(title[:, 1].astype(np.int64))))) for title in (first, second)]
    if max(shared) < LEAST_SHARED:
        return 0.0, 0.0
    shares = [round(min(1.0, part / max(1, whole)), 3) for part, whole in zip(shared, sounding, strict=True)]
    return shares[0], shares[1]


def _often(others: npt.NDArray[np.integer], distances: _Ints, least: int) -> npt.NDArray[np.bool_]:
    """(n,) of meetings: whether so many of one title's lie as far apart, which in unrelated titles they hardly do."""
    found = np.zeros(len(others), bool)
    for shift in (0, SAME_TIME):  # bins that overlap
        bins = others.astype(np.int64) * (1 << 24) + (distances + (1 << 23) + shift) // (2 * SAME_TIME)
        _, which, counts = np.unique(bins, return_inverse=True, return_counts=True)
        found |= counts[which] >= least
    return found


def _stretches(times: _Ints) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """((from, to) in the one title, (from, to) in the other) of stretches that run in parallel in both."""
    distance = times[:, 1] - times[:, 0]
    order = np.argsort(distance, kind="stable")
    bounds = np.flatnonzero(np.diff(distance[order], prepend=-(1 << 40), append=1 << 40) > SAME_TIME)
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        together = times[order[low:high]]
        together = together[np.argsort(together[:, 0], kind="stable")]
        for first, stop in _runs(together[:, 0]):
            run = together[first:stop]
            instants = len(np.unique(run[:, 0]))
            if instants >= LEAST_LANDMARKS:
                # what is shared begins before the first landmark, by as much as two are apart in the mean
                edge = int(run[-1, 0] - run[0, 0]) // (instants - 1)
                first_span, second_span = ((int(at.min()) - edge, int(at.max()) + edge) for at in run.T)
                yield first_span, second_span


def _runs(at: _Ints) -> Iterator[tuple[int, int]]:
    """(first, stop) of instants that follow each other without a gap; they are sorted."""
    bounds = [0, *(np.flatnonzero(np.diff(at) > GAP) + 1).tolist(), len(at)]
    yield from ((low, high) for low, high in pairwise(bounds) if high > low)


def _spans(at: _Ints) -> Iterator[tuple[int, int]]:
    for first, stop in _runs(at):
        yield int(at[first]), int(at[stop - 1])


def _length(spans: Sequence[tuple[int, int]]) -> int:
    """Of the union of spans."""
    total, reached = 0, -(1 << 40)
    for low, high in sorted(spans):
        total += max(0, high - max(low, reached))
        reached = max(reached, high)
    return total
