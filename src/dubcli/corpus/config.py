"""What the maker of corpora can be told. No torch, no numpy here."""

from __future__ import annotations

from dataclasses import dataclass

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.errors import UserError
from dubcli.media.languages import check_languages

SPOKEN = ("en", "es", "fr", "ja", "de", "it")
"""Languages the built-in lines are written in and a default speech engine speaks."""


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """A counterfactual corpus: one background, one picture, other words in each language.

    ``films`` are for pretraining, ``heldout`` are more of the same kind from which only probe sounds are cut.
    ``minutes``: length of each film. ``languages``: the first is the original. ``speech_db``: level of the voices
    over the background, in decibels. ``one_scene``: a film for pretraining is one scene, so that its clips differ in
    what happens and is said when, and not in where they are. ``frame_rate_divisor``: pictures per second are
    24000/1001 over it.
    ``engine``: MODULE:NAME of a speech engine of one's own (see ``dubcli.speech.engines``), asked before the default
    ones.
    """

    films: int = 12
    heldout: int = 12
    minutes: float = 0.5
    languages: tuple[str, ...] = ("en", "es", "fr", "ja")
    seed: int = 0
    speech_db: float = 6.0
    one_scene: bool = False
    frame_rate_divisor: int = 2
    width: int = 320
    height: int = 180
    engine: str | None = None

    def __post_init__(self) -> None:
        if self.films < 1 or self.heldout < 0:
            raise UserError(f"films is {self.films} and heldout {self.heldout}; give 1 or more, and 0 or more")
        if self.clips < 2:
            raise UserError(f"minutes is {self.minutes:g}; give 0.1 or more (two clips of {CLIP_SECONDS} s)")
        if not self.languages:
            raise UserError("languages is empty; give codes such as en,es,fr,ja")
        object.__setattr__(self, "languages", check_languages(self.languages, "--languages"))
        unspoken = [language for language in self.languages if language not in SPOKEN]
        if unspoken:
            raise UserError(f"no built-in lines in {', '.join(unspoken)}; choose from {', '.join(SPOKEN)}")
        if self.width % 2 or self.height % 2:
            raise UserError(f"pictures of {self.width}x{self.height} cannot be coded; give even numbers")

    @property
    def clips(self) -> int:
        """Whole clips of three seconds in each film."""
        return round(self.minutes * 60) // CLIP_SECONDS
