"""Sound tracks as releases have them: an original in 5.1, dubs of other layouts, codecs and levels, a few at fault."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dubcli.core.features import downmix
from dubcli.corpus.config import CorpusConfig
from dubcli.corpus.plan import FilmPlan, language_key
from dubcli.media.mux import SoundTrack

Sound = npt.NDArray[np.float32]
SAMPLE_RATE = 48000
LAYOUT = "5.1(side)"
CENTRE = 2
_PEAK = 0.95
# the two codecs of discs and streams
_FORMS = (("ac3", LAYOUT), ("aac", "stereo"), ("ac3", "stereo"))
_SURROUND = 0.3


@dataclass(frozen=True, kw_only=True)
class Release:
    """How a language version comes. ``gain_db``: against the original. ``late_seconds``: of a dub out of sync."""

    codec: str = "ac3"
    layout: str = LAYOUT
    gain_db: float = 0.0
    late_seconds: float = 0.0
    missing: bool = False


def releases(plan: FilmPlan, config: CorpusConfig, *, whole: bool = False) -> dict[str, Release]:
    """Each language's. ``whole``: no dub is missing or out of sync, as in films that others are measured on."""
    original, *dubs = config.languages
    found = {original: Release()}
    generator = plan.generator("track")
    faulty = bool(dubs) and not whole and bool(generator.random() < config.broken)
    fault = dubs[int(generator.integers(len(dubs)))] if faulty else ""
    missing, late = bool(generator.random() < 0.5), float(generator.uniform(0.2, 0.9))
    for language in dubs:
        own = plan.generator("track", language_key(language))
        codec, layout = _FORMS[int(own.integers(len(_FORMS)))]
        at_fault = language == fault
        found[language] = Release(
            codec=codec,
            layout=layout,
            gain_db=float(own.uniform(-6, 3)),
            late_seconds=late if at_fault and not missing else 0.0,
            missing=at_fault and missing,
        )
    return found


def six_channels(bed: Sound, voices: Sound) -> Sound:
    """(2, samples) background and (voices, samples) -> (6, samples), the voices in the centre."""
    six = np.zeros((6, bed.shape[1]), np.float32)
    six[:2] = bed
    six[CENTRE] = voices.sum(0) * np.float32(np.sqrt(2))  # as loud as before once it is mixed down
    six[4:] = _SURROUND * bed[::-1]
    return six


def mixed_down(six: Sound) -> Sound:
    """(6, samples) -> (2, samples) as ``dubav prep`` would: the same level on stereo and 5.1 tracks."""
    import torch

    stereo: Sound = downmix(torch.from_numpy(six), LAYOUT).numpy()
    return stereo


def common_gain(versions: dict[str, Sound]) -> None:
    """Scale all versions by one factor, in place, so that none clips: each its own would part the backgrounds."""
    loudest = max(float(np.abs(sound).max()) for sound in versions.values())
    for sound in versions.values():
        sound *= np.float32(min(1.0, _PEAK / loudest))


def sound_track(six: Sound, language: str, release: Release) -> SoundTrack:
    """The track as it is released, of the version's (6, samples)."""
    sound = six if release.layout == LAYOUT else mixed_down(six)
    gain = min(10 ** (release.gain_db / 20), _PEAK / (float(np.abs(sound).max()) + 1e-9))
    if late := round(release.late_seconds * SAMPLE_RATE):
        sound = np.concatenate([np.zeros((len(sound), late), np.float32), sound[:, :-late]], axis=1)
    return SoundTrack(sound=sound * np.float32(gain), language=language, layout=release.layout, codec=release.codec)
