"""What ``export`` can be told of a model beside what its checkpoint says. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dubcli.errors import UserError

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Options of ``export``.

    Attributes:
        license: as hubs name it (``mit``, ``cc-by-nc-4.0``); of what a model was trained on depends which is right.
        datasets: ids of data sets on the hub.
        results: a folder of ``dubav probe`` with scores of this model.

    Raises:
        UserError: what is no licence's name or no data set's id.
    """

    license: str = "unknown"
    datasets: tuple[str, ...] = ()
    results: Path | None = None

    def __post_init__(self) -> None:
        if _LICENSE.fullmatch(self.license) is None:
            raise UserError(f"--license is {self.license!r}; give a name as hubs have it: mit, apache-2.0, other")
