"""What the maker of corpora can be told. No torch, no numpy here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubcli.cache.layout import CLIP_SECONDS
from dubcli.core.languages import check_languages
from dubcli.errors import UserError, one_of

SPOKEN = ("en", "es", "fr", "ja", "de", "it")
"""Languages the built-in lines are written in and a default speech engine speaks."""

SPEECH = ("tts", "asterisk", "silent")
DUBS = ("other", "same", "wrong-background")
CASTINGS = ("alike", "any")
HELDOUT_AS = ("sounds", "films")


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """A counterfactual corpus: one background, one picture, other voices and words in each language.

    Attributes:
        films: how many for pretraining.
        heldout: how many more of the same kind, for probes.
        heldout_as: ``sounds``: only probe sounds are cut from them; ``films``: they are whole, in a folder of their
            own.
        minutes: length of each film.
        languages: in any way of writing them (kept as their tags); the first is the original.
        seed: of everything that is drawn.
        speech: ``tts`` (synthesisers), ``asterisk`` (recorded prompts, from ``speech_folder``) or ``silent``.
        speech_db: level of the voices over the background in the band of speech, 300 to 3400 Hz.
        speech_folder: of the recorded prompts.
        link: share of clips in which the original's voice is that of the person in the picture; in the others somebody
            out of the picture speaks.
        casting: the actor of a dub has a voice ``alike`` the one that the person has in the original (of the same
            class, a few percent higher or lower), or ``any`` other.
        dubs: ``other`` actors, words and timing, as dubs have; for controls the ``same`` voice and words as the
            original, or those of other actors over the ``wrong-background``.
        broken: share of films that lack one dub, or have one out of sync.
        beds: a folder of recordings, see ``corpus.recordings``.
        frame_rate_divisor: pictures per second are 24000/1001 over it.
        width: of the pictures, in pixels.
        height: likewise.
        engine: MODULE:NAME of a speech engine of one's own (see ``dubcli.speech.engines``), asked before the default
            ones.

    Raises:
        UserError: no films, films of less than two clips, no language, one that is none or twice, unknown words.
    """

    films: int = 12
    heldout: int = 12
    heldout_as: str = "sounds"
    minutes: float = 0.5
    languages: tuple[str, ...] = ("en", "es", "fr", "ja")
    seed: int = 0
    speech: str = "tts"
    speech_db: float = 10.0
    speech_folder: str = "/usr/share/asterisk/sounds"
    link: float = 1.0
    casting: str = "alike"
    dubs: str = "other"
    broken: float = 0.05
    beds: str = ""
    frame_rate_divisor: int = 3
    width: int = 120
    height: int = 90
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
        if unspoken and self.speech == "tts":
            raise UserError(f"no built-in lines in {', '.join(unspoken)}; choose from {', '.join(SPOKEN)}")
        if self.width % 2 or self.height % 2:
            raise UserError(f"pictures of {self.width}x{self.height} cannot be coded; give even numbers")
        for name, known in (("speech", SPEECH), ("casting", CASTINGS), ("dubs", DUBS), ("heldout_as", HELDOUT_AS)):
            one_of(f"--{name.replace('_', '-')}", getattr(self, name), known)
        for name in ("link", "broken"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"--{name} is {getattr(self, name):g}; give 0 to 1")
        if self.engine is not None and self.speech != "tts":
            raise UserError(f"--speech-engine is for --speech tts, not for {self.speech}; leave one of them away")
        for name in ("beds", "speech_folder"):  # a corpus that is gone on with has the same folders from anywhere
            if getattr(self, name):
                object.__setattr__(self, name, str(Path(getattr(self, name)).expanduser().absolute()))

    @property
    def clips(self) -> int:
        """Whole clips of three seconds in each film."""
        return round(self.minutes * 60) // CLIP_SECONDS

    def recipe(self) -> dict[str, Any]:
        """What the content of a film depends on, beside its number: not how many films there are."""
        return {name: value for name, value in vars(self).items() if name not in ("films", "heldout", "heldout_as")}
