"""Sound files as a stream of stereo float32 blocks at the model's sample rate, whatever they are.

libsndfile reads what it knows with one or two channels: it is fastest for many small files. FFmpeg reads the rest, and
all files of more channels, because it knows their layout by name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dubcli.core.features import downmix
from dubcli.core.samples import SampleCheck
from dubcli.errors import InputError
from dubcli.media.length import what_is_cut
from dubcli.media.resample import resample_blocks
from dubcli.media.sound import track_blocks
from dubcli.media.streams import read_info

if TYPE_CHECKING:
    import soundfile

SNDFILE_SUFFIXES = frozenset({".wav", ".wave", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".au", ".w64", ".caf"})
_BLOCK_SECONDS = 6
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's length of a FLAC file that a pipe wrote is above it


@dataclass
class Heard:
    """What was noticed while a sound was read; ``expect`` is called with its seconds where the header has them."""

    expect: Callable[[float], None] | None = None
    samples: int = 0
    sample_rate: int = 0
    problems: list[str] = field(default_factory=list)
    check: SampleCheck = field(default_factory=SampleCheck)
    silent: bool = True

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return self.samples / self.sample_rate if self.sample_rate else 0.0

    @property
    def warning(self) -> str | None:
        """What the user should know of a sound that was usable."""
        texts = [*list(dict.fromkeys(self.problems))[:3], *self.check.problems]
        if self.silent:
            texts.append("silent")
        return "; ".join(texts) or None

    def listen(self, waveform: Tensor) -> Tensor:
        """Count a (channels, samples) block. Returns what is to be used of it (``core.samples``)."""
        waveform = self.check.clean(waveform)
        self.count(waveform)
        return waveform

    def count(self, waveform: Tensor) -> None:
        """The same of a block that was cleaned before."""
        self.samples += waveform.shape[-1]
        self.silent = self.silent and not waveform.any()


def stereo_blocks(path: str | Path, sample_rate: int, heard: Heard) -> Iterator[Tensor]:
    """Yield (2, samples) float32 blocks of the sound in ``path`` at ``sample_rate``; fill ``heard`` meanwhile.

    Mono becomes dual mono, more channels are downmixed by their names (DESIGN section 3). Samples that are no sound
    are treated as ``core.samples`` says. Raises InputError when the file holds no sound that can be used.
    """
    file = Path(path)
    try:
        if file.stat().st_size == 0:
            raise InputError("the file is empty")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    source = _sndfile_blocks(file, sample_rate, heard)
    first = next(source, None)
    if first is not None:
        yield from chain([first], source)
        cut_short = what_is_cut(file)
        heard.problems += [] if cut_short is None or heard.problems else [cut_short]
    else:
        # FFmpeg knows more formats, and gets more out of what is damaged
        heard.problems.clear()
        yield from film_blocks(file, None, None, sample_rate, heard)
    if heard.check.refusal is not None:
        raise InputError(heard.check.refusal)


def film_blocks(
    path: Path, stream: int | None, start_seconds: Fraction | None, sample_rate: int, heard: Heard
) -> Iterator[Tensor]:
    """The same of a track of a container, on the film's clock (``dubcli.media.sound``); None is the main track."""
    heard.sample_rate = sample_rate
    if heard.expect is not None:
        heard.expect(read_info(path).duration_seconds or 0.0)
    problems: list[str] = []
    for block in track_blocks(path, stream, start_seconds, sample_rate, problems):
        heard.count(block)
        yield block
    heard.problems += problems
    if not heard.samples:
        raise InputError(f"no sound that decodes ({problems[0]})" if problems else "holds no samples")


def _sndfile_blocks(path: Path, sample_rate: int, heard: Heard) -> Iterator[Tensor]:
    """Resampled blocks of a mono or stereo file; nothing at all where that is better left to FFmpeg."""
    import soundfile

    if _is_left_to_ffmpeg(path):
        return
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # a name that is no text
    except (soundfile.SoundFileError, OSError):
        return
    with file:
        if file.channels > 2 or file.format == "MP3":  # one that begins within a frame
            return
        heard.sample_rate = file.samplerate
        if heard.expect is not None and file.frames < _UNKNOWN_FRAMES:
            heard.expect(file.frames / file.samplerate)
        yield from resample_blocks(_read(file, heard), file.samplerate, sample_rate)


def _is_left_to_ffmpeg(path: Path) -> bool:
    """MP3, of which libsndfile reads as much as the header says and tells of damage on stderr, and Ogg, of which it
    reads up to the first damaged page."""
    with open(path, "rb") as file:
        head = file.read(4)
    return head[:3] == b"ID3" or head == b"OggS" or (len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0)


def _read(file: soundfile.SoundFile, heard: Heard) -> Iterator[Tensor]:
    layout = f"{file.channels} channels"
    while True:
        try:
            block = file.read(_BLOCK_SECONDS * file.samplerate, dtype="float32", always_2d=True)
        except RuntimeError as error:  # libsndfile's errors
            heard.problems.append(f"damaged after {heard.seconds:.2f} s ({error}); what comes before was used")
            return
        if not len(block):
            return
        yield downmix(heard.listen(torch.from_numpy(np.ascontiguousarray(block.T))), layout)
