"""Packets of a container on one clock that does not jump.

Recordings that were joined with ``cat`` start their clock anew, a flipped bit moves a time stamp by years, and a wrong
stamp must neither fill a disk with silence nor put the tracks out of step. What the streams of a film agree on is
believed: a stream may pause for as long as another goes on. Where a stream's clock leaves the others', the jump is
taken out, and every stream that makes the same jump is moved by the very same amount, so that they stay in step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import av.error

from dubcli.media.header import read_header
from dubcli.media.streams import short

GAP_SECONDS = 60  # longer pauses of all streams at once are jumps of the clock
HOLE_SECONDS = 1
NEAR_SECONDS = 4  # decoding times never fall, but by less than this they may be noise; so far streams may be apart
LATE_START_SECONDS = 600
_JUMPS_REMEMBERED = 64
_READ_ERRORS = 10  # one after another without a packet between them


def read_packets(container: Any, wanted: Sequence[Any], start_seconds: Fraction, problems: list[str]) -> Iterator[Any]:
    """Yield the packets of the ``wanted`` streams, their time stamps put right; ``start_seconds``: the film's zero.

    Which other streams are read to compare clocks with depends on the file alone, so that a track gets the same times
    whatever else is decoded with it. What was wrong is named in ``problems``; a broken end ends it.
    """
    clock = FilmClock(start_seconds, _trusted_end(container), problems, _latest_start(container))
    ours = {stream.index for stream in wanted}
    for packet in _demux(container, _compared(container, wanted), problems):
        clock.correct(packet)
        if packet.stream_index in ours:
            yield packet


def _compared(container: Any, wanted: Sequence[Any]) -> list[Any]:
    if _has_index(container):
        return list(wanted)
    ours = {stream.index for stream in wanted}
    beside = read_header(container).beside(ours)
    pictures, sounds = (
        [stream for stream in kind if not beside or stream.index in beside]
        for kind in (container.streams.video, container.streams.audio)
    )
    indices = ours | {stream.index for stream in (*pictures[:1], *sounds) if stream.codec_context is not None}
    return [container.streams[index] for index in sorted(indices)]


def _has_index(container: Any) -> bool:
    """MP4 and MOV keep all times in one table: their streams can be read alone, and their duration is true."""
    return "mp4" in container.format.name


def _trusted_end(container: Any) -> Fraction | None:
    """Where the last sound or picture ends on the container's clock, where a table of all times gives it."""
    if not _has_index(container) or not container.duration:
        return None
    return Fraction(container.duration + (container.start_time or 0), av.time_base)


def _latest_start(container: Any) -> Fraction | None:
    """Up to where a stream may begin: Matroska's header says where, from its zero on, all ends."""
    if "matroska" in container.format.name and container.duration:
        return Fraction(container.duration, av.time_base)
    return _trusted_end(container)


def _demux(container: Any, streams: list[Any], problems: list[str]) -> Iterator[Any]:
    errors = 0
    while True:
        try:
            for packet in container.demux(streams):
                if packet.size:  # PyAV marks the end of a stream by an empty one; decoders are flushed when all is read
                    errors = 0
                    yield packet
            return
        except (av.error.EOFError, IndexError):
            # PyAV 18.1 stumbles, at the end, over streams that a recording gained on its way
            return
        except av.error.FFmpegError as error:
            errors += 1
            if errors == 1:
                problems.append(f"the file is unreadable in places: {short(error)}")
            if errors == _READ_ERRORS:
                return


class _StreamClock:
    """One stream's times in its own ticks: ``last`` corrected, and what ``offset`` has to be added."""

    __slots__ = ("ahead", "apart", "back", "end", "hole", "last", "offset", "time_base")

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self.last: int | None = None
        self.end = 0  # of the last packet
        self.hole: tuple[Fraction, Fraction] | None = None  # the last one, in seconds
        self.offset = 0
        self.ahead = round(GAP_SECONDS / time_base)
        self.back = round(NEAR_SECONDS / time_base)
        self.apart = round(5 * NEAR_SECONDS / time_base)

    @property
    def seconds(self) -> Fraction | None:
        return None if self.last is None else self.last * self.time_base


