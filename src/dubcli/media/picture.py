"""The frames on screen at wanted instants, decoding as few others as the codec allows.

A packet whose display interval [pts, next larger pts) holds no wanted instant is sent with ``skip_frame`` NONREF: the
decoder drops it where no other frame needs it, and only then, so the frames that come out are those of a full decode.

Where an instant may lie anywhere in its part of the clip (``slots``) it is moved to the nearest frame there that has to
be decoded anyway: one that comes in the order of display, which time stamps tell before anything is decoded. Frames
out of that order are B-frames. Those of them that others refer to cannot be left out: in x264's streams P-frames refer
to them, and without them come out wrong by up to 20 grey levels.
"""

from __future__ import annotations

import bisect
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error

from dubcli.media.nvdec import GpuDecodeError
from dubcli.media.streams import short

# Packets come in decoding order. The next larger pts of one is among its neighbours: H.264 and HEVC reorder by at most
# 16 frames. Where it is not, the interval only looks longer, and a frame more is decoded.
LOOKAHEAD_PACKETS = 40
ENDS, SLOTS = "ends", "slots"
_SLOTS_REMEMBERED = 4096
_SLOTS_AT_ONCE = 64  # that one frame may be on screen in; more are a still picture, or damage
SLOWEST_RATE = Fraction(1, 60)  # pictures a second; one that claims to be shown for longer than a minute is damaged


