"""What ``export`` can be told of a model beside what its checkpoint says. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dubcli.errors import UserError, did_you_mean

_DATASET = re.compile(r"[\w.-]{1,96}(?:/[\w.-]{1,96})?")
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]*")
LICENSES = (
    "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigscience-openrail-m", "bsd", "bsd-2-clause",
    "bsd-3-clause", "bsl-1.0", "cc", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0",
    "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0",
    "cdla-sharing-1.0", "creativeml-openrail-m", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gpl",
    "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0", "odbl", "odc-by", "openrail",
    "osl-3.0", "other", "unknown", "unlicense", "wtfpl", "zlib",
)  # fmt: skip
"""Names that hubs know (hf.co/docs/hub/repositories-licenses), the usual ones."""


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
        near = "" if self.license in LICENSES else did_you_mean(self.license, LICENSES)
        if near or _NAME.fullmatch(self.license) is None:
            raise UserError(f"--license is {self.license!r}{near}; give a name as hubs have it: mit, cc-by-4.0, other")
        for name in self.datasets:
            if _DATASET.fullmatch(name) is None:
                raise UserError(f"--dataset is {name!r}; give an id as hubs have it: OWNER/NAME")
