"""The frames on screen at wanted instants, decoding as few others as the codec allows.

A packet whose display interval [pts, next larger pts) holds no wanted instant is sent with ``skip_frame`` NONREF: the
decoder drops it where no other frame needs it, and only then, so the frames that come out are those of a full decode.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
import av.error

from dubcli.media.nvdec import GpuDecodeError
from dubcli.media.streams import short

# Packets come in decoding order. The next larger pts of one is among its neighbours: H.264 and HEVC reorder by at most
# 16 frames. Where it is not, the interval only looks longer, and a frame more is decoded.
LOOKAHEAD_PACKETS = 40
SLOWEST_RATE = Fraction(1, 60)  # pictures a second; one that claims to be shown for longer than a minute is damaged


class FrameSkipper:
    """Chooses ``skip_frame`` for every packet of a video stream; ``wanted`` counts up from the film's first instant.

    ``instants``: an instant j is at ``first + j * step`` seconds of the stream's clock.
    """

    def __init__(self, stream: Any, first: Fraction, step: Fraction) -> None:
        self._context = stream.codec_context
        self._in_steps = Fraction(stream.time_base) / step
        self._offset = first / step
        self._waiting: deque[Any] = deque()
        self._pts: list[int] = []
        self.skipped = 0

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
        self.skipped += skip
        if len(self._pts) > 4 * LOOKAHEAD_PACKETS:
            del self._pts[: len(self._pts) - 2 * LOOKAHEAD_PACKETS]
        return packet

    def _holds_nothing(self, pts: int) -> bool:
        place = bisect.bisect_right(self._pts, pts)
        if place >= len(self._pts):
            return False
        # instants in [pts, next): none where both lie between the same two instants
        return -((-pts * self._in_steps + self._offset) // 1) == -(
            (-self._pts[place] * self._in_steps + self._offset) // 1
        )


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
    frames: Iterable[tuple[Fraction, Fraction, Any]], first: Fraction, step: Fraction
) -> Iterator[tuple[int, Any]]:
    """(instant number, frame) of every instant j at ``first + j * step`` up to the end of the last frame.

    ``frames``: (start_seconds, duration_seconds, frame) in presentation order. The frame of an instant is the one with
    the largest start <= instant; before the first frame, the first. Frames that go back in time are passed over.
    """
    instant = 0
    shown: tuple[Fraction, Fraction, Any] | None = None
    for entry in frames:
        if shown is not None:
            if entry[0] <= shown[0]:
                continue
            while first + instant * step < entry[0]:
                yield instant, shown[2]
                instant += 1
        shown = entry
    if shown is not None:
        while first + instant * step < shown[0] + shown[1]:
            yield instant, shown[2]
            instant += 1
