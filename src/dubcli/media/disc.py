"""DVD-Video and Blu-ray folders: which of their files are the film, and in which languages its tracks are.

A disc says the languages beside its streams: a DVD in the title set's ``.IFO`` (VTS_ATRT), a Blu-ray in the playlist
(STN_table of the ``.mpls``). Menus, other title sets and other playlists are not the film: the largest set is, or the
longest playlist.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dubcli.errors import InputError

DVD, BLURAY = "DVD", "Blu-ray"
_VOB = re.compile(r"VTS_(\d\d)_([1-9])\.VOB", re.I)
_SPECIAL_CODES = {2: "audio description", 3: "commentary", 4: "commentary"}  # of VTS_ATRT's code extension
_TICKS = 45000  # a second of a playlist


@dataclass(frozen=True)
class DiscTrack:
    """What a disc says of a stream: its language as a code, and a title where it is special."""

    language: str
    title: str = ""


def disc_kind(folder: Path) -> str | None:
    """``DVD`` or ``Blu-ray`` by what a folder holds, else None."""
    try:
        if not folder.is_dir():
            return None
        names = os.listdir(folder)
    except OSError:
        return None
    if any(_VOB.fullmatch(name) for name in names):
        return DVD
    upper = {name.upper() for name in names}
    return BLURAY if {"STREAM", "PLAYLIST"} <= upper and folder.name.upper() == "BDMV" else None


def dvd_files(folder: Path) -> tuple[Path, ...]:
    """The files of the largest title set, in order."""
    sets: dict[str, list[Path]] = {}
    for name in sorted(os.listdir(folder), key=str.upper):
        if match := _VOB.fullmatch(name):
            sets.setdefault(match[1], []).append(folder / name)
    return tuple(max(sets.values(), key=lambda files: sum(file.stat().st_size for file in files)))


def blu_ray_files(folder: Path) -> tuple[Path, ...]:
    """The streams of the longest playlist, in its order. Raises InputError where there is none."""
    streams = {file.stem: file for file in _below(folder, "STREAM") if file.suffix.upper() == ".M2TS"}
    clips = _main_playlist(folder).clips
    missing = [clip for clip in clips if clip not in streams]
    if missing:
        raise InputError(f"the disc's stream {missing[0]}.m2ts is not there")
    return tuple(streams[clip] for clip in clips)


def disc_tracks(folder: Path) -> dict[int, DiscTrack]:
    """{FFmpeg's stream id: what the disc says of it}; nothing where it says nothing that can be read."""
    kind = disc_kind(folder)
    try:
        if kind == DVD:
            return _dvd_tracks(dvd_files(folder)[0])
        return dict(_main_playlist(folder).tracks) if kind == BLURAY else {}
    except (OSError, struct.error, IndexError, InputError):
        return {}


def _below(folder: Path, name: str) -> list[Path]:
    found = [entry for entry in folder.iterdir() if entry.name.upper() == name]
    return sorted(found[0].iterdir()) if found else []


def _dvd_tracks(vob: Path) -> dict[int, DiscTrack]:
    """By VTS_ATRT: the n-th sound has a substream of its codec and number, or an MPEG sound's stream."""
    wanted = f"{vob.name[:6]}_0.IFO".upper()
    ifo = b"".join(entry.read_bytes() for entry in vob.parent.iterdir() if entry.name.upper() == wanted)
    if not ifo.startswith(b"DVDVIDEO-VTS"):  # or there is none
        return {}
    (count,) = struct.unpack_from(">H", ifo, 0x202)
    found = {}
    for number in range(min(count, 8)):
        attributes = ifo[0x204 + 8 * number : 0x20C + 8 * number]
        first_id = {0: 0x80, 2: 0x1C0, 3: 0x1C0, 4: 0xA0, 6: 0x88}.get(attributes[0] >> 5)
        code = attributes[2:4].decode("ascii", "ignore").strip("\0 \xff")
        if first_id is not None and code.isalpha():
            found[first_id + number] = DiscTrack(code, _SPECIAL_CODES.get(attributes[5], ""))
    return found


@dataclass(frozen=True)
class _Playlist:
    seconds: float
    clips: tuple[str, ...]
    tracks: tuple[tuple[int, DiscTrack], ...]


@lru_cache(maxsize=8)
def _main_playlist(folder: Path) -> _Playlist:
    found = []
    for file in _below(folder, "PLAYLIST"):
        if file.suffix.upper() == ".MPLS":
            try:
                found.append(_read_playlist(file.read_bytes()))
            except (struct.error, IndexError, UnicodeDecodeError):
                continue  # a damaged one beside others
    if not found:
        raise InputError("the disc has no playlist that can be read")
    return max(found, key=lambda playlist: playlist.seconds)


def _read_playlist(data: bytes) -> _Playlist:
    if not data.startswith(b"MPLS"):
        raise IndexError("no playlist")
    (at,) = struct.unpack_from(">I", data, 8)
    (items,) = struct.unpack_from(">H", data, at + 6)
    at += 10
    seconds, clips, tracks = 0.0, [], {}
    for _ in range(items):
        (length,) = struct.unpack_from(">H", data, at)
        item = data[at + 2 : at + 2 + length]
        begin, end = struct.unpack_from(">II", item, 12)
        clip = item[:5].decode("ascii")
        seconds += max(0, end - begin) / _TICKS
        if clip in clips:
            seconds -= max(0, end - begin) / _TICKS  # a loop is no longer film
        else:
            clips.append(clip)
        tracks.update(_streams(item))
        at += 2 + length
    return _Playlist(seconds, tuple(clips), tuple(tracks.items()))


def _streams(item: bytes) -> dict[int, DiscTrack]:
    """Of an item's STN_table: {PID: language} of its sounds."""
    table = 32
    if item[10] & 0x10:  # of several angles
        table += 2 + 10 * (item[32] - 1)
    videos, sounds = item[table + 4], item[table + 5]
    at = table + 16
    found = {}
    for number in range(videos + sounds):
        entry = item[at + 1 : at + 1 + item[at]]
        at += 1 + item[at]
        attributes = item[at + 1 : at + 1 + item[at]]
        at += 1 + item[at]
        if number >= videos and entry[0] == 1:
            (pid,) = struct.unpack_from(">H", entry, 1)
            found[pid] = DiscTrack(attributes[2:5].decode("ascii", "ignore"))
    return found