@dataclass(frozen=True, kw_only=True)
class Instants:
    """When frames are looked at: ``per_clip`` instants in each clip of ``clip_seconds``, from ``start`` on.

    ``moved``: where it is a dictionary, the times to which instants were moved within their parts, from ``start`` on.
    ``frame_seconds`` None: at the centres of equal parts of the clip. Else from the clip's first frame to its last,
    both among them, where a frame is shown for so long: pytorchvideo's choice of frames, whose numbers are evenly
    spaced, of films with a constant rate.
    """

    clip_seconds: Fraction
    per_clip: int
    start: Fraction = Fraction(0)
    frame_seconds: Fraction | None = None
    moved: dict[int, Fraction] | None = None

    @classmethod
    def of(cls, rule: str, clip_seconds: int, per_clip: int, frame_seconds: Fraction) -> Instants:
        """Those of a rule, of a film whose frames are shown for so long. From 0 on.

        ``centres``, ``ends``, or ``slots``: centres that may be moved within their parts.
        """
        ends = frame_seconds if rule == ENDS else None
        moved: dict[int, Fraction] | None = {} if rule == SLOTS else None
        return cls(clip_seconds=Fraction(clip_seconds), per_clip=per_clip, frame_seconds=ends, moved=moved)

    @property
    def _first(self) -> Fraction:
        """Of a clip, from its start."""
        return self.clip_seconds / self.per_clip / 2 if self.frame_seconds is None else Fraction(0)

    @property
    def _step(self) -> Fraction:
        if self.frame_seconds is None:
            return self.clip_seconds / self.per_clip
        return max(Fraction(0), self.clip_seconds - self.frame_seconds) / max(1, self.per_clip - 1)

    def at(self, number: int) -> Fraction:
        """The time of an instant, in seconds."""
        if self.moved is not None and number in self.moved:
            return self.start + self.moved[number]
        clip, place = divmod(number, self.per_clip)
        return self.start + clip * self.clip_seconds + self._first + place * self._step

    def clip(self, number: int) -> int:
        """Which clip an instant is of."""
        return number // self.per_clip

    def before(self, seconds: Fraction) -> int:
        """How many instants lie before a time, where none was moved."""
        clip, inside = divmod(seconds - self.start, self.clip_seconds)
        reached = inside - self._first
        own = (-(-reached // self._step) if self._step else self.per_clip) if reached > 0 else 0
        return max(0, int(clip) * self.per_clip + min(self.per_clip, int(own)))

    def slot(self, number: int) -> tuple[Fraction, Fraction]:
        """(begin, end) of the part in which an instant may lie."""
        begin = self.start + number * self._step
        return begin, begin + self._step

    def slot_at(self, seconds: Fraction) -> int:
        """The number of the part that holds a time; the first one's for times before it."""
        return max(0, int((seconds - self.start) // self._step))

    def move(self, number: int, seconds: Fraction) -> None:
        """Let an instant lie there. Those of long ago are forgotten: nobody asks for them again."""
        assert self.moved is not None
        self.moved[number] = seconds - self.start
        if len(self.moved) > _SLOTS_REMEMBERED:
            for old in sorted(self.moved)[: _SLOTS_REMEMBERED // 2]:
                del self.moved[old]


class SlidingInstants:
    """The instants of clips that begin every ``hop`` seconds, in the order of time; they may overlap. None is moved."""

    def __init__(self, instants: Instants, hop: Fraction) -> None:
        self._first_clip = [instants.at(place) for place in range(instants.per_clip)]
        self._hop = hop
        self._times: list[Fraction] = []
        self._clips: list[int] = []
        self._next = [(self._first_clip[0], 0, 0)]  # a heap of (time, clip, place): one of each clip that has begun

    def at(self, number: int) -> Fraction:
        """The time of an instant, in seconds."""
        self._fill(lambda: len(self._times) <= number)
        return self._times[number]

    def clip(self, number: int) -> int:
        """Which clip an instant is of."""
        self.at(number)
        return self._clips[number]

    def before(self, seconds: Fraction) -> int:
        """How many instants lie before a time."""
        self._fill(lambda: not self._times or self._times[-1] < seconds)
        return bisect.bisect_left(self._times, seconds)

    def _fill(self, more: Callable[[], bool]) -> None:
        while more():
            time, clip, place = heapq.heappop(self._next)
            self._times.append(time)
            self._clips.append(clip)
            if place == 0:
                heapq.heappush(self._next, (self._first_clip[0] + (clip + 1) * self._hop, clip + 1, 0))
            if place + 1 < len(self._first_clip):
                heapq.heappush(self._next, (self._first_clip[place + 1] + clip * self._hop, clip, place + 1))


class FrameSkipper:
    """Chooses ``skip_frame`` for every packet of a video stream; ``instants`` are on the stream's clock."""

    def __init__(self, stream: Any, instants: Instants | SlidingInstants) -> None:
        self._context = stream.codec_context
        self._instants, self._time_base = instants, Fraction(stream.time_base)
        self._waiting: deque[Any] = deque()
        self._pts: list[int] = []
        self._in_order: set[int] = set()  # of those, the ones with no larger one before them in the file
        self._decided: dict[int, None] = {}  # slots, in the order in which their first packet was looked at

    def packets(self, demuxed: Iterable[Any]) -> Iterator[Any]:
        """Yield the packets again, each with the codec context set for it."""
        for packet in demuxed:
            self._waiting.append(packet)
            if packet.pts is not None:
                if not self._pts or packet.pts > self._pts[-1]:
                    self._in_order.add(packet.pts)
                bisect.insort(self._pts, packet.pts)
            if len(self._waiting) > LOOKAHEAD_PACKETS:
                yield self._next(last=False)
        while self._waiting:
            yield self._next(last=True)

    def _next(self, *, last: bool) -> Any:
        packet = self._waiting.popleft()
        # the end is decoded whole: its last frame tells how long the film is
        skip = not last and packet.pts is not None and not packet.is_keyframe and self._holds_nothing(packet.pts)
        self._context.skip_frame = "NONREF" if skip else "DEFAULT"
        if len(self._pts) > 4 * LOOKAHEAD_PACKETS:
            del self._pts[: len(self._pts) - 2 * LOOKAHEAD_PACKETS]
            self._in_order.intersection_update(self._pts)
        return packet

    def _holds_nothing(self, pts: int) -> bool:
        place = bisect.bisect_right(self._pts, pts)
        if place >= len(self._pts):
            return False
        begin, end = pts * self._time_base, self._pts[place] * self._time_base
        if isinstance(self._instants, SlidingInstants) or self._instants.moved is None:
            # instants in [pts, next): none where both lie between the same two instants
            return self._instants.before(begin) == self._instants.before(end)
        first, last = self._instants.slot_at(begin), self._instants.slot_at(end)
        if last - first > _SLOTS_AT_ONCE:
            return False
        for number in range(first, last + 1):
            self._decide(number)
        return not any(begin <= self._instants.at(number) < end for number in range(first, last + 1))

    def _decide(self, number: int) -> None:
        """Move an instant to the frame of its part, among those in order, that is on screen nearest to its centre."""
        if number in self._decided:
            return
        assert isinstance(self._instants, Instants)
        self._decided[number] = None
        if len(self._decided) > _SLOTS_REMEMBERED:
            del self._decided[next(iter(self._decided))]
        (begin, end), centre = self._instants.slot(number), self._instants.at(number)
        place = max(0, bisect.bisect_right(self._pts, begin / self._time_base) - 1)
        found: list[tuple[Fraction, Fraction]] = []
        for here, pts in enumerate(self._pts[place:], start=place):
            at = pts * self._time_base
            if at >= end:
                break
            if pts in self._in_order:
                until = self._pts[here + 1] * self._time_base if here + 1 < len(self._pts) else end
                if until > begin:
                    nearest = centre if at <= centre < until else max(at, begin) if at > centre else until
                    found.append((abs(nearest - centre), max(at, begin)))
        if found:
            self._instants.move(number, min(found)[1])


def decode_pictures(stream: Any, packets: Iterable[Any], problems: list[str]) -> Iterator[Any]:
    """Decode packets into frames in presentation order; what cannot be decoded is left out, named in ``problems``.

    On a GPU raises GpuDecodeError at once: what becomes of a damaged picture is the CPU's to decide.
    """
    for packet in packets:
        yield from _decode(stream, packet, problems)
    yield from _decode(stream, None, problems)


def _decode(stream: Any, packet: Any, problems: list[str]) -> list[Any]:
    context = stream.codec_context
    try:
        frames: list[Any] = context.decode(packet)
    except av.error.FFmpegError as error:
        if context.is_hwaccel:
            raise GpuDecodeError(short(error)) from None
        problems.append(short(error))
        return []
    if context.is_hwaccel and any(frame.is_corrupt for frame in frames):
        raise GpuDecodeError("damaged pictures")
    return frames


def usual_seconds(stream: Any) -> Fraction:
    """How long a picture of the stream is shown, by its header; 1/25 s where that says nothing sensible."""
    rate = Fraction(stream.average_rate or 0)
    return 1 / rate if rate > SLOWEST_RATE else Fraction(1, 25)


def shown_seconds(frame: Any, time_base: Fraction, usual: Fraction) -> Fraction:
    """How long a decoded frame is shown, by its own field; ``usual`` where that is empty or absurd."""
    seconds = Fraction(frame.duration or 0) * time_base
    return seconds if 0 < seconds <= 1 / SLOWEST_RATE else usual


def on_screen(
    frames: Iterable[tuple[Fraction, Fraction, Any]], instants: Instants | SlidingInstants
) -> Iterator[tuple[int, Any]]:
    """(instant number, frame) of every instant up to the end of the last frame.

    ``frames``: (start_seconds, duration_seconds, frame) in presentation order. The frame of an instant is the one with
    the largest start <= instant; before the first frame, the first. Frames that go back in time are passed over.
    """
    instant = 0
    shown: tuple[Fraction, Fraction, Any] | None = None
    for entry in frames:
        if shown is not None:
            if entry[0] <= shown[0]:
                continue
            while instants.at(instant) < entry[0]:
                yield instant, shown[2]
                instant += 1
        shown = entry
    if shown is not None:
        while instants.at(instant) < shown[0] + shown[1]:
            yield instant, shown[2]
            instant += 1
