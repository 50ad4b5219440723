"""What ``dubav prep`` can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.cache import layout
from dubcli.cache.layout import FRAME_RULE, FRAMES
from dubcli.core.languages import check_languages, regional_tag
from dubcli.errors import UserError, one_of
from dubcli.media.nvdec import parse_decoder
from dubcli.media.sources import PROGRAMME

SHORT_SIDE = 180
LEAST_SHORT_SIDE = 32  # pixels, of the smallest preset's crop
FRAME_RULES = ("centres", "ends")
EXACT, SLOT = "exact", "slot"
KEEP, LEAVE_OUT = "keep", "leave-out"
OK, OFF, UNKNOWN, SILENT, SAME = "ok", "off", "unknown", "silent", "same"  # verdicts of the sync check


@dataclass(frozen=True, kw_only=True)
class PrepConfig:
    """Options of ``prepare``.

    Attributes:
        languages: in any way of writing them (kept as their tags), the primary first.
        cache: the clip cache's folder.
        assume_primary: take a film's single untagged track for the primary language.
        match_level: bring every dub to the primary's loudness.
        sync_check: leave out dubs that are off by more than ``max_lag_ms`` anywhere.
        max_lag_ms: in milliseconds.
        fix_lag: correct such dubs instead.
        frame_rule: which 16 frames a clip has, see ``media.picture.Instants``.
        short_side: of the pictures that are kept, in pixels. Small ones are read several times as fast, and enough for
            a small preset's crop.
        frames: ``exact``, or ``slot`` for any frame on screen within a sixteenth of a clip that costs least.
        decoder: ``auto``, ``cpu`` or ``cuda``; no parameter of the cache, whose pictures are the same from each.
        regions: the languages with the regions that are wished (``pt-BR``), as ``languages`` have them where this is
            left away.
        include_extras: of folders take samples, trailers and extras, too.
        exclude: patterns of files and folders that are left out of folders; see ``media.library.Looking``.
        keep_same: keep silent dubs and those that are the primary once more.
        unknown: ``keep`` or ``leave-out``, of dubs that share too little with the primary to tell.

    Raises:
        UserError: values that make no sense.
    """

    languages: tuple[str, ...]
    cache: Path = Path("cache")
    assume_primary: bool = False
    match_level: bool = False
    sync_check: bool = True
    max_lag_ms: float = 80.0
    fix_lag: bool = False
    frame_rule: str = "centres"
    short_side: int = SHORT_SIDE
    frames: str = EXACT
    decoder: str = "auto"
    regions: tuple[str, ...] = ()
    include_extras: bool = False
    exclude: tuple[str, ...] = ()
    keep_same: bool = False
    unknown: str = KEEP

    def __post_init__(self) -> None:
        if not self.languages:
            raise UserError("--lang names no language; give codes such as en,es,fr,ja")
        tags = check_languages(self.languages)
        if not self.regions:
            object.__setattr__(self, "regions", tuple(regional_tag(text) or "" for text in self.languages))
        object.__setattr__(self, "languages", tags)
        if not self.max_lag_ms > 0:
            raise UserError(f"--max-lag-ms is {self.max_lag_ms:g}; give more than 0")
        parse_decoder(self.decoder)
        one_of("--frame-rule", self.frame_rule, FRAME_RULES)
        if self.short_side < LEAST_SHORT_SIDE or self.short_side % 2:
            raise UserError(f"--short-side is {self.short_side}; give an even number of {LEAST_SHORT_SIDE} or more")
        one_of("--frames", self.frames, (EXACT, SLOT))
        if self.frames == SLOT and self.frame_rule != FRAME_RULES[0]:
            raise UserError(f"--frames slot is of equal parts of a clip; leave --frame-rule {self.frame_rule} away")
        one_of("--unknown", self.unknown, (KEEP, LEAVE_OUT))
        if self.fix_lag and not self.sync_check:
            raise UserError("--fix-lag needs the sync check; leave --no-sync-check away")

    @property
    def primary(self) -> str:
        """The language the others are dubs of."""
        return self.languages[0]

    def parameters(self) -> dict[str, Any]:
        """What ``cache.json`` records and refuses to change; other languages can be added at any time."""
        return {
            "primary": self.primary,
            "clip_seconds": layout.CLIP_SECONDS,
            "frames_per_clip": layout.FRAMES_PER_CLIP,
            "short_side": self.short_side,
            "jpeg_quality": 3,
            "sample_rate": 48000,
            "n_fft": 1024,
            "hop_length": 512,
            "mels": layout.MELS,
            "match_level": self.match_level,
            "sync_check": self.sync_check,
            "max_lag_ms": self.max_lag_ms,
            "fix_lag": self.fix_lag,
            FRAME_RULE: self.frame_rule,
            FRAMES: self.frames,
        }


def kept_verdicts(config: PrepConfig, how: str | None = None) -> set[str]:
    """The verdicts with which a dub may stay; one that is off has to be corrected too.

    ``how`` its track was found: of another programme it has to be shown that it is of this film.
    """
    kept = {OK, OFF}
    if config.keep_same:
        kept |= {SAME, SILENT}
    if config.unknown == KEEP and how != PROGRAMME:
        kept.add(UNKNOWN)
    return kept
