"""The frames on screen at wanted instants, decoding as few others as the codec allows.

A packet whose display interval [pts, next larger pts) holds no wanted instant is sent with ``skip_frame`` NONREF: the
decoder drops it where no other frame needs it, and only then, so the frames that come out are those of a full decode.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Iterator
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
ENDS = "ends"
SLOWEST_RATE = Fraction(1, 60)  # pictures a second; one that claims to be shown for longer than a minute is damaged


@dataclass(frozen=True, kw_only=True)
class Instants:
    """When frames are looked at: ``per_clip`` instants in each clip of ``clip_seconds``, from ``start`` on.

    ``frame_seconds`` None: at the centres of equal parts of the clip. Else from the clip's first frame to its last,
    both among them, where a frame is shown for so long: pytorchvideo's choice of frames, whose numbers are evenly
    spaced, of films with a constant rate.
    """

    clip_seconds: Fraction
    per_clip: int
    start: Fraction = Fraction(0)
    frame_seconds: Fraction | None = None

    @classmethod
    def of(cls, rule: str, clip_seconds: int, per_clip: int, frame_seconds: Fraction) -> Instants:
        """Those of a rule, ``centres`` or ``ends``, of a film whose frames are shown for so long. From 0 on."""
        ends = frame_seconds if rule == ENDS else None
        return cls(clip_seconds=Fraction(clip_seconds), per_clip=per_clip, frame_seconds=ends)

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
        clip, place = divmod(number, self.per_clip)
        return self.start + clip * self.clip_seconds + self._first + place * self._step

    def before(self, seconds: Fraction) -> int:
        """How many instants lie before a time."""
        clip, inside = divmod(seconds - self.start, self.clip_seconds)
        reached = inside - self._first
        own = (-(-reached // self._step) if self._step else self.per_clip) if reached > 0 else 0
        return max(0, int(clip) * self.per_clip + min(self.per_clip, int(own)))


class FrameSkipper:
    """Chooses ``skip_frame`` for every packet of a video stream; ``instants`` are on the stream's clock."""

    def __init__(self, stream: Any, instants: Instants) -> None:
        self._context = stream.codec_context
        self._instants, self._time_base = instants, Fraction(stream.time_base)
        self._waiting: deque[Any] = deque()
        self._pts: list[int] = []

    def packets(self, demuxed: Iterable[Any]) -> Iterator[Any]:
        """Yield the packets again, each with the codec context set for it."""
        for packet in demuxed:
            self._waiting.append(packet)
            if packet.pts is not None:
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
        return packet

    def _holds_nothing(self, pts: int) -> bool:
        place = bisect.bisect_right(self._pts, pts)
        if place >= len(self._pts):
            return False
        # instants in [pts, next): none where both lie between the same two instants
        before = self._instants.before
        return before(pts * self._time_base) == before(self._pts[place] * self._time_base)


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


def on_screen(frames: Iterable[tuple[Fraction, Fraction, Any]], instants: Instants) -> Iterator[tuple[int, Any]]:
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
