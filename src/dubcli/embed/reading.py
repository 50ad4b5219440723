"""What is wanted of an item, and what was noticed while it was read."""

from __future__ import annotations

from dataclasses import dataclass, field

from dubcli.core.models import FRAMES, ModelSizes
from dubcli.core.tracks import FULL
from dubcli.embed.chunks import CHUNK_SECONDS, HALF, chunk_count


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the backbones take: modalities, sound at ``sample_rate``, frames of a preset's size, one sound track.

    ``frames``: of a 3-second chunk of a video file; what a cache holds is 16.
    ``frame_rule``: of ``media.picture.Instants``. ``chunks``: the rule of ``chunks.py``. ``kind``: of the track in a
    cache. ``base``: the folder that relative paths are in; empty is the working folder.
    """

    modalities: tuple[str, ...]
    sample_rate: int
    sizes: ModelSizes
    lang: str | None = None
    kind: str = FULL
    frames: int = FRAMES
    chunks: str = HALF
    frame_rule: str = "centres"
    base: str = ""


@dataclass
class Reading:
    """What was noticed while an item was read. ``expected``: chunks by kind, as far as the file's header tells."""

    seconds: float = 0.0
    expected: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def expect(self, seconds: float, rule: str = HALF) -> None:
        """The sound has that length, says its header."""
        self.expected["wave"] = chunk_count(round(1000 * seconds), 1000 * CHUNK_SECONDS, rule)

    @property
    def warning(self) -> str | None:
        """All of it in one line."""
        return "; ".join(self.warnings) or None
