"""What is there and what is asked for, compared in one place."""

import pytest

from dubcli.core.same import first_difference, require_same
from dubcli.errors import UserError


def test_the_first_difference_with_both_values():
    assert first_difference({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 2]}) is None
    assert first_difference({"a": 1, "b": 2, "more": 0}, {"a": 1, "b": 3}) == ("b", 2, 3)
    assert first_difference({}, {"new": False}) == ("new", None, False)
    assert first_difference({}, {"new": False}, new_names_differ=False) is None


def test_the_error_is_one_line_that_says_what_to_do():
    require_same({"a": 1}, {"a": 1}, "x was made with", "delete it")
    with pytest.raises(UserError, match="^x was made with a 1, now it is 2; delete it$"):
        require_same({"a": 1}, {"a": 2}, "x was made with", "delete it")
    with pytest.raises(UserError, match="^the run has a 1, this one 2; go$"):
        require_same({"a": 1}, {"a": 2}, "the run has", "go", now="this one")
