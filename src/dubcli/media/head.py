"""Whether a sound begins where its file does: first pages, clusters and frames that are gone leave marks.

Ogg numbers its pages (RFC 3533, 6); the first frame of an MP3 has no use for bytes of frames before it (ISO/IEC
11172-3, 2.4.2.7: main_data_begin); raw streams of frames begin with one. Matroska counts bytes (``length.py``); where
it does not, its clock tells. Nothing is said of transport streams, which may be entered anywhere.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

_HEAD_BYTES = 1 << 20
_SYNCS = {"mp3": (0xFFE0, 0xFFE0), "aac": (0xFFF0, 0xFFF6), "ac3": (0x0B77, 0xFFFF), "eac3": (0x0B77, 0xFFFF)}
"""How a frame begins, and which bits of that count, by FFmpeg's names of formats."""
_LATE_SECONDS = 0.1
_OGG_FIRST = 2  # bit of the page's kind: the first of its stream
_TAGS = (b"ID3", b"ADIF", b"TAG", b"RIFF", b"APETAGEX")


def what_is_lost(container: Any, path: Path, is_streamed: bool) -> str | None:
    """What tells that a file's beginning is missing; None where nothing does.

    ``is_streamed``: its header does not say how many bytes it has.
    """
    name = container.format.name
    if "matroska" in name and is_streamed and (container.start_time or 0) > _LATE_SECONDS * 1e6:
        return f"cut at its start: its clock begins at {container.start_time / 1e6:.2f} s"
    with suppress(OSError, struct.error, IndexError), open(path, "rb") as file:
        if name == "ogg":
            return _lost_page(file)
        if name in _SYNCS:
            return _lost_frame(file, *_SYNCS[name], is_mp3=name == "mp3")
    return None


def _lost_page(file: IO[bytes]) -> str | None:
    """The first page whose number does not follow that of the one before it in its stream, near the file's start."""
    expected: dict[int, int] = {}
    while file.tell() < _HEAD_BYTES:
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            return None
        serial, number = struct.unpack("<II", head[14:22])
        first = expected.get(serial, 0)
        if number != first and not (serial not in expected and head[5] & _OGG_FIRST):
            pages = f"page {first + 1} is" if number == first + 1 else f"pages {first + 1} to {number} are"
            return f"damaged near its start: {pages} missing"
        expected[serial] = number + 1
        file.seek(sum(file.read(head[26])), 1)
    return None


def _lost_frame(file: IO[bytes], sync: int, mask: int, *, is_mp3: bool) -> str | None:
    head = file.read(_HEAD_BYTES).lstrip(b"\0")
    if head[:3] == b"ID3":
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)) + 10
        head = head[size:].lstrip(b"\0")
    if len(head) < 8 or head.startswith(_TAGS):
        return None
    if int.from_bytes(head[:2], "big") & mask != sync:
        return "cut at its start: it begins within a frame"
    layer_3, has_checksum, is_mpeg_1 = head[1] & 0x06 == 2, not head[1] & 1, head[1] & 0x18 == 0x18
    side = int.from_bytes(head[6 if has_checksum else 4 :][:2], "big")
    if is_mp3 and layer_3 and side >> (7 if is_mpeg_1 else 8):
        return "cut at its start: its first frame is the rest of frames before it"
    return None
