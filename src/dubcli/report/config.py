"""What ``dubav report`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dubcli.core.machine import parse_device
from dubcli.errors import UserError


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Options of ``report``.

    Attributes:
        paper: the paper's values beside.
        outside: its tables A1 to A3 of other people's results too.
        gallery: queries of the retrieval gallery, 0 for none; it needs a run and a cache among the paths.
        gallery_clips: at most so many clips of the cache are searched.
        sources: folders with the films, for the gallery's players, where they are no longer where ``dubav prep`` read
            them.
        title: of the page.
        against: the column that the best of a row is held against, class by class; None is ``mono`` where there is one.
        device: torch's name, of the gallery; None is CUDA where there is one.

    Raises:
        UserError: values that make no sense.
    """

    paper: bool = False
    outside: bool = False
    gallery: int = 6
    gallery_clips: int = 60
    sources: tuple[Path, ...] = ()
    title: str = "dubav report"
    against: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        parse_device(self.device)
        if self.gallery < 0 or self.gallery_clips < 2:
            raise UserError("--gallery is 0 or more and --gallery-clips 2 or more")
