"""How a decoded picture is shown: which part of it, which way up, in which proportions."""

from __future__ import annotations

import gc
import struct
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import av
import av.error
from av.sidedata.sidedata import Type

from dubcli.media.header import WHOLE, Crop
from dubcli.media.streams import MediaInfo, open_media

_TICK = Fraction(1, 1000)
# The long side is at most so many times the short one: a wrong pixel aspect must not make a frame of 100 megapixels.
_LONGEST = 8
# Frames after one that is asked for its orientation: nothing needs it any more; the next one is asked.
_DONE_FRAMES, _SOONEST_FRAMES, _LATEST_FRAMES = 50, 100, 500
_BROADCASTS = ("mpegts", "mpeg")
# (transposed, flip_x, flip_y) of the four turns, by degrees counter-clockwise
_TURNS = {(False, False, False): 0, (True, False, True): 90, (False, True, True): 180, (True, True, False): 270}


class Orientation(NamedTuple):
    """From the stored to the shown picture: rows and columns are swapped first, then it is flipped."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def to_json(self) -> dict[str, Any]:
        """Turned by ``rotation`` degrees counter-clockwise, then, if so, ``mirrored`` left-right."""
        turn = _TURNS.get((self.transposed, self.flip_x, self.flip_y))
        if turn is not None:
            return {"rotation": turn, "mirrored": False}
        return {"rotation": _TURNS[self.transposed, not self.flip_x, self.flip_y], "mirrored": True}

    def filters(self) -> list[tuple[str, str]]:
        """FFmpeg's filters that do it: (name, argument)."""
        wanted = (("transpose", "cclock_flip", self.transposed), ("hflip", "", self.flip_x), ("vflip", "", self.flip_y))
        return [(name, argument) for name, argument, is_wanted in wanted if is_wanted]


UPRIGHT = Orientation()


def orientation(frame: Any) -> Orientation:
    """By a decoded frame's display matrix (ISO/IEC 14496-12, 6.2.2), as ffmpeg's autorotation; others to the nearest.

    A pixel (x, y) of the stored picture is shown at (a x + c y, b x + d y), but for where that begins.
    """
    if not len(frame.side_data):
        return UPRIGHT
    try:
        matrix = frame.side_data[Type.DISPLAYMATRIX]
    except KeyError:
        return UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix)[:36])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transposed=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(transposed=False, flip_x=a < 0, flip_y=d < 0)


class Turns:
    """The orientation of a stream's frames, one after another; it may change with a key frame.

    Not asked of every frame: PyAV's frame and its side data hold each other, so that the picture (3 MB of 1080p) stays
    until Python looks for such circles. Hundreds of them were 800 MB.
    """

    def __init__(self) -> None:
        self._turn, self._passed = UPRIGHT, _LATEST_FRAMES

    def __call__(self, frame: Any) -> Orientation:
        """That of the next frame."""
        self._passed += 1
        if self._passed == _DONE_FRAMES:
            gc.collect(1)  # not when the next one is asked: what lives then is looked at seldom from then on
        if self._passed > (_SOONEST_FRAMES if frame.key_frame else _LATEST_FRAMES):
            self._turn, self._passed = orientation(frame), 0
        return self._turn


@lru_cache(maxsize=64)
def frame_size(
    width: int, height: int, sample_aspect_ratio: Fraction, transposed: bool, short_side: int
) -> tuple[int, int]:
    """(width, height) in square pixels as it is shown: the short side ``short_side``, the other by aspect and even."""
    shown_width, shown_height = Fraction(width) * sample_aspect_ratio, Fraction(height)
    if transposed:
        shown_width, shown_height = shown_height, shown_width

    def even(value: Fraction) -> int:
        return max(2, 2 * round(value / 2))

    ratio = min(max(shown_width / shown_height, Fraction(1, _LONGEST)), Fraction(_LONGEST))
    if ratio >= 1:
        return even(ratio * short_side), even(Fraction(short_side))
    return even(Fraction(short_side)), even(short_side / ratio)


