"""One call of a job's function in a worker: what it returns or raises becomes an outcome."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from dubcli.errors import InputError, UserError
from dubcli.jobs.outcomes import FAILED, OK, Outcome

Item = TypeVar("Item")
Report = Callable[..., None]
"""``report(fraction, **fields)``: how much of the item is done, and what is shown beside."""

NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the limit of a file's size is reached (ulimit -f)",
    errno.EROFS: "it is read-only",
}
"""Errors that no other input could escape, with what to say of them."""


def call(function: Callable[[Item, Report], dict[str, Any]], item: Item, name: str, report: Report) -> Outcome:
    """Call ``function`` on one item, in the worker, and turn what it returns or raises into an Outcome."""
    try:
        details = dict(function(item, report))
        return Outcome(name, details.pop("status", OK), None, details)
    except InputError as error:
        return Outcome(name, FAILED, _one_line(error))
    except UserError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(error.filename or "the target", error) from None
        return Outcome(name, FAILED, _one_line(error), {"traceback": traceback.format_exc()})
    except Exception as error:
        return Outcome(
            name,
            FAILED,
            f"unexpected {type(error).__name__}: {_one_line(error)}",
            {"traceback": traceback.format_exc()},
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def no_room(where: object, error: OSError) -> UserError:
    """What is raised where something cannot be written; ``NO_ROOM`` has the causes that are the machine's."""
    return UserError(f"cannot write {where}: {NO_ROOM.get(error.errno or 0, str(error))}; make room and run it again")
