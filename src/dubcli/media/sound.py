"""One sound track from its start to its end, as contiguous stereo on the film's own clock.

A track is decoded once, from its start (AC-3 decoded after a seek differs). Time stamps place it: a gap is silence, an
overlap is dropped, and stamps that only jitter (Matroska's clock has 1 ms ticks) move nothing, so a track neither
tears nor drifts. All positions are integers of samples.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from dubcli.core.channels import LayoutError, downmix_array
from dubcli.core.mels import SAMPLE_RATE
from dubcli.core.samples import SampleCheck
from dubcli.errors import InputError
from dubcli.media.clock import read_packets
from dubcli.media.header import read_header
from dubcli.media.length import what_is_wrong
from dubcli.media.resample import Resampler
from dubcli.media.sources import choose_track
from dubcli.media.streams import info_of, is_picture, open_media, short, start_of

if TYPE_CHECKING:
    from torch import Tensor  # whole tracks are given as tensors; prep, which needs none, does not wait for torch

Float = npt.NDArray[np.float32]

# Stamps nearer than this to where the samples end are taken for jitter; a picture and its sound stay within 10 ms.
JITTER_SECONDS = 0.008
SILENCE_SECONDS = 3  # of a gap at a time
_HELD_SECONDS = 1  # of samples that are brought to stereo at a time: a frame of a codec has only 20 to 40 ms
_BLOCK_SECONDS = 10
_ENTRY_SECONDS = 2
_MOST_BEFORE_SECONDS = 0.02  # odd rates have a sample in common once a second
_RISE_SAMPLES = 128  # of the lower rate: what of a step the resampler gives before it is below 1e-6 from here on
_OGG_PAGE_SECONDS = 0.5
# Matroska's clock begins with Vorbis's first block, which gives no samples and has at most 1024 at 44.1 kHz.
_PRIMING_SECONDS = 0.025


class StereoTrack:
    """Decodes one stream into contiguous stereo from the film's zero on: (position, block) with silence in gaps.

    ``alone``: there is no picture to be in step with; what a codec needs before its first sample is then no silence.
    """

    def __init__(
        self, stream: Any, start_seconds: Fraction, sample_rate: int = SAMPLE_RATE, *, alone: bool = False
    ) -> None:
        self.stream = stream
        self.problems: list[str] = []
        self.layouts: list[str] = []
        self.first_sample: int | None = None
        self.position = 0  # the next sample to give out
        self.gaps: list[tuple[float, float]] = []
        self.start_seconds = start_seconds
        self._alone = alone
        self._check = SampleCheck()
        self._rate = sample_rate
        self._to_float: Any = None  # from the decoder's kind of sample
        self._resampler: Resampler | None = None
        self._shape: tuple[str, int, str] | None = None
        self._run_start, self._samples = 0.0, 0  # of the samples since the last jump, at their own rate
        self._place = 0  # where the next sample belongs, at the rate that is given out
        self._held: list[Float] = []  # (channels, samples) as decoded, not yet stereo
        self._held_layout = ""

    def decode(self, packet: Any) -> Iterator[Float]:
        """Blocks (2, samples) of a packet; of None, the rest. Packets that do not decode go to ``problems``."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            self.problems.append(short(error))
            frames = []
        for frame in frames:
            yield from self._add(frame)
        if packet is None:
            yield from self._flush()

    @property
    def told(self) -> list[str]:
        """What was wrong with it, a line each: in few words what does not decode, then what was done to samples."""
        damage = [f"not all of the sound decodes ({problem_summary(self.problems)})"] if self.problems else []
        return damage + self.changed

    @property
    def changed(self) -> list[str]:
        """Samples that were no sound, and what was made of them."""
        return self._check.problems

    @property
    def refusal(self) -> str | None:
        """Why nothing of the track may be used, known when all of it was decoded: see ``core.samples``."""
        return self._check.refusal

    def _add(self, frame: Any) -> Iterator[Float]:
        if frame.sample_rate <= 0 or frame.samples <= 0:
            return
        shape = (frame.layout.name, frame.sample_rate, frame.format.name)
        at = self._end if frame.pts is None else float(frame.pts * frame.time_base) - float(self.start_seconds)
        if at is None or (self._end is None and self._alone and 0 < at <= _PRIMING_SECONDS):
            self.start_seconds += Fraction(at or 0)
            at = 0.0
        jumps = self._end is None or abs(at - self._end) > JITTER_SECONDS
        if jumps or shape != self._shape:
            yield from self._flush()
            self._to_float = None if _is_plain(frame) else av.AudioResampler(format="flt")
            self._begin(at if jumps or self._end is None else self._end, shape)
        self._samples += frame.samples
        frame.pts = None
        yield from self._hold([frame] if self._to_float is None else self._to_float.resample(frame))

    def _begin(self, at_seconds: float, shape: tuple[str, int, str]) -> None:
        """Samples without a hole between them begin here; only their count moves the clock on."""
        self._run_start, self._samples = at_seconds, 0
        self._shape, self._resampler = shape, None
        self._place = round(at_seconds * self._rate)
        if shape[1] != self._rate:
            # a run seldom begins at a sample of both rates: it gets silence before it from one on, or it would be
            # moved by a part of a sample, which a separation model makes large; and enough for the filter's rise
            self._resampler = Resampler(shape[1], self._rate, 2)
            first = round(at_seconds * shape[1])
            common = shape[1] // math.gcd(shape[1], self._rate)
            before = 0
            if common <= _MOST_BEFORE_SECONDS * shape[1]:
                rise = math.ceil(_RISE_SAMPLES * max(1, shape[1] / self._rate) / common)
                before = first % common + common * max(0, min(rise, first // common))
            self._place = round((first - before) * self._rate / shape[1])
            self._place += self._resampler.push(np.zeros((2, before), np.float32)).shape[1]

    @property
    def end_seconds(self) -> float:
        """Where what was decoded ends on the film's clock, to a sample."""
        return self._end or 0.0

    @property
    def _end(self) -> float | None:
        """Where the last frame's samples end, in seconds on the film's clock; None before the first frame."""
        return None if self._shape is None else self._run_start + self._samples / self._shape[1]

    def _flush(self) -> Iterator[Float]:
        yield from self._emit()
        if self._resampler is not None:
            rest, self._resampler = self._resampler.finish(), None
            yield from self._give(rest)

    def _hold(self, frames: list[Any]) -> Iterator[Float]:
        for frame in frames:
            samples = frame.to_ndarray()
            if not frame.format.is_planar:
                samples = samples.reshape(-1, frame.layout.nb_channels).T
            self._held.append(samples)
            self._held_layout = frame.layout.name
        assert self._shape is not None
        if sum(samples.shape[1] for samples in self._held) >= _HELD_SECONDS * self._shape[1]:
            yield from self._emit()

    def _emit(self) -> Iterator[Float]:
        if not self._held:
            return
        joined = np.concatenate(self._held, axis=1)
        self._held = []
        try:
            stereo = downmix_array(self._check.clean(joined), self._held_layout)
        except LayoutError as error:
            self.problems.append(str(error))
            return  # a run is of one layout
        if self._held_layout not in self.layouts:
            self.layouts.append(self._held_layout)
        yield from self._give(stereo if self._resampler is None else self._resampler.push(stereo))

    def _give(self, stereo: Float) -> Iterator[Float]:
        """The next samples of this run, at their place: silence before them, or less of them."""
        place, self._place = self._place, self._place + stereo.shape[1]
        if place < self.position:
            stereo = stereo[:, self.position - place :]
            place = self.position
        if stereo.shape[1] == 0:
            return
        if self.first_sample is None:
            self.first_sample = max(place, round(self._run_start * self._rate))
        elif self.position < place:
            self.gaps.append((self.position / self._rate, (place - self.position) / self._rate))
        while self.position < place:
            silence = min(place - self.position, SILENCE_SECONDS * self._rate)
            self.position += silence
            yield np.zeros((2, silence), np.float32)
        self.position += stereo.shape[1]
        yield stereo


def _is_plain(frame: Any) -> bool:
    """Samples that can be taken as they are. Of planar frames with 8 channels PyAV 18.1 counts 9 planes."""
    return bool(frame.format.name == "fltp" and frame.layout.nb_channels < 8)


def problem_summary(problems: list[str]) -> str:
    """FFmpeg's complaints in few words: how many, and the first without its number and function."""
    first = re.sub(r"^\[Errno \d+\] |: '[^']*'$", "", problems[0])
    return first if len(problems) == 1 else f"{len(problems)} times, first: {first}"


@dataclass
class Extent:
    """How long a track is, known when all of it was decoded: ``end_seconds`` on the film's clock, to a sample."""

    end_seconds: float = 0.0


def track_blocks(
    path: Path,
    stream: int | None,
    start_seconds: Fraction | None,
    sample_rate: int,
    problems: list[str],
    extent: Extent | None = None,
) -> Iterator[Tensor]:
    """Decode one track alone: (2, samples) float32 blocks at ``sample_rate`` Hz, with silence in gaps.

    ``stream``: its index in the container; None takes the main one. ``start_seconds``: where on the
    container's clock the film begins; None is the container's own start. What does not decode is named in
    ``problems`` and left out; so is what is missing of a file that was cut. Raises InputError when the file or the
    stream cannot be read at all, and at the end where its samples are none to be used (``core.samples``).
    """
    with open_media(path) as container:
        index = choose_track(info_of(container, path).audio).index if stream is None else stream
        if not 0 <= index < len(container.streams) or container.streams[index].type != "audio":
            raise InputError("has no sound track that can be decoded")
        source = container.streams[index]
        start = start_of(container, read_header(container).beside([index])) if start_seconds is None else start_seconds
        is_film = any(map(is_picture, container.streams.video))
        track = StereoTrack(source, start, sample_rate, alone=not is_film)
        if source.codec_context.name == "flac":
            source.codec_context.options = {"err_detect": "crccheck+explode"}  # else what is damaged is noise
        for block in _joined(_decoded(container, source, start, track), sample_rate):
            stated = _stated_samples(container, source, sample_rate)
            yield block if stated is None else block[:, track.first_sample :][:, :stated]
        problems += track.told
        if not is_film:  # whose sound may have holes
            problems += _gone(track)
        wrong = what_is_wrong(container, source, path, track.end_seconds)
        problems += [] if wrong is None else [wrong]
        if extent is not None:
            stated = _stated_samples(container, source, sample_rate)
            extent.end_seconds = track.end_seconds if stated is None else stated / sample_rate
        if track.refusal is not None:
            raise InputError(track.refusal)


def _stated_samples(container: Any, source: Any, sample_rate: int) -> int | None:
    """Of an Ogg file of one page, which FFmpeg neither cuts to the page's length nor begins at 0; else None."""
    seconds = float(source.duration * source.time_base) if source.duration else 0.0
    return round(seconds * sample_rate) if container.format.name == "ogg" and 0 < seconds < _OGG_PAGE_SECONDS else None


def _decoded(container: Any, source: Any, start: Fraction, track: StereoTrack) -> Iterator[Float]:
    for packet in chain(read_packets(container, [source], start, track.problems), [None]):
        yield from track.decode(packet)


def _joined(blocks: Iterator[Float], sample_rate: int) -> Iterator[Tensor]:
    """The same, at least ten seconds at a time: a frame of a codec has only 20 to 40 ms."""
    import torch

    held: list[Float] = []
    for block in blocks:
        held.append(block)
        if sum(part.shape[1] for part in held) >= _BLOCK_SECONDS * sample_rate:
            yield torch.from_numpy(np.concatenate(held, axis=1))
            held = []
    if held:
        yield torch.from_numpy(np.concatenate(held, axis=1))


def _gone(track: StereoTrack) -> list[str]:
    """What is lost in the middle of a sound, where nothing else has told of it."""
    gaps = [gap for gap in track.gaps if gap[0] > 0]
    if not gaps or track.problems:
        return []
    seconds = sum(length for _, length in gaps)
    return [f"{seconds:.2f} s are lost in {len(gaps)} places, the first at {gaps[0][0]:.2f} s, and are silent"]


def track_excerpt(
    path: Path, stream: int, film_start_seconds: Fraction, start_seconds: float, seconds: float, sample_rate: int
) -> Tensor:
    """A piece from the middle of a track, for ears: (2, samples) at ``sample_rate`` Hz, as many as there are.

    The file is entered ``_ENTRY_SECONDS`` before the piece, so that decoders have settled where it begins; it has not
    the bits of a track that is decoded from its start. ``film_start_seconds``: the film's zero on the container's
    clock; ``start_seconds``: on the film's. Raises InputError when the stream cannot be read.
    """
    import torch

    begin = film_start_seconds + Fraction(start_seconds)
    wanted = round(seconds * sample_rate)
    with open_media(path) as container:
        if not 0 <= stream < len(container.streams) or container.streams[stream].type != "audio":
            raise InputError("has no such sound track")
        source = container.streams[stream]
        with contextlib.suppress(av.error.FFmpegError):  # what cannot be entered is read from its start
            container.seek(max(0, round((begin - _ENTRY_SECONDS) * av.time_base)))
        track = StereoTrack(source, begin, sample_rate)
        parts: list[Float] = []
        for packet in container.demux(source):
            parts += track.decode(packet if packet.size else None)
            if sum(part.shape[1] for part in parts) >= wanted:
                break
    joined = np.concatenate([np.zeros((2, 0), np.float32), *parts], axis=1)
    return torch.from_numpy(joined[:, :wanted])