class FilmClock:
    """Judges every packet's time stamps by the packets before it, in the order of the file."""

    def __init__(
        self,
        start_seconds: Fraction,
        trusted_end_seconds: Fraction | None,
        problems: list[str],
        latest_start_seconds: Fraction | None = None,
    ) -> None:
        self._start, self._trusted_end, self._problems = start_seconds, trusted_end_seconds, problems
        self._latest_start = latest_start_seconds or trusted_end_seconds
        self._streams: dict[int, _StreamClock] = {}
        self._offsets = [Fraction(0)]
        self._named_until = start_seconds - 1

    def correct(self, packet: Any) -> None:
        """Move the packet's ``pts`` and ``dts`` where its stream's clock has jumped."""
        raw, shown = packet.dts, packet.pts
        if raw is None:
            raw = shown
            if raw is None:
                return
        stream = self._streams.get(packet.stream_index)
        if stream is None:
            stream = self._streams[packet.stream_index] = _StreamClock(Fraction(packet.time_base))
        at = raw + stream.offset
        last = stream.last
        if last is None or not last - stream.back <= at <= last + stream.ahead:
            self._judge(stream, raw, packet.duration or 0)
            at = raw + stream.offset
        end, stream.last, stream.end = stream.end, at, at + (packet.duration or 0)
        if last is not None and (at - end) * stream.time_base > HOLE_SECONDS:
            self._note_hole(stream, end * stream.time_base, at * stream.time_base)
        if shown is not None and not -stream.apart <= shown - raw <= stream.apart:
            packet.pts = shown = raw
        if stream.offset:
            packet.dts = at
            if shown is not None:
                packet.pts = shown + stream.offset

    def _judge(self, stream: _StreamClock, raw: int, duration: int) -> None:
        """Decide whether a stamp that is far from its stream's last one is a pause or a jump, and which one."""
        at = (raw + stream.offset) * stream.time_base
        others = [other.seconds for other in self._streams.values() if other is not stream]
        now = max((seconds for seconds in others if seconds is not None), default=None)
        if stream.last is None:
            expected = self._start if now is None else now
            if abs(at - expected) <= LATE_START_SECONDS or self._is_trusted(at, self._latest_start):
                return
        else:
            expected = (stream.last + duration) * stream.time_base
            if now is not None and abs(at - now) <= NEAR_SECONDS:
                return
            if expected < at and self._is_trusted(at, self._trusted_end):
                return
        here = raw * stream.time_base
        offset = min(self._offsets, key=lambda known: abs(here + known - expected))
        if abs(here + offset - expected) > NEAR_SECONDS:
            offset = expected - here
            self._offsets = [Fraction(0), *self._offsets[1:][-_JUMPS_REMEMBERED:], offset]
            jump, where = float(at - expected), float(expected - self._start)
            self._problems.append(f"the clock jumps by {jump:.3g} s at {where:.1f} s, which was taken out")
        stream.offset = round(offset / stream.time_base)

    def _note_hole(self, stream: _StreamClock, begin: Fraction, end: Fraction) -> None:
        """Remember a pause of one stream, and name it where no other stream goes on in it."""
        stream.hole = begin, end
        # others have not come to it yet, or have ended
        passed = [other for other in self._streams.values() if (other.seconds or begin) > begin]
        if len(passed) < 2 or not all(other.hole for other in passed):
            return
        begin = max(other.hole[0] for other in passed if other.hole)
        end = min(other.hole[1] for other in passed if other.hole)
        if end - begin > HOLE_SECONDS / 2 and begin >= self._named_until:
            self._named_until = end
            where = float(begin - self._start)
            self._problems.append(f"nothing is there for {float(end - begin):.1f} s at {where:.1f} s")

    def _is_trusted(self, at_seconds: Fraction, end_seconds: Fraction | None) -> bool:
        """Whether a stamp lies within the length that the container gives, so that nothing has jumped."""
        return end_seconds is not None and self._start <= at_seconds <= end_seconds
