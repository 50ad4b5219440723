"""Whether a file is as long as its own header says: what is missing at its end, and headers that are wrong.

What a header says is compared with the bytes that are there, where it counts bytes, and with the seconds that decode,
where it counts samples. What FFmpeg only estimates (MP3 without a Xing header, AAC, AC-3) says nothing. Writers that
cannot go back (pipes) leave a length of 0 or the largest number: unknown, which is no damage.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dubcli.media.head import what_is_lost

TOLERANCE_SECONDS = 0.1  # two frames of the longest codecs: encoders count their delay in or leave it out
_COUNTS_SAMPLES = frozenset({"flac", "wv", "tta", "ape", "aiff", "au"})  # FFmpeg's names of formats
_HEAD_BYTES = 64
_SLACK_BYTES = 1024
_STREAMED = 0xFFFFF000  # sizes from here on, and from half of it to the largest signed one, are of streams
_MATROSKA, _SEGMENT = b"\x1aE\xdf\xa3", b"\x18\x53\x80\x67"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_XING_REACH = 256  # bytes of the first frame among which its mark begins
_OGG_TAIL = 1 << 17  # an Ogg page has at most 65,307 bytes


def what_is_cut(path: Path) -> str | None:
    """How many bytes are missing at the end of a file whose header counts them; None where none are."""
    cut, _ = _cut_and_streamed(path)
    return cut


def what_is_wrong(container: Any, stream: Any, path: Path, decoded_seconds: float) -> str | None:
    """What is to be told of a sound of which so much decodes; None where that is what its header says."""
    end, is_streamed = _cut_and_streamed(path)
    cut = "; ".join(filter(None, (end, what_is_lost(container, path, is_streamed)))) or None
    stated = _stated_seconds(container, stream, path)
    if cut is not None or stated is None or abs(stated - decoded_seconds) <= TOLERANCE_SECONDS:
        return cut
    if decoded_seconds < stated:
        return f"cut, or its header is wrong: it says {stated:.2f} s, {decoded_seconds:.2f} s decode"
    return f"its header is wrong: it says {stated:.2f} s, {decoded_seconds:.2f} s decode and were used"


def _cut_and_streamed(path: Path) -> tuple[str | None, bool]:
    """``what_is_cut``, and whether the header does not count the file's bytes."""
    stated = None
    with suppress(OSError, struct.error, IndexError), open(path, "rb") as file:
        there = os.fstat(file.fileno()).st_size
        stated = _stated_end(file, there)
        # many leave the padding of an odd chunk away, some count a header in
        if stated is not None and there < stated - max(1, min(_SLACK_BYTES, stated // 100)):
            return f"cut: its header says {stated} bytes, there are {there}", False
        if _is_open_ogg(file, there):
            return "cut: its last page is missing", stated is None
    return None, stated is None


def _stated_seconds(container: Any, stream: Any, path: Path) -> float | None:
    name = container.format.name
    counts = name in _COUNTS_SAMPLES or (name == "mp3" and _xing_frames(path) > 0)
    return float(stream.duration * stream.time_base) if counts and stream.duration else None


def _stated_end(file: IO[bytes], there: int) -> int | None:
    """Where the file ends by its header, in bytes; None where that says nothing of it."""
    head = file.read(_HEAD_BYTES)
    for mark, read in _READERS.items():
        if head.startswith(mark):
            return read(file, there)
    return _mp4_end(file, there) if head[4:8] == b"ftyp" else None


def _unless_streamed(start: int, size: int) -> int | None:
    unknown = size == 0 or size >= _STREAMED or (_STREAMED >> 1) <= size <= 0x7FFFFFFF
    return None if unknown else start + size


def _chunks(file: IO[bytes], start: int, layout: str, pad: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its content starts, size) of chunks whose heads are packed as ``layout``."""
    head = struct.calcsize(layout)
    while True:
        file.seek(start)
        name, size = struct.unpack(layout, file.read(head))
        yield name, start + head, size
        start += head + size + (-size) % pad


def _riff_end(file: IO[bytes], there: int) -> int | None:
    file.seek(0)
    kind, size, form = struct.unpack("<4sI4s", file.read(12))
    if form != b"WAVE":
        return _unless_streamed(8, size)
    large: int | None = None
    for name, start, length in _chunks(file, 12, "<4sI", 2):
        if name == b"ds64" and kind in (b"RF64", b"BW64"):
            file.seek(start + 8)
            (large,) = struct.unpack("<Q", file.read(8))
        if name == b"data":
            return _unless_streamed(start, length) if large is None else start + large
    return None


def _w64_end(file: IO[bytes], there: int) -> int | None:
    start = 40
    while True:
        file.seek(start)
        name, length = struct.unpack("<16sq", file.read(24))  # of the chunk with its head
        if name == _W64_DATA:
            return start + length if length > 24 else None
        start += length + (-length) % 8


def _caf_end(file: IO[bytes], there: int) -> int | None:
    for name, start, length in _chunks(file, 8, ">4sq", 1):
        if name == b"data":
            return None if length < 0 else start + length
    return None


def _aiff_end(file: IO[bytes], there: int) -> int | None:
    file.seek(4)
    return _unless_streamed(8, struct.unpack(">I", file.read(4))[0])


def _au_end(file: IO[bytes], there: int) -> int | None:
    file.seek(4)
    return _unless_streamed(*struct.unpack(">II", file.read(8)))


def _matroska_end(file: IO[bytes], there: int) -> int | None:
    file.seek(4)
    file.seek(_number(file) + file.tell())
    if file.read(4) != _SEGMENT:
        return None
    size = _number(file)
    return None if size < 0 else file.tell() + size


def _number(file: IO[bytes]) -> int:
    """An EBML number (RFC 8794, 4); -1 where all its bits say that it is unknown."""
    first = file.read(1)[0]
    length = 9 - first.bit_length()
    value = int.from_bytes(bytes([first & (0xFF >> length)]) + file.read(length - 1), "big")
    return -1 if value == (1 << 7 * length) - 1 else value


def _mp4_end(file: IO[bytes], there: int) -> int | None:
    start = 0
    while start < there:
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        if size < 8 or not name.isalnum():
            return None
        start += size
    return start


def _is_open_ogg(file: IO[bytes], there: int) -> bool:
    """Whether an Ogg file's last page is not marked as the last (RFC 3533, 6), or is not whole."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return False
    file.seek(max(0, there - _OGG_TAIL))
    tail = file.read()
    start = tail.rfind(b"OggS\0")
    if start < 0:
        return True
    lengths = tail[start + 27 : start + 27 + tail[start + 26]]
    return not tail[start + 5] & 4 or start + 27 + len(lengths) + sum(lengths) > len(tail)


def _xing_frames(path: Path) -> int:
    """Frames by an MP3's first frame, whose header says 0, or nothing, where they were not counted."""
    with suppress(OSError, struct.error, IndexError), open(path, "rb") as file:
        head = file.read(10)
        tag = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)) + 10
        file.seek(tag if head[:3] == b"ID3" else 0)
        frame = file.read(_XING_REACH)
        for mark in (b"Xing", b"Info"):
            at = frame.find(mark)
            if at >= 0:
                flags, frames = struct.unpack(">II", frame[at + 4 : at + 12])
                return int(frames) if flags & 1 else 0
        at = frame.find(b"VBRI")
        return int(struct.unpack(">I", frame[at + 14 : at + 18])[0]) if at >= 0 else 0
    return 0


_READERS: dict[bytes, Callable[[IO[bytes], int], int | None]] = {
    b"RIFF": _riff_end,
    b"RF64": _riff_end,
    b"BW64": _riff_end,
    b"riff\x2e\x91\xcf\x11": _w64_end,
    b"caff": _caf_end,
    b"FORM": _aiff_end,
    b".snd": _au_end,
    _MATROSKA: _matroska_end,
}
