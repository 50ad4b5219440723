"""How a long job is spread and how many bad inputs it bears: the options prep, separate and embed share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dubcli.core.machine import usable_cores
from dubcli.errors import UserError


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """Where the work runs and when it gives up.

    Attributes:
        workers: processes on this machine; None is one per core that this process may use.
        scheduler: a Dask scheduler's address (``tcp://host:8786``); then ``workers`` is the cluster's affair.
        shard: (i, n), 1 <= i <= n: only every n-th input, beginning with the i-th (for job arrays).
        strict: stop at the first input that fails.
        max_failures: stop when more than that many have failed.

    Raises:
        UserError: values that make no sense.
    """

    workers: int | None = None
    scheduler: str | None = None
    shard: tuple[int, int] | None = None
    strict: bool = False
    max_failures: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers is {self.workers}; give 1 or more")
        if self.max_failures is not None and self.max_failures < 0:
            raise UserError(f"--max-failures is {self.max_failures}; give 0 or more")
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise UserError(f"--shard is {self.shard[0]}/{self.shard[1]}; give I/N with I from 1 to N")

    @property
    def worker_count(self) -> int:
        """Local worker processes: as asked, else one per usable core."""
        if self.workers is not None:
            return self.workers
        return usable_cores()

    def bear(self, failed: int) -> bool:
        """Whether a job goes on when so many inputs have failed."""
        limit = 0 if self.strict else self.max_failures
        return limit is None or failed <= limit

    def given_up(self, failed: int, last: str, log: str = "") -> UserError:
        """What is raised when it does not. last: the last failure, and why; log: where the others stand."""
        if self.strict:
            return UserError(f"{last} (stopped at the first failure because of --strict)")
        where = f"the reasons are in {log}; " if log else ""
        many = f"{failed} inputs failed, more than --max-failures {self.max_failures}"
        return UserError(f"{many}; {where}the last: {last}")


def parse_shard(text: str | None) -> tuple[int, int] | None:
    """``"3/16"`` -> (3, 16); None stays None. Raises UserError."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(f"--shard is {text!r}; give I/N with I from 1 to N, such as 3/16")
    return int(match[1]), int(match[2])
