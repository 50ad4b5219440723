"""The variants of the method (paper section 3.4): which sound tracks are contrasted with what. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dubcli.errors import UserError

EFJ = ("es", "fr", "ja")
SPEECH_SAMPLE_RATE = 48000
NOSPEECH_SAMPLE_RATE = 44100
_KNOWN = "mono, a language such as es, efj, sep, a, a-efj, multi:es,de or multi:all"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one training run contrasts.

    name: as given on the command line. primary: language of the primary track. secondaries: languages taken in turn,
    one per step; ``""`` means the primary track itself, masked a second time; empty means one loss term only (``sep``).
    """

    name: str
    uses_video: bool
    primary: str
    primary_kind: Literal["speech", "nospeech"] = "speech"
    secondaries: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.primary_kind not in ("speech", "nospeech"):
            raise ValueError(f"primary_kind is {self.primary_kind!r}, not speech or nospeech")
        if not self.uses_video and not self.secondaries:
            raise ValueError(f"variant {self.name} contrasts nothing: neither video nor secondary audio")
        if len(set(self.secondaries)) != len(self.secondaries):
            raise ValueError(f"variant {self.name} names a secondary language twice")

    @property
    def languages(self) -> tuple[str, ...]:
        """Every language a film must have, the primary first."""
        return (self.primary, *(language for language in self.secondaries if language))

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the projection heads: a subset of video, primary, secondary."""
        video = ("video",) if self.uses_video else ()
        return (*video, "primary", *(("secondary",) if self.secondaries else ()))

    @property
    def terms(self) -> tuple[tuple[str, str], ...]:
        """The pairs of heads whose losses are summed (paper Eq. 2); audio only: the one within-modal pair."""
        if not self.uses_video:
            return (("primary", "secondary"),)
        return tuple(("video", head) for head in self.heads if head != "video")

    @property
    def sample_rate(self) -> int:
        """Hz. The no-speech track comes out of Demucs at 44100 (paper section 3.4, No-Speech)."""
        return NOSPEECH_SAMPLE_RATE if self.primary_kind == "nospeech" else SPEECH_SAMPLE_RATE

    def secondary_at(self, epoch: int, step: int) -> str | None:
        """Secondary language of a step of an epoch, the same on all ranks; None when there is none.

        Round-robin by step as the paper's Multilingual variant; the start moves by one each epoch, so that
        an epoch whose length is a multiple of the languages does not pair every step with one language for ever.
        """
        if not self.secondaries:
            return None
        return self.secondaries[(step + epoch) % len(self.secondaries)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they stand in a checkpoint and in config.json."""
        return {**asdict(self), "secondaries": list(self.secondaries)}


def variant_from_dict(fields: Mapping[str, Any]) -> Variant:
    """The inverse of ``Variant.to_dict``. Raises TypeError or ValueError when the fields are not a variant's."""
    return Variant(**{**fields, "secondaries": tuple(fields["secondaries"])})


def parse_variant(text: str, primary: str, available: Sequence[str]) -> Variant:
    """Read ``--variant``.

    text: ``mono``, a language, ``efj`` (es, fr, ja exactly), ``sep``, ``a``, ``multi:LANG,LANG`` or ``multi:all``
    (every language of the cache but the primary); ``a-`` before a language, ``efj`` or ``multi:`` drops the video.
    primary: language of the primary track. available: the languages that the cache has.
    Raises UserError that says what is missing or unknown.
    """
    name = text.strip().lower()
    if name == "sep":
        return Variant(name=name, uses_video=True, primary=primary, primary_kind="nospeech")
    if name in ("mono", "a"):
        return Variant(name=name, uses_video=name == "mono", primary=primary, secondaries=("",))
    dubs = name.removeprefix("a-")
    secondaries = _secondaries(dubs, primary, available)
    return Variant(name=name, uses_video=dubs == name, primary=primary, secondaries=secondaries)


def _secondaries(dubs: str, primary: str, available: Sequence[str]) -> tuple[str, ...]:
    known = {language.lower(): language for language in available if language.lower() != primary.lower()}
    if dubs == "multi:all":
        if not known:
            raise UserError(f"multi:all needs dubs, the cache has only {primary}; prepare more with dubav prep --lang")
        return tuple(known.values())
    wanted: tuple[str, ...]
    if dubs == "efj":
        wanted = EFJ
    else:
        wanted = tuple(part.strip() for part in dubs.removeprefix("multi:").split(",") if part.strip())
        if not wanted or ("multi:" not in dubs and dubs not in known and not _looks_like_language(dubs)):
            raise UserError(f"unknown variant {dubs!r}; there are {_KNOWN}")
    if primary.lower() in wanted:
        raise UserError(f"{primary} is the primary language; it cannot be a secondary one too (mono masks it twice)")
    if len(set(wanted)) != len(wanted):
        raise UserError(f"variant {dubs} names a language twice; name each once")
    missing = [language for language in wanted if language not in known]
    if missing:
        raise UserError(
            f"variant {dubs} needs {', '.join(missing)}, the cache has {', '.join(available) or 'no language'}; "
            f"add it with dubav prep --lang {','.join([primary, *wanted])}"
        )
    return tuple(known[language] for language in wanted)


def _looks_like_language(text: str) -> bool:
    """Whether it has the form of an ISO 639 code with an optional region (``fr``, ``fra``, ``es-419``)."""
    code = text.split("-")[0]
    return len(code) in (2, 3) and code.isascii() and code.isalpha()
