"""The two errors that are somebody's input and not our bug. Everything else keeps its traceback."""

from __future__ import annotations


class UserError(Exception):
    """A user's mistake, or a machine that cannot go on (disk full). The command prints its text and exits with 2.

    The text is one line that says what is wrong and what to do next.
    """


class InputError(Exception):
    """One input (a film, a sound) cannot be used. The text is the reason, in one line.

    Long jobs record it in their log and go on with the other inputs.
    """
