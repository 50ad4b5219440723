"""Sound tracks as a clip cache keeps them: a language and a kind, which decides the sample rate. No torch here.

A new kind is one entry of ``KINDS``; it is written as ``mel.<language>-<kind>.npy`` beside the others, its entry in
``movie.json`` stands under the kind's name.
"""

from __future__ import annotations

from dataclasses import dataclass

FULL = "full"
NOSPEECH = "nospeech"
CLIP_SECONDS = 3
_WINDOW, _HOP = 1024, 512  # samples: core.features' N_FFT and hop


@dataclass(frozen=True, kw_only=True)
class TrackKind:
    """sample_rate in Hz. made_by: the command that writes such tracks, for errors. title: as users read it."""

    sample_rate: int
    made_by: str
    title: str

    @property
    def mel_frames(self) -> int:
        """Of a clip's mel: 280 at 48 kHz, 257 at 44.1 kHz."""
        return 1 + (CLIP_SECONDS * self.sample_rate - _WINDOW) // _HOP


KINDS: dict[str, TrackKind] = {
    FULL: TrackKind(sample_rate=48000, made_by="dubav prep --lang", title="mel"),
    # the no-speech track comes out of Demucs at 44100 (paper section 3.4, No-Speech)
    NOSPEECH: TrackKind(sample_rate=44100, made_by="dubav separate", title="no-speech mel"),
}


@dataclass(frozen=True, order=True)
class Track:
    """One sound track. Its name is the language (``en``), with the kind unless that is ``full`` (``en-nospeech``).

    Args:
        language: a tag, as ``core.languages`` gives it.
        kind: one of ``KINDS``.

    Raises:
        ValueError: another kind.

    >>> str(Track("en", "nospeech")), Track.of("en-nospeech").sample_rate
    ('en-nospeech', 44100)
    """

    language: str
    kind: str = FULL

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of track; there are {', '.join(KINDS)}")

    @classmethod
    def of(cls, name: Track | str) -> Track:
        """A track by its name; a track itself stays."""
        if isinstance(name, Track):
            return name
        language, _, kind = name.rpartition("-")
        return cls(language, kind) if language and kind in KINDS else cls(name)

    @property
    def name(self) -> str:
        """``en`` or ``en-nospeech``."""
        return self.language if self.kind == FULL else f"{self.language}-{self.kind}"

    def __str__(self) -> str:
        return self.name

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return KINDS[self.kind].sample_rate

    @property
    def mel_frames(self) -> int:
        """Of a clip's mel: 280 at 48 kHz, 257 at 44.1 kHz."""
        return KINDS[self.kind].mel_frames

    @property
    def mel_file(self) -> str:
        """``mel.en.npy`` or ``mel.en-nospeech.npy``."""
        return f"mel.{self.name}.npy"
