"""Batches with several clips of one movie (paper section 3.4, Negative Sampling; DESIGN section 4)."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from dubcli.core.one_film import one_film_batches
from dubcli.core.presets import SAMPLINGS
from dubcli.core.same import require_same
from dubcli.errors import UserError

_ORDERS = {"groups": 1, "one-film": 2}
"""Of each sampling the number of its order: a run that another one began cannot go on with this one."""


@dataclass(frozen=True)
class Share:
    """Which of how many processes one is. Raises ValueError for a rank outside the world."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank {self.rank} is outside a world of {self.world_size}")


class SameMovieBatchSampler(Sampler[list[int]]):
    """Yields one rank's batches of clip numbers, ``k`` clips of a movie side by side (paper section 3.3).

    Clips are numbered through all movies laid end to end. In each epoch a movie's clips are shuffled and cut into
    groups of k (its last group may be smaller), the groups are shuffled and laid end to end, and that row is cut into
    batches of ``batch_size``: rank 0's of step 0, rank 1's of step 0, ... With 26 and k = 12 a batch is 12 + 12 + 2
    clips and the other 10 of the split group open the next batch. A group that would give a batch more than k clips
    of a movie waits for a later batch, unless every movie that is left is in the batch already. The last incomplete
    global batch is dropped, so every clip is seen at most once an epoch. All this is a pure function of (seed, epoch,
    step, rank, world_size). Each new iteration starts at step 0, or once at the step that ``load_state_dict`` set.

    Args:
        clips_per_movie: how many clips each movie has.
        batch_size: clips of one rank's batch.
        k: clips of one movie in a batch.
        seed: of the order, 0 or more.
        share: which of how many processes this one is, by default the only one.
        sampling: ``groups``, as above, or ``one-film``, as the paper's words can also be read: k clips of one movie,
            and the rest of the batch drawn from the clips of all others, of none of them more than k
            (``one_film.one_film_batches``).

    Raises:
        ValueError: sizes below 1, a negative seed or epoch, an unknown ``sampling``.

    >>> sampler = SameMovieBatchSampler([4, 4], batch_size=4, k=2)
    >>> [sorted(clip // 4 for clip in batch) for batch in sampler]  # the movies of the clips
    [[0, 0, 1, 1], [0, 0, 1, 1]]
    """

    def __init__(
        self,
        clips_per_movie: Sequence[int],
        batch_size: int,
        k: int,
        *,
        seed: int = 0,
        share: Share = Share(),
        sampling: str = "groups",
    ) -> None:
        if min(batch_size, k) < 1:
            raise ValueError(f"batch_size {batch_size} and k {k} must be 1 or more")
        if seed < 0:
            raise ValueError(f"seed {seed} is negative")
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling {sampling!r} is none of {', '.join(SAMPLINGS)}")
        self._clips = np.asarray(clips_per_movie, dtype=np.int64)
        if self._clips.ndim != 1 or (self._clips < 0).any():
            raise ValueError("clips_per_movie must be a list of counts of 0 or more")
        self.batch_size, self.k, self.seed, self.sampling = batch_size, k, seed, sampling
        self.rank, self.world_size = share.rank, share.world_size
        self.epoch = 0
        self._next_step = 0  # the step after the one handed out last
        self._resume_step = 0  # where the next iteration starts
        self._order: tuple[int, NDArray[np.int64], int] | None = None  # (epoch, clip numbers, above_k)

    def __len__(self) -> int:
        """Steps in an epoch."""
        return int(self._clips.sum()) // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[list[int]]:
        start, self._resume_step = self._resume_step, 0
        self._next_step = start
        return self._batches(start)

    def _batches(self, start: int) -> Iterator[list[int]]:
        for step in range(start, len(self)):
            self._next_step = step + 1
            yield self.batch(step)

    def batch(self, step: int) -> list[int]:
        """This rank's clip numbers at a step of the current epoch. Raises IndexError outside the epoch."""
        if not 0 <= step < len(self):
            raise IndexError(f"step {step} of an epoch of {len(self)} steps")
        first = (step * self.world_size + self.rank) * self.batch_size
        clips: list[int] = self._ordered()[0][first : first + self.batch_size].tolist()
        return clips

    @property
    def above_k(self) -> int:
        """How many batches of the epoch, those of all ranks, hold more than k clips of a movie: no others are left."""
        return self._ordered()[1]

    def note(self) -> str:
        """What to tell the user of it; empty where there is nothing."""
        batches = len(self) * self.world_size
        told = f"{self.above_k} of the {batches} batches of an epoch hold more than {self.k} clips of one film (--k)"
        return f"{told}: there are no others left for them" if self.above_k else ""

    def _ordered(self) -> tuple[NDArray[np.int64], int]:
        """The clip numbers of the current epoch, and ``above_k``."""
        if self._order is None or self._order[0] != self.epoch:
            order = self._shuffle(self.epoch)
            self._order = (self.epoch, order, self._count_above_k(order))
        return self._order[1:]

    def _count_above_k(self, order: NDArray[np.int64]) -> int:
        count = len(self) * self.world_size
        movies = np.searchsorted(np.cumsum(self._clips), order[: count * self.batch_size], side="right")
        batches = np.sort(movies.reshape(count, self.batch_size), axis=1)
        room = max(0, self.batch_size - self.k)
        return int((batches[:, self.k :] == batches[:, :room]).any(axis=1).sum())

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        """All clip numbers in the order of this epoch."""
        # Sorting a counter generator's raw words rather than numpy's own shuffle: numpy may change the latter.
        generator = np.random.Philox(key=np.array([self.seed, epoch], dtype=np.uint64))
        total = int(self._clips.sum())
        smallest = np.int16 if len(self._clips) < 2**15 else np.int64  # numpy sorts 16-bit integers by radix
        movie_of_clip = np.repeat(np.arange(len(self._clips), dtype=smallest), self._clips)
        shuffled = np.argsort(generator.random_raw(total), kind="stable")
        by_movie = shuffled[np.argsort(movie_of_clip[shuffled], kind="stable")]
        if self.sampling == "one-film":
            rows = one_film_batches(self._clips, len(self) * self.world_size, self.batch_size, self.k, generator)
            return _in_turn(by_movie, self._clips, rows)

        groups_per_movie = -(-self._clips // self.k)
        movie = np.repeat(np.arange(len(self._clips)), groups_per_movie)
        place = np.arange(len(movie)) - np.repeat(np.cumsum(groups_per_movie) - groups_per_movie, groups_per_movie)
        starts = (np.cumsum(self._clips) - self._clips)[movie] + place * self.k
        sizes = np.minimum(self.k, self._clips[movie] - place * self.k)

        turn = np.argsort(generator.random_raw(len(movie)), kind="stable")
        turn = turn[_kept_apart(movie[turn].tolist(), sizes[turn].tolist(), self.batch_size, self.k)]
        starts, sizes = starts[turn], sizes[turn]
        order: NDArray[np.int64] = by_movie[np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(total)]
        return order

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch. Setting the epoch that a loaded state has keeps that state's step."""
        if epoch < 0:
            raise ValueError(f"epoch {epoch} is negative")
        if epoch != self.epoch:
            self.epoch, self._next_step, self._resume_step = epoch, 0, 0

    def state_dict(self, step: int | None = None) -> dict[str, Any]:
        """Where the epoch stands, equal on all ranks.

        step: steps of this epoch that have been trained on. Give it where a loader draws batches ahead of the
        training; by default the steps handed out.
        """
        digest = hashlib.sha256(self._clips.astype("<i8").tobytes()).hexdigest()[:16]
        return {
            "epoch": self.epoch,
            "step": self._next_step if step is None else step,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "k": self.k,
            "world_size": self.world_size,
            "sampling": self.sampling,
            "order": _ORDERS[self.sampling],
            "movies": digest,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` stands: the next iteration yields the rest of its epoch.

        Raises UserError naming both values when the state belongs to other arguments.
        """
        own = self.state_dict()
        if "sampling" not in state:
            raise UserError(
                "the saved run is of an earlier version, whose batches could hold more than k clips of a film: "
                "finish it with that version or start afresh with --fresh"
            )
        if state["sampling"] == self.sampling and state.get("order", 1) != own["order"]:
            raise UserError(
                f"the saved run is of an earlier version, whose batches of --sampling {self.sampling} are others: "
                "finish it with that version or start afresh with --fresh"
            )
        wanted = {name: own[name] for name in ("seed", "batch_size", "k", "world_size", "sampling", "movies")}
        advice = "go on with the same value or start afresh with --fresh"
        require_same(state, wanted, "the saved run had", advice, now="this one has")
        self.epoch = int(state["epoch"])
        self._resume_step = self._next_step = int(state["step"])


def _kept_apart(movies: list[int], sizes: list[int], batch_size: int, k: int) -> list[int]:
    """The order of groups, near to the given one, in which no batch gets more than k clips of a movie.

    movies, sizes: of each group. A group whose movie has no room in the batch waits, and goes into the first batch
    that has. Only where all movies that are left are in the batch, the one with the fewest clips there goes on.
    """
    order: list[int] = []
    waiting: dict[int, deque[int]] = {}
    coming = iter(range(len(movies)))
    held: dict[int, int] = {}
    room = batch_size

    def after(group: int) -> int:
        """How many clips of its movie the batch has with the group."""
        return held.get(movies[group], 0) + min(sizes[group], room)

    while len(order) < len(movies):
        group = min((row[0] for row in waiting.values() if after(row[0]) <= k), default=None)
        while group is None and (candidate := next(coming, None)) is not None:
            if after(candidate) <= k:
                group = candidate
            else:
                waiting.setdefault(movies[candidate], deque()).append(candidate)
        if group is None:
            group = min((row[0] for row in waiting.values()), key=lambda one: (after(one), one))
        row = waiting.get(movies[group])
        if row and row[0] == group:
            row.popleft()
            if not row:
                del waiting[movies[group]]
        order.append(group)
        left = sizes[group]
        while left:
            taken = min(left, room)
            held[movies[group]] = held.get(movies[group], 0) + taken
            left, room = left - taken, room - taken
            if room == 0:
                held, room = {}, batch_size
    return order


def _in_turn(by_movie: NDArray[np.int64], clips: NDArray[np.int64], rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Clip numbers for a row of movies: each movie's clips in the order that ``by_movie`` has them."""
    movies = np.concatenate([*rows, np.empty(0, np.int64)]).astype(np.int64)
    sorted_places = np.argsort(movies, kind="stable")
    counts = np.bincount(movies, minlength=len(clips))
    place = np.arange(len(movies)) - np.repeat(np.cumsum(counts) - counts, counts)
    order = np.empty_like(movies)
    order[sorted_places] = by_movie[np.repeat(np.cumsum(clips) - clips, counts) + place]
    return order
