"""What Matroska says of a track's language and FFmpeg does not hand on: the BCP 47 tag (RFC 9559, LanguageBCP47).

Where it is there it stands for the older Language element, which cannot tell Cantonese from Mandarin.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

_LANGUAGE_BCP47 = 0x22B59D  # the package's table of elements is older
_TRACK_ENTRY, _TRACK_TYPE, _CODEC_ID = 0xAE, 0x83, 0x86
_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_STREAM_TYPES = frozenset({1, 2, 0x11, 0x21})  # those of which FFmpeg makes streams, in the order of the file
_LONGEST_BYTES = 255


def language_tags(path: Path) -> dict[int, str]:
    """{stream index: BCP 47 tag} of the tracks that have one; nothing where the file is too damaged to tell."""
    try:
        return _read(path)
    except Exception:  # FFmpeg bears more than this reader does; then the older tag has to do
        return {}


def _read(path: Path) -> dict[int, str]:
    document = _schema().load(str(path))
    try:
        segment = next(element for element in document if element.id == _SEGMENT)
        for element in segment:
            if element.id == _TRACKS:
                return _of_tracks(element)
            if element.id == _CLUSTER:
                break
        return {}
    finally:
        document.close()


def _of_tracks(tracks: Any) -> dict[int, str]:
    found, index = {}, 0
    for entry in tracks:
        if entry.id != _TRACK_ENTRY:
            continue
        children = {child.id: child for child in entry if child.size <= _LONGEST_BYTES}
        if _CODEC_ID not in children or children[_TRACK_TYPE].value not in _STREAM_TYPES:
            continue
        if _LANGUAGE_BCP47 in children:
            found[index] = bytes(children[_LANGUAGE_BCP47].value).rstrip(b"\0").decode("ascii")
        index += 1
    return found


@lru_cache(maxsize=1)
def _schema() -> Any:
    import ebmlite

    return ebmlite.loadSchema("matroska.xml")
