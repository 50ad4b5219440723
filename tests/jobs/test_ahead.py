"""Work ahead: in order, so far and no further, errors in their turn."""

import threading

import pytest

from dubcli.jobs.ahead import ahead


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_come_in_order_whichever_is_done_first(threads):
    last = threading.Event()

    def work(number):
        if number == 7:
            last.set()
        if threads == 3 and number == 6:
            assert last.wait(30)  # the next is done before it
        return number * number

    assert list(ahead(work, range(8), threads)) == [n * n for n in range(8)]


def test_no_more_is_begun_than_twice_the_threads_ahead_nor_after_the_end():
    begun = []
    results = ahead(lambda number: begun.append(number), iter(range(1000)), 2)
    next(results)
    results.close()
    assert sorted(begun) == list(range(len(begun)))
    assert len(begun) <= 5


def test_an_error_is_raised_in_its_turn():
    def work(number):
        if number == 2:
            raise ValueError("two")
        return number

    results = ahead(work, range(5), 2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)
