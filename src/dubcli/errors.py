"""The two errors that are somebody's input and not our bug. Everything else keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A user's mistake, or a machine that cannot go on (disk full). The command prints its text and exits with 2.

    The text is one line that says what is wrong and what to do next.
    """


class InputError(Exception):
    """One input (a film, a sound) cannot be used. The text is the reason, in one line.

    Long jobs record it in their log and go on with the other inputs.
    """


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``" (did you mean esc50?)"`` for a word near some of those known, else nothing: the middle of an error."""
    by_lower = {name.lower(): name for name in known}
    near = [by_lower[found] for found in difflib.get_close_matches(word.lower(), by_lower, 3)]
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def one_of(option: str, text: str, known: Iterable[str], also: Iterable[str] = ()) -> str:
    """``text``, where it is one of the words ``known``. Raises UserError that names those near it, also of ``also``."""
    words = list(known)
    if text not in words:
        raise UserError(f"{option} is {text!r}{did_you_mean(text, [*words, *also])}; give one of {', '.join(words)}")
    return text
