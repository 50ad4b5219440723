"""Write into containers what no muxer that PyAV has can be told to: MP4 boxes and Matroska elements, in place."""

import struct
from pathlib import Path

_CHILDREN_AFTER = {b"stsd": 8, b"avc1": 78, b"hvc1": 78, b"hev1": 78, b"mp4v": 78}  # bytes before a box's children


def box(name, content):
    """An MP4 box."""
    return struct.pack(">I", 8 + len(content)) + name + content


def clap(width, height, right=0, down=0):
    """CleanApertureBox (ISO/IEC 14496-12): its size, and how far its centre is right of and below the picture's."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, 2 * right, 2, 2 * down, 2))


def dolby_vision(profile, compatibility):
    """The DOVIDecoderConfigurationRecord of a single layer, level 3."""
    name = b"dvvC" if profile > 7 else b"dvcC"
    return box(name, bytes([1, 0, profile << 1, 3 << 3 | 0b101, compatibility << 4]) + bytes(19))


def add_to_picture(path, added):
    """Add boxes to the sample entry of an MP4 file's first track; its moov must come last, as FFmpeg writes it."""
    data = bytearray(Path(path).read_bytes())
    start, stop = 0, len(data)
    grown = []
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", None):
        start, stop = _child(data, start, stop, name)
        grown.append(start)
        start += 8 + _CHILDREN_AFTER.get(bytes(data[start + 4 : start + 8]), 0)
    for place in grown:
        struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + len(added))
    data[stop:stop] = added
    Path(path).write_bytes(data)


def _child(data, start, stop, name):
    while start < stop:
        size = struct.unpack_from(">I", data, start)[0]
        if name is None or data[start + 4 : start + 8] == name:
            return start, start + size
        start += size
    raise AssertionError(f"no {name} box")


def set_matrix(path, matrix):
    """Write the display matrix (nine integers, 16.16 and 2.30) of an MP4 file's first track."""
    data = bytearray(Path(path).read_bytes())
    place = data.index(b"tkhd") + 4
    place += 52 if data[place] == 1 else 40
    struct.pack_into(">9i", data, place, *matrix)
    Path(path).write_bytes(data)


def replace_once(path, old, new):
    """Replace bytes that stand in a file once by as many others."""
    data = Path(path).read_bytes()
    assert data.count(old) == 1, data.count(old)
    assert len(old) == len(new)
    Path(path).write_bytes(data.replace(old, new))


def tag_bcp47(path, title, tag):
    """Turn the track name ``title`` of a Matroska file into its LanguageBCP47 element, filled up with zeros."""
    content = tag.encode().ljust(len(title) - 1, b"\0")
    element = b"\x22\xb5\x9d" + bytes([0x80 | len(content)]) + content
    replace_once(path, b"\x53\x6e" + bytes([0x80 | len(title)]) + title.encode(), element)


def crop_matroska(path, left, right, top, bottom):
    """Turn the picture's Colour element (four values: ``make_film(colour=True)``) into the PixelCrop ones."""
    data = Path(path).read_bytes()
    place = data.index(b"\x55\xb0\x90")
    crop = b"".join(bytes([0x54, low, 0x81, value]) for low, value in
                    ((0xCC, left), (0xDD, right), (0xBB, top), (0xAA, bottom)))  # fmt: skip
    Path(path).write_bytes(data[:place] + crop + b"\xec\x81\x00" + data[place + 19 :])
