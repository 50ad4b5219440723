"""The same-movie sampler: its promises as properties, and one epoch worked out by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubcli.core.sampler import SameMovieBatchSampler, Share
from dubcli.errors import UserError

settings.register_profile("quick", max_examples=60, deadline=None)
settings.load_profile("quick")

arguments = st.fixed_dictionaries(
    {
        "clips_per_movie": st.lists(st.integers(0, 40), min_size=0, max_size=12),
        "batch_size": st.integers(1, 17),
        "k": st.integers(1, 14),
        "seed": st.integers(0, 2**40),
        "world_size": st.integers(1, 4),
        "sampling": st.sampled_from(["groups", "one-film"]),
    }
)
groups_only = arguments.filter(lambda given: given["sampling"] == "groups")


def sampler_of(arguments, rank=0):
    rest = {name: value for name, value in arguments.items() if name != "world_size"}
    return SameMovieBatchSampler(**rest, share=Share(rank, arguments["world_size"]))


def epoch_of(arguments, epoch=0):
    """Batches by step and rank."""
    samplers = [sampler_of(arguments, rank) for rank in range(arguments["world_size"])]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return list(zip(*samplers, strict=True))


def movie_of(clips_per_movie):
    return np.repeat(np.arange(len(clips_per_movie)), clips_per_movie)


@given(arguments, st.integers(0, 5))
def test_every_clip_at_most_once_and_ranks_disjoint(arguments, epoch):
    steps = epoch_of(arguments, epoch)
    total = sum(arguments["clips_per_movie"])
    batches = [batch for step in steps for batch in step]
    assert all(len(batch) == arguments["batch_size"] for batch in batches)
    seen = [clip for batch in batches for clip in batch]
    assert len(set(seen)) == len(seen)
    assert set(seen) <= set(range(total))
    # Only the last incomplete global batch is dropped.
    assert len(steps) == len(sampler_of(arguments)) == total // (arguments["batch_size"] * arguments["world_size"])


@given(groups_only)
def test_the_epoch_is_a_row_of_groups_of_k_clips_of_one_movie(arguments):
    """Read rank 0, rank 1, ... of each step one after another: groups of k, smaller only for a movie's remainder."""
    k, movies = arguments["k"], movie_of(arguments["clips_per_movie"])
    row = [clip for step in epoch_of(arguments) for batch in step for clip in batch]
    remaining = dict(enumerate(arguments["clips_per_movie"]))
    remainders = {movie: count % k for movie, count in remaining.items()}

    def groups(place):
        """Whether the row from here can be read as groups. Neighbouring groups of a movie look like one long run."""
        stack = [(place, frozenset())]
        while stack:
            at, used = stack.pop()
            if at >= len(row):
                return True
            movie = movies[row[at]]
            sizes = [k] if remaining[movie] >= k else []
            if remainders[movie] and movie not in used:
                sizes.append(remainders[movie])
            for size in sizes:
                part = row[at : at + size]
                if all(movies[clip] == movie for clip in part):
                    stack.append((at + size, used | {movie} if size == remainders[movie] != k else used))
        return False

    assert groups(0)


def shares(batch, movies):
    """How many clips of each movie a batch holds."""
    return Counter(movies[batch].tolist())


@given(groups_only)
def test_more_than_k_of_a_movie_only_where_every_movie_left_is_in_the_batch(arguments):
    movies = movie_of(arguments["clips_per_movie"])
    left = Counter(movies.tolist())
    for batch in (batch for step in epoch_of(arguments) for batch in step):
        held = shares(batch, movies)
        left -= held
        if max(held.values()) > arguments["k"]:
            assert set(left) <= set(held)


@given(arguments.filter(lambda given: given["sampling"] == "one-film"))
def test_one_film_has_k_clips_and_no_other_more(arguments):
    k, size = arguments["k"], arguments["batch_size"]
    movies = movie_of(arguments["clips_per_movie"])
    left = Counter(movies.tolist())
    for batch in (batch for step in epoch_of(arguments) for batch in step):
        opening = movies[batch[: min(k, size)]]
        if max(left.values()) >= min(k, size):
            assert len(set(opening.tolist())) == 1
        held = shares(batch, movies)
        left -= held
        if max(held.values()) > k:
            assert set(left) <= set(held)


def fewest_above(clips_per_movie, count, size, k):
    """Of ``count`` batches those that must hold more than k clips of a movie: k of each for each of the others."""
    within = [n for n in range(count + 1) if sum(min(clips, k * n) for clips in clips_per_movie) >= size * n]
    return count - max(within)


unequal = st.fixed_dictionaries(
    {
        "clips_per_movie": st.lists(st.sampled_from([1, 2, 5, 13, 40, 120, 500]), min_size=1, max_size=7),
        "batch_size": st.integers(2, 26),
        "k": st.integers(1, 13),
        "seed": st.integers(0, 2**40),
        "world_size": st.integers(1, 4),
        "sampling": st.sampled_from(["groups", "one-film"]),
    }
)


