"""What the dubber can be told. No torch, no numpy here."""

from __future__ import annotations

from dataclasses import dataclass

from dubcli.core.languages import parse_language
from dubcli.errors import UserError, one_of


@dataclass(frozen=True, kw_only=True)
class DubConfig:
    """Dubs for one film.

    Attributes:
        speech: what happens to the voices that are there: ``duck`` lowers the whole track while a line is spoken,
            ``centre`` lowers only the centre channel (5.1) or the part common to both channels (stereo) for the whole
            film.
        duck_db: by how much.
        gain_db: level of the new lines over the film's own voices.
        original: the language of the track to start from, in any way of writing it (kept as its tag); None is the
            film's main one.
        engine: MODULE:NAME of a speech engine of one's own (see ``dubcli.speech.engines``), asked before the default
            ones.

    Raises:
        UserError: an unknown word, or no language.
    """

    speech: str = "duck"
    duck_db: float = -15.0
    gain_db: float = 0.0
    original: str | None = None
    engine: str | None = None

    def __post_init__(self) -> None:
        one_of("--speech", self.speech, ("duck", "centre"))
        if self.duck_db > 0:
            raise UserError(f"duck_db is {self.duck_db:g}; give 0 or a negative number of decibels")
        if self.original is not None:
            object.__setattr__(self, "original", parse_language(self.original, "--original"))
