"""One pass over a container: pictures, JPEGs and sound side by side in three threads."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from dubcli.cache import layout
from dubcli.errors import InputError
from dubcli.media.clock import read_packets
from dubcli.media.jpeg import JpegWriter
from dubcli.media.picture import FrameSkipper, Instants, decode_pictures, on_screen, shown_seconds, usual_seconds
from dubcli.media.shown import UPRIGHT, Orientation
from dubcli.media.sound import StereoTrack
from dubcli.prep.track_mels import TrackMels

Size = tuple[int, int]  # (width, height) in pixels

# FFmpeg's frames wait here for the next thread: small, since a 4K frame has 12 MB.
_FRAMES_AHEAD = 6
_PACKETS_AT_ONCE = 32
_PACKETS_AHEAD = 16  # times as many

LONGEST_SECONDS = 24 * 3600  # a header's rate of a frame a minute must not fill the disk


class Worker:
    """A thread that calls ``function`` on what it is given, in order; its error comes out where it is fed."""

    def __init__(self, function: Callable[[Any], None], ahead: int) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(ahead)
        self._function = function
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: Any) -> None:
        """Hand an item over; waits while too many are waiting. Raises what the function raised before."""
        if self._error is not None:
            raise self._error
        self._queue.put(item)

    def close(self) -> None:
        """Wait until everything is done. Raises what the function raised."""
        self._queue.put(_END)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Stop without waiting for what is queued; for a pass that failed elsewhere."""
        self._function = _drop
        self._queue.put(_END)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not _END:
            if self._error is None:
                try:
                    self._function(item)
                except BaseException as error:
                    self._error = error


_END = object()


def _drop(item: Any) -> None:
    pass


class SoundWorker:
    """Decodes all tracks of one container in one thread."""

    def __init__(self, tracks: dict[int, tuple[StereoTrack, TrackMels]]) -> None:
        self._tracks = tracks
        self._worker = Worker(self._decode, _PACKETS_AHEAD)
        self._packets: list[Any] = []
        self.abandon = self._worker.abandon

    def put(self, packet: Any) -> None:
        """Hand a packet over, with others: waking a thread for each would cost more than to decode it."""
        self._packets.append(packet)
        if len(self._packets) == _PACKETS_AT_ONCE:
            self._hand_over()

    def close(self) -> None:
        """Wait until everything is decoded. Raises what decoding raised."""
        self._hand_over()
        self._worker.close()
        for track, mels in self._tracks.values():
            for block in track.decode(None):
                mels.add(block)

    def _hand_over(self) -> None:
        self._worker.put(self._packets)
        self._packets = []

    def _decode(self, packets: list[Any]) -> None:
        for packet in packets:
            track, mels = self._tracks[packet.stream_index]
            for block in track.decode(packet):
                mels.add(block)


class PictureReport:
    """What was learnt of the picture while it was decoded. Times in seconds on the film's clock."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.end_seconds = Fraction(0)
        self.interlaced = False
        self.orientation = UPRIGHT
        self.sizes: Counter[Size] = Counter()  # of the frames taken, (width, height) as each would be shown

    @property
    def usual_size(self) -> Size:
        """The size that most of the film has."""
        return max(self.sizes, key=lambda size: self.sizes[size])


@dataclass(frozen=True, kw_only=True)
class PictureSink:
    """Where a film's pictures go.

    ``shown_as`` says, of the frame decoded last, in which size it is shown and turned how; ``writer_for`` gives, for
    the first of the sizes, the JPEG writer and where its JPEGs go, 16 per clip; ``tell`` hears the time reached.
    """

    shown_as: Callable[[Any], tuple[Size, Orientation]]
    writer_for: Callable[[Size], tuple[JpegWriter, Callable[[bytes], None]]]
    tell: Callable[[Fraction], None]


def split(packets: Iterator[Any], first: int, to_sound: Callable[[Any], None]) -> Iterator[Any]:
    """Yield the packets of stream ``first``; those of the others go to ``to_sound``."""
    for packet in packets:
        if packet.stream_index == first:
            yield packet
        else:
            to_sound(packet)


def frames_of(stream: Any, packets: Iterator[Any], start: Fraction, report: PictureReport) -> Iterator[Any]:
    """(start_seconds, duration_seconds, frame) on the film's clock, of every frame that was decoded."""
    time_base = Fraction(stream.time_base)
    usual = usual_seconds(stream)
    at = Fraction(0)
    for frame in decode_pictures(stream, packets, report.problems):
        report.interlaced = report.interlaced or bool(frame.interlaced_frame)
        at = frame.pts * time_base - start if frame.pts is not None else at
        duration = shown_seconds(frame, time_base, usual)
        report.end_seconds = max(report.end_seconds, at + duration)
        if report.end_seconds > LONGEST_SECONDS:
            raise InputError("its time stamps say that it is longer than a day; they are damaged")
        yield at, duration, frame
        at += duration


def decode_film(
    container: Any,
    picture: Any,
    tracks: dict[int, tuple[StereoTrack, TrackMels]],
    to: PictureSink,
    *,
    start: Fraction,
    frame_rule: str,
) -> PictureReport:
    """Decode the picture and all tracks of a container in one pass.

    ``frame_rule``: of ``media.picture.Instants``. Raises what a sink raised (a full disk).
    """
    report = PictureReport()
    sound = SoundWorker(tracks)
    instants = Instants.of(frame_rule, layout.CLIP_SECONDS, layout.FRAMES_PER_CLIP, usual_seconds(picture))
    skipper = FrameSkipper(picture, replace(instants, start=start))
    jpegs: Worker | None = None
    try:
        streams = [picture, *(track.stream for track, _ in tracks.values())]
        demuxed = read_packets(container, streams, start, report.problems)
        packets = skipper.packets(split(demuxed, picture.index, sound.put))
        # the size now: what a frame's size is made of is the decoder's and changes with the next one
        decoded = frames_of(picture, packets, start, report)
        frames = ((at, length, (frame, *to.shown_as(frame))) for at, length, frame in decoded)
        for _, (frame, size, turn) in on_screen(frames, instants):
            report.sizes[size] += 1
            if jpegs is None:
                report.orientation = turn
                jpegs = Worker(_jpeg_sink(*to.writer_for(size)), _FRAMES_AHEAD)
            jpegs.put((frame, turn))
            to.tell(report.end_seconds)
        if jpegs is not None:
            jpegs.close()
        sound.close()
    except BaseException:
        for worker in (jpegs, sound):
            if worker is not None:
                worker.abandon()
        raise
    return report


def _jpeg_sink(writer: JpegWriter, sink: Callable[[bytes], None]) -> Callable[[tuple[Any, Orientation]], None]:
    last: list[Any] = [None, b""]

    def write(shown: tuple[Any, Orientation]) -> None:
        frame, turn = shown
        if frame is not last[0]:  # at low frame rates one picture is on screen for several instants
            last[:] = [frame, writer.encode(frame, turn)]
        sink(last[1])

    return write