@given(unequal)
def test_k_is_exceeded_in_as_few_batches_as_can_be(arguments):
    """Films of very unequal sizes. Groups are not broken up, so a few more of their batches at an epoch's end are."""
    movies, k = movie_of(arguments["clips_per_movie"]), arguments["k"]
    batches = [batch for step in epoch_of(arguments) for batch in step]
    above = sum(max(shares(batch, movies).values()) > k for batch in batches)
    assert above == sampler_of(arguments).above_k
    fewest = fewest_above(arguments["clips_per_movie"], len(batches), arguments["batch_size"], k)
    assert above == fewest if arguments["sampling"] == "one-film" else above >= fewest


@pytest.mark.parametrize("sampling", ["groups", "one-film"])
@pytest.mark.parametrize("films", [3, 10, 40])
def test_k_holds_with_few_films(films, sampling):
    """Groups in any order gave 28 % of the batches of ten films more than k clips of one, and 82 % of three's."""
    given = {"clips_per_movie": [200] * films, "batch_size": 26, "k": 12, "seed": 0, "world_size": 1}
    movies = movie_of(given["clips_per_movie"])
    batches = [
        batch for epoch in range(5) for step in epoch_of({**given, "sampling": sampling}, epoch) for batch in step
    ]
    most = [max(shares(batch, movies).values()) for batch in batches]
    above = sum(share > 12 for share in most)
    assert above <= (0.1 * len(batches) if sampling == "groups" else 0)  # at an epoch's end, where nothing else is left
    if sampling == "one-film":  # but at an epoch's end, where no film has k left
        assert sum(share < 12 for share in most) <= 0.03 * len(batches)


def test_one_film_draws_all_by_their_clips():
    """Films of 100, 200, 300 and 400 clips, ten of each: so are they seen in an epoch's first third."""
    given = {"clips_per_movie": [100, 200, 300, 400] * 10, "batch_size": 10, "k": 4, "seed": 3, "world_size": 1}
    movies = movie_of(given["clips_per_movie"])
    early = [batch for (batch,) in epoch_of({**given, "sampling": "one-film"})[:333]]
    for part in (slice(0, 1), slice(4, None)):
        counts = Counter(int(movie) % 4 for batch in early for movie in movies[batch[part]])
        total = sum(counts.values())
        assert [counts[size] / total for size in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.06)


def test_what_is_said_where_k_cannot_hold():
    assert SameMovieBatchSampler([60] * 5, 10, 4).note() == ""
    sampler = SameMovieBatchSampler([200, 20, 20], 10, 4, sampling="one-film")
    assert sampler.above_k == 18  # in seven batches the three have 28 + 20 + 20 clips within k
    assert sampler.note().startswith("18 of the 24 batches of an epoch hold more than 4 clips of one film (--k)")


def test_a_film_of_its_own_size_costs_no_time():
    """One film far longer than all others: the clips that fill up batches are looked for in one pass."""
    given = {"clips_per_movie": [20_000, 5, 5], "batch_size": 26, "k": 12, "seed": 0, "world_size": 1}
    for sampling in ("groups", "one-film"):
        assert len(epoch_of({**given, "sampling": sampling})) == 20_010 // 26


@given(arguments, st.integers(0, 3), st.data())
def test_resume_yields_the_rest_of_the_epoch(arguments, epoch, data):
    rank = data.draw(st.integers(0, arguments["world_size"] - 1))
    sampler = sampler_of(arguments, rank)
    sampler.set_epoch(epoch)
    whole = list(sampler)
    done = data.draw(st.integers(0, len(whole)))
    iterator = iter(sampler)
    assert [next(iterator) for _ in range(done)] == whole[:done]
    state = sampler.state_dict()
    fresh = sampler_of(arguments, rank)
    fresh.load_state_dict(state)
    fresh.set_epoch(epoch)  # a trainer sets the epoch whether or not it resumed
    assert list(fresh) == whole[done:]
    assert fresh.state_dict() == sampler.state_dict(step=len(whole))
    assert list(fresh) == whole  # the epoch after that starts from its first step


@given(arguments)
def test_pure_function_of_its_arguments(arguments):
    once, again = epoch_of(arguments, 3), epoch_of(arguments, 3)
    assert once == again
    sampler = sampler_of(arguments)
    sampler.set_epoch(3)
    list(sampler)
    sampler.set_epoch(1)
    sampler.set_epoch(3)
    assert [step[0] for step in once] == list(sampler) == [sampler.batch(step) for step in range(len(sampler))]


