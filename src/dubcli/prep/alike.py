"""Titles of a cache that share most of their sound: two versions of one film, or a film and its trailer or sample."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubcli.cache import layout
from dubcli.cache.reader import Movie
from dubcli.core.atomic import read_json, write_json
from dubcli.errors import UserError
from dubcli.prep.landmarks import KEPT_OF, Landmarks, landmarks_file

MOST = 0.5  # of a title's sound
NEIGHBOURS = 24  # of a landmark, sorted by titles: a jingle that all titles have costs no more than that
SAME_TIME = 8  # hundredths of a second between two distances that are one
GAP = 1000  # hundredths of a second without a landmark in common, within a stretch that two titles share
LEAST_LANDMARKS = 5  # of such a stretch
MOST_COMPARED = 1 << 18  # landmarks, each of which meets at most ``NEIGHBOURS`` others: some 500 MB
LEAST_SHARED = 1000  # hundredths of a second: of clips that are shorter a jingle may be most
PARTS = 16  # by the four highest bits
_NAMED = 3
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Alike:
    """Two titles by their ids: which share of the sound of each is in the other."""

    first: str
    second: str
    shares: tuple[float, float]


def alike_in(cache: Path, movies: Sequence[Movie]) -> list[Alike]:
    """The pairs that share more than half of the sound of one; kept in the cache until it has other films."""
    there = [movie for movie in movies if landmarks_file(movie.folder).is_file()]
    made_of = [(movie.id, movie.tracks.get(movie.primary, {}).get("fingerprint")) for movie in there]
    state = hashlib.sha256(repr(made_of).encode()).hexdigest()
    kept = cache / layout.ALIKE_FILE
    with suppress(UserError, KeyError):  # there is none, or half of one
        known = read_json(kept)
        if known["state"] == state:
            return [Alike(first, second, (a, b)) for first, second, a, b in known["pairs"]]
    names, found = [], []
    for movie in there:
        with suppress(OSError, ValueError):
            found.append(np.load(landmarks_file(movie.folder), mmap_mode="r", allow_pickle=False))
            names.append(movie.id)
    pairs = [Alike(names[a], names[b], shares) for a, b, shares in shared_sound(found)]
    with suppress(OSError):  # it only saves time
        write_json(kept, {"state": state, "pairs": [[pair.first, pair.second, *pair.shares] for pair in pairs]})
    return pairs


def shared_sound(titles: Sequence[Landmarks]) -> Iterator[tuple[int, int, tuple[float, float]]]:
    """(title, other title, share of the sound of each that the other has), where one of the shares is most.

    Of a large library every so many-th landmark is compared, the same ones in all titles.
    """
    thinner = -(-sum(map(len, titles)) // MOST_COMPARED) or 1
    titles = [title if thinner == 1 else title[(title[:, 0] // KEPT_OF) % thinner == 0] for title in titles]
    gap = GAP * thinner
    for pair, times in _meetings(titles):
        stretches = list(_stretches(times, gap))
        shared = [_length([span[side] for span in stretches]) for side in (0, 1)]
        sounding = [_length(list(_spans(np.sort(titles[title][:, 1].astype(np.int64)), gap))) for title in pair]
        shares = [round(min(1.0, part / max(1, whole)), 3) for part, whole in zip(shared, sounding, strict=True)]
        if max(shared) >= LEAST_SHARED and max(shares) >= MOST:
            yield pair[0], pair[1], (shares[0], shares[1])


def _meetings(titles: Sequence[Landmarks]) -> Iterator[tuple[tuple[int, int], _Ints]]:
    """Each pair of titles with (n, 2) instants, of each of the two, at which a number of both is heard."""
    found = [np.zeros((0, 4), np.uint32)]
    for part in range(PARTS):  # of the numbers, so that only the landmarks of one are in memory
        of_part = [np.asarray(title[title[:, 0] >> 28 == part]) for title in titles]
        numbers, times = np.concatenate([np.zeros((0, 2), np.uint32), *of_part]).T
        owners = np.repeat(np.arange(len(titles), dtype=np.uint32), [len(title) for title in of_part])
        order = np.argsort(numbers, kind="stable")  # within a number, by titles
        numbers, times, owners = numbers[order], times[order], owners[order]
        for step in range(1, NEIGHBOURS + 1):
            (at,) = np.nonzero(numbers[step:] == numbers[:-step])
            if not at.size:
                break
            at = at[owners[at] != owners[at + step]]
            found.append(np.stack([owners[at], owners[at + step], times[at], times[at + step]], axis=1))
    met = np.concatenate(found).astype(np.int64)
    keys = met[:, 0] * len(titles) + met[:, 1]
    met, keys = (values[_often(keys, met[:, 3] - met[:, 2])] for values in (met, keys))
    order = np.argsort(keys, kind="stable")
    keys, met = keys[order], met[order]
    edges = np.flatnonzero(np.diff(keys, prepend=-1, append=-1))
    for low, high in pairwise(edges.tolist()):
        yield (int(met[low, 0]), int(met[low, 1])), met[low:high, 2:]


def _often(pairs: _Ints, distances: _Ints) -> npt.NDArray[np.bool_]:
    """(n,) of meetings: whether enough of a pair's lie as far apart, which in unrelated titles they hardly ever do."""
    found = np.zeros(len(pairs), bool)
    for shift in (0, SAME_TIME):  # bins that overlap
        bins = pairs * (1 << 24) + (distances + (1 << 23) + shift) // (2 * SAME_TIME)
        _, which, counts = np.unique(bins, return_inverse=True, return_counts=True)
        found |= counts[which] >= LEAST_LANDMARKS
    return found


