"""Batches of k clips of one movie and any others, none of which has more than k (the other reading of section 3.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
"""Clips of each movie."""


def one_film_batches(
    clips: Counts, count: int, batch_size: int, k: int, generator: np.random.Philox
) -> list[NDArray[np.int64]]:
    """The movies of the clips of each of ``count`` batches, those of the one movie first.

    The one movie is drawn by the clips that are left of each, and so is each of the others. A movie can give a row of
    batches no more than k clips to each: one that has more than that left is drawn before others. So the batches that
    hold more than k of a movie are the fewest that there can be, they are the last ones, and each of them holds clips
    of every movie that is left.

    Args:
        clips: of each movie; at least ``count`` x ``batch_size`` together.
        count: of batches.
        batch_size: clips in a batch.
        k: clips of the one movie.
        generator: its raw words are used, which are the same in every version of numpy.
    """
    left = clips.copy()
    within = most_within(clips, count, batch_size, k)
    batches = []
    for number in range(count):
        coming = max(0, within - 1 - number)  # batches after this one that can do with k
        taken = np.zeros_like(left)
        opening = _opening(left, coming, batch_size, k, generator)
        taken[opening] = min(batch_size, k, int(left[opening]))
        limits = np.minimum(k, left)
        _draw(taken, np.clip(left - k * coming, taken, limits), left, batch_size, generator)
        _draw(taken, _kept_whole(taken, limits, left, count - 1 - number, batch_size, k), left, batch_size, generator)
        _draw(taken, limits, left, batch_size, generator)
        while taken.sum() < batch_size:  # every movie that is left is in it already
            taken[min(np.flatnonzero(left > taken).tolist(), key=lambda movie: (taken[movie], movie))] += 1
        left -= taken
        others = np.repeat(np.arange(len(taken)), np.where(np.arange(len(taken)) == opening, 0, taken))
        batches.append(np.concatenate([np.full(taken[opening], opening), others]))
    return batches


def most_within(clips: Counts, count: int, batch_size: int, k: int) -> int:
    """How many of ``count`` batches can be made with at most k clips of a movie in each.

    >>> most_within(np.array([100, 30]), count=5, batch_size=26, k=13)  # the smaller movie has 13 for two of them
    2
    """
    low, high = 0, count
    while low < high:  # what n batches can take less what they need is concave in n, and 0 at 0
        middle = (low + high + 1) // 2
        fits = int(np.minimum(clips, k * middle).sum()) >= batch_size * middle
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def _opening(left: Counts, coming: int, batch_size: int, k: int, generator: np.random.Philox) -> int:
    """The movie that opens a batch: drawn by clips from those that have k of them, else the one with most.

    Where the others could then not give what they must give now, it is the one that must give most.
    """
    size = min(batch_size, k)
    whole = np.where(left >= size, left, 0)
    if not whole.any():
        return int(left.argmax())
    drawn = int(_movies(whole, 1, generator)[0])
    needed = np.clip(left - k * coming, 0, np.minimum(k, left))
    spare = int(np.minimum(left, k * (coming + 1)).sum()) - batch_size * (coming + 1)
    lost = int(needed.sum() - needed[drawn]) - (batch_size - size)
    return int(np.where(whole > 0, needed, -1).argmax()) if lost > max(spare, 0) else drawn


def _kept_whole(taken: Counts, limits: Counts, left: Counts, coming: int, batch_size: int, k: int) -> Counts:
    """The limits with which every batch that is to come can still open with k clips of a movie, where that is near."""
    size = min(batch_size, k)
    spare = int(((left - taken) // size).sum()) - coming
    if spare >= batch_size - int(taken.sum()):
        return limits
    return np.minimum(limits, taken + (left - taken) % size)


def _draw(taken: Counts, limits: Counts, left: Counts, batch_size: int, generator: np.random.Philox) -> None:
    """Draw clips by movie into ``taken`` until the batch is full or each movie has its limit of them."""
    while (lacking := batch_size - int(taken.sum())) > 0 and (limits > taken).any():
        drawn = _movies(np.where(limits > taken, left - taken, 0), lacking, generator)
        np.minimum(taken + np.bincount(drawn, minlength=len(taken)), np.maximum(limits, taken), out=taken)


def _movies(weights: Counts, count: int, generator: np.random.Philox) -> NDArray[Any]:
    """``count`` movies, each drawn by its weight."""
    ends = np.cumsum(weights)
    places = np.atleast_1d(generator.random_raw(count)) % np.uint64(ends[-1])
    return np.asarray(np.searchsorted(ends, places.astype(np.int64), side="right"))