def test_epochs_and_seeds_differ_and_every_clip_is_dropped_at_times():
    base = {"clips_per_movie": [50, 31, 70], "batch_size": 26, "k": 12}
    sampler = SameMovieBatchSampler(**base, seed=4)
    seen, orders = set(), []
    for epoch in range(60):
        sampler.set_epoch(epoch)
        order = [clip for batch in sampler for clip in batch]
        orders.append(tuple(order))
        seen |= set(order)
    assert len(set(orders)) == 60
    assert seen == set(range(151))
    assert list(SameMovieBatchSampler(**base, seed=5)) != list(SameMovieBatchSampler(**base, seed=4))


def test_paper_sizes():
    """Batch 26, k 12 on 4 GPUs: 12 + 12 + 2, then the split group's other 10 open the next batch."""
    clips_per_movie = [1200] * 30
    steps = epoch_of({"clips_per_movie": clips_per_movie, "batch_size": 26, "k": 12, "seed": 0, "world_size": 4})
    movies = movie_of(clips_per_movie)
    row = [batch for step in steps for batch in step]

    def runs(batch):
        """Lengths of the runs of one movie, split where groups meet."""
        changes = np.flatnonzero(np.diff(movies[batch])) + 1
        return [len(part) for part in np.split(np.array(batch), changes)]

    different = [runs(first) + runs(second) for first, second in zip(row[::6], row[1::6], strict=False)]
    usual = [12, 12, 2, 10, 12, 4]
    assert len(steps) == 36000 // 104
    # Never two groups of a movie in a batch; now and then the end of one batch and the start of the next differ.
    assert sum(lengths == usual for lengths in different) > 0.9 * len(different)
    assert all(max(shares(batch, movies).values()) == 12 for batch in row)
    # Groups come from the whole film: its clips were shuffled before they were cut.
    first_group = row[0][:12]
    assert max(first_group) - min(first_group) > 100


def test_order_is_frozen():
    """The order is part of a checkpoint's meaning: it may not change with a version of numpy or of ours."""
    sampler = SameMovieBatchSampler([5, 3, 4], 4, 2, seed=1)
    assert list(sampler) == [[4, 6, 9, 10], [5, 7, 0, 1], [3, 2, 8, 11]]
    sampler = SameMovieBatchSampler([5, 3, 4], 4, 2, seed=1, sampling="one-film")
    assert list(sampler) == [[3, 2, 5, 7], [0, 1, 9, 10], [8, 11, 4, 6]]


def test_state_of_other_arguments_is_refused_naming_both_values():
    state = SameMovieBatchSampler([30, 30], 4, 2, seed=1).state_dict()
    for changed, words in [
        (SameMovieBatchSampler([30, 30], 5, 2, seed=1), "batch_size 4, this one has 5"),
        (SameMovieBatchSampler([30, 30], 4, 3, seed=1), "k 2, this one has 3"),
        (SameMovieBatchSampler([30, 30], 4, 2, seed=2), "seed 1, this one has 2"),
        (SameMovieBatchSampler([30, 30], 4, 2, seed=1, share=Share(0, 2)), "world_size 1, this one has 2"),
        (SameMovieBatchSampler([30, 30], 4, 2, seed=1, sampling="one-film"), "sampling groups, this one has one-film"),
        (SameMovieBatchSampler([30, 29], 4, 2, seed=1), "movies"),
    ]:
        with pytest.raises(UserError, match=words):
            changed.load_state_dict(state)


def test_a_state_of_another_order_of_one_film_is_refused():
    sampler = SameMovieBatchSampler([30, 30], 4, 2, seed=1, sampling="one-film")
    state = {name: value for name, value in sampler.state_dict().items() if name != "order"}
    with pytest.raises(UserError, match="batches of --sampling one-film are others.*--fresh"):
        sampler.load_state_dict(state)
    groups = SameMovieBatchSampler([30, 30], 4, 2, seed=1)
    groups.load_state_dict({name: value for name, value in groups.state_dict().items() if name != "order"})


def test_a_state_of_the_order_before_is_refused():
    sampler = SameMovieBatchSampler([30, 30], 4, 2, seed=1)
    state = {name: value for name, value in sampler.state_dict().items() if name != "sampling"}
    with pytest.raises(UserError, match="earlier version.*--fresh"):
        sampler.load_state_dict(state)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"k": 0},
        {"seed": -1},
        {"sampling": "films"},
        {"clips_per_movie": [3, -1]},
        {"clips_per_movie": [[3]]},
    ],
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError):
        SameMovieBatchSampler(**{"clips_per_movie": [3], "batch_size": 2, "k": 1, **wrong})


@pytest.mark.parametrize("wrong", [(0, 0), (1, 1), (-1, 1)])
def test_a_rank_outside_the_world(wrong):
    with pytest.raises(ValueError, match="outside a world"):
        Share(*wrong)


def test_outside_the_epoch():
    sampler = SameMovieBatchSampler([7], 3, 2)
    assert len(sampler) == 2
    with pytest.raises(IndexError):
        sampler.batch(2)
    with pytest.raises(ValueError):
        sampler.set_epoch(-1)