def _stretches(times: _Ints, gap: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """((from, to) in the one title, (from, to) in the other) of stretches that run in parallel in both."""
    distance = times[:, 1] - times[:, 0]
    order = np.argsort(distance, kind="stable")
    bounds = np.flatnonzero(np.diff(distance[order], prepend=-(1 << 40), append=1 << 40) > SAME_TIME)
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        together = times[order[low:high]]
        together = together[np.argsort(together[:, 0], kind="stable")]
        for first, stop in _runs(together[:, 0], gap):
            run = together[first:stop]
            if len(np.unique(run[:, 0])) >= LEAST_LANDMARKS:
                yield (int(run[0, 0]), int(run[-1, 0])), (int(run[:, 1].min()), int(run[:, 1].max()))


def _runs(at: _Ints, gap: int) -> Iterator[tuple[int, int]]:
    """(first, stop) of instants that follow each other without a gap; they are sorted."""
    bounds = [0, *(np.flatnonzero(np.diff(at) > gap) + 1).tolist(), len(at)]
    yield from ((low, high) for low, high in pairwise(bounds) if high > low)


def _spans(at: _Ints, gap: int) -> Iterator[tuple[int, int]]:
    for first, stop in _runs(at, gap):
        yield int(at[first]), int(at[stop - 1])


def _length(spans: Sequence[tuple[int, int]]) -> int:
    """Of the union of spans."""
    total, reached = 0, -(1 << 40)
    for low, high in sorted(spans):
        total += max(0, high - max(low, reached))
        reached = max(reached, high)
    return total


def alike_groups(pairs: Sequence[Alike]) -> list[list[Alike]]:
    """The pairs that have titles in common, together."""
    found: list[list[Alike]] = []
    for pair in pairs:
        names = {pair.first, pair.second}
        joined = [group for group in found if any(names & {one.first, one.second} for one in group)]
        found = [group for group in found if group not in joined] + [[*chain(*joined), pair]]
    return found


def line_of(group: Sequence[Alike], called: Mapping[str, str]) -> str:
    """What to say of titles that are alike, each by what it is ``called``."""
    names = list(dict.fromkeys(name for pair in group for name in (pair.first, pair.second)))
    if len(names) > 2:
        some = ", ".join(called[name] for name in names[:_NAMED])
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        what = f"{some}{more} share most of their sound: versions of one film?"
    elif min(group[0].shares) >= MOST:
        first, second = (called[name] for name in names)
        what = f"{first} and {second} share {max(group[0].shares):.0%} of their sound: two versions of one film?"
    else:
        part, whole = sorted(zip(group[0].shares, names, strict=True), reverse=True)
        what = f"{part[0]:.0%} of the sound of {called[part[1]]} is in {called[whole[1]]}: a part of it?"
    folder = f"{layout.MOVIES_FOLDER}/{names[-1]}"
    return f"{what} They are each other's negatives; to leave one out, --exclude it and remove {folder} of the cache"
