"""The cluster engine: the same function submitted to an existing Dask scheduler (the ``cluster`` extra)."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

from dubcli.errors import UserError
from dubcli.jobs.call import Report, call
from dubcli.jobs.outcomes import FAILED, Outcome

Item = TypeVar("Item")

CONNECT_TIMEOUT_SECONDS = 20


def run_on_cluster(
    function: Callable[[Item, Report], dict[str, Any]], items: list[Item], key: Callable[[Item], str], scheduler: str
) -> Generator[Outcome]:
    """Yield outcomes as workers of the cluster at ``scheduler`` (``tcp://host:8786``) finish items.

    Dask runs an item again elsewhere when its worker dies, and gives up on it after several workers died of it.
    Sources and cache must be on a file system that all workers see. Raises UserError when the cluster is not there.
    """
    try:
        from distributed import Client, KilledWorker, as_completed
    except ImportError:
        raise UserError("--scheduler needs Dask: pip install 'dubcli[cluster]'") from None
    try:
        client = Client(scheduler, timeout=CONNECT_TIMEOUT_SECONDS)
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    with client:
        names = {}
        for item in items:
            name = key(item)
            # pure=False: the same film again is a new run, not yesterday's result
            names[client.submit(partial(_call_silently, function, item, name), pure=False)] = name
        for job in as_completed(list(names)):
            try:
                yield job.result()
            except KilledWorker:
                yield Outcome(names[job], FAILED, "the cluster's workers died of it, several in turn")
            finally:
                job.release()


def _call_silently(function: Callable[[Item, Report], dict[str, Any]], item: Item, name: str) -> Outcome:
    return call(function, item, name, _no_report)


def _no_report(fraction: float, **fields: str | float) -> None:
    """Within an item a cluster's worker reports nothing; the command shows items as they end."""