class Cropper:
    """Cuts off what the container says is not shown, of frames of the size that it says they have."""

    def __init__(self, crop: Crop = WHOLE, stored_size: tuple[int, int] = (0, 0)) -> None:
        self._crop = crop if any(crop) and self._is_left(crop, stored_size) else WHOLE
        self._stored_size = stored_size
        self._filtered = Filtered()

    @staticmethod
    def _is_left(crop: Crop, stored_size: tuple[int, int]) -> bool:
        return stored_size[0] - crop.left - crop.right >= 2 and stored_size[1] - crop.top - crop.bottom >= 2

    def size(self, frame: Any) -> tuple[int, int]:
        """(width, height) of what is shown of a frame, in stored pixels."""
        if (frame.width, frame.height) != self._stored_size:
            return frame.width, frame.height
        crop = self._crop
        return frame.width - crop.left - crop.right, frame.height - crop.top - crop.bottom

    def __call__(self, frame: Any) -> Any:
        """The part of a frame that is shown."""
        width, height = self.size(frame)
        if (width, height) == (frame.width, frame.height):
            return frame
        return self._filtered(frame, [("crop", f"{width}:{height}:{self._crop.left}:{self._crop.top}:exact=1")])


class PixelAspect:
    """The sample aspect ratio of the frame that was decoded last, which a broadcast changes from film to advert.

    What the container says of its own comes first, as in every player; where it repeats the codec's, the codec's later
    words are followed.
    """

    def __init__(self, context: Any, container_ratio: Fraction) -> None:
        self._context, self._container_ratio = context, container_ratio
        self._follows = (self._coded() or Fraction(1)) == container_ratio

    def _coded(self) -> Fraction | None:
        ratio = self._context.sample_aspect_ratio
        return Fraction(ratio) if ratio else None

    def __call__(self) -> Fraction:
        """Width over height of a stored pixel, now."""
        coded = self._coded() if self._follows else None
        return coded if coded is not None and coded > 0 else self._container_ratio


class PictureShape(NamedTuple):
    """What is shown of a frame, in stored pixels, and how wide a pixel is."""

    width: int
    height: int
    sample_aspect_ratio: Fraction


def usual_shape(info: MediaInfo) -> PictureShape | None:
    """The shape of most of a recording, by its key frames, which alone are decoded; None where it does not change.

    Of other containers than broadcasts', whose header has one shape, None: they are not read.
    """
    video = info.video
    if video is None or info.format not in _BROADCASTS:
        return None
    shown: Counter[PictureShape] = Counter()
    before: tuple[PictureShape, int] | None = None
    with open_media(info.path) as container, suppress(av.error.FFmpegError, IndexError):  # what can be read tells
        stream = container.streams[video.index]
        # in one thread: the aspect known with a frame is the frame's own
        stream.thread_type, stream.codec_context.skip_frame = "NONE", "NONKEY"
        aspect = PixelAspect(stream.codec_context, video.sample_aspect_ratio)
        cropper = Cropper(video.crop, (video.width, video.height))
        for packet in container.demux(stream):
            for frame in _decoded(stream, packet):
                shape = PictureShape(*cropper.size(frame), aspect())
                at = before[1] if frame.pts is None and before is not None else frame.pts or 0
                if before is not None:
                    shown[before[0]] += max(0, at - before[1])
                before = (shape, at)
    if before is not None:
        shown[before[0]] += 1
    return shown.most_common(1)[0][0] if len(shown) > 1 else None


def _decoded(stream: Any, packet: Any) -> list[Any]:
    try:
        return list(stream.codec_context.decode(packet if packet.size else None))
    except av.error.FFmpegError:
        return []


class Filtered:
    """Frames through FFmpeg's filters, whose graph is kept as long as the frames stay alike."""

    def __init__(self) -> None:
        self._key: Any = None
        self._graph: Any = None

    def __call__(self, frame: Any, filters: list[tuple[str, str]]) -> Any:
        """One frame through ``filters``, each (name, argument), one after another."""
        if not filters:
            return frame
        key = (frame.width, frame.height, frame.format.name, tuple(filters))
        if key != self._key:
            self._key, self._graph = key, _graph(frame, filters)
        pts, frame.pts = frame.pts, 0
        self._graph.push(frame)
        frame.pts = pts
        out = self._graph.pull()
        out.pts = pts
        out.colorspace, out.color_range = frame.colorspace, frame.color_range  # the graph was not told of them
        return out


def _graph(frame: Any, filters: list[tuple[str, str]]) -> Any:
    graph = av.filter.Graph()
    last = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=_TICK)
    for step in [*(graph.add(name, argument) for name, argument in filters), graph.add("buffersink")]:
        last.link_to(step)
        last = step
    graph.configure()
    return graph
