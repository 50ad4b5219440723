"""What a container holds, whatever its tags and header say: its streams, their languages, times and shapes."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from dubcli.core.languages import is_untagged, language_tag
from dubcli.errors import InputError
from dubcli.media.disc import DiscTrack, disc_kind, disc_tracks
from dubcli.media.header import WHOLE, Crop, Header, read_header
from dubcli.media.joined import files_of, how_to_open, is_joined
from dubcli.media.kinds import require_file
from dubcli.media.matroska import language_tags
from dubcli.media.special import is_special

_TS_BYTES = 188
_PACKETS_LOOKED_AT = 200
_MATROSKA = frozenset({".mkv", ".mk3d", ".mka", ".webm"})
_COUNT_FROM_ZERO = ("matroska", "mp4")
_PRIMING_SECONDS = Fraction(1, 10)  # by which a codec's first samples may come before zero
_HDR_TRANSFERS = {16: "HDR10 or PQ", 18: "HLG"}


@dataclass(frozen=True, kw_only=True)
class AudioTrack:
    """One audio stream. ``index`` is ffprobe's absolute stream index; ``special``: see ``dubcli.media.special``.

    ``language``: None where ``tag`` names no language. ``flags``: FFmpeg's names of its dispositions. ``program``: the
    container's programme that it is of; ``foreign``: whether that is another than the picture's, and so the sound of
    something else.
    """

    index: int
    codec: str | None
    language: str | None
    tag: str
    title: str
    channels: int
    layout: str
    sample_rate: int
    default: bool
    special: bool
    program: int | None = None
    foreign: bool = False
    flags: tuple[str, ...] = ()

    @property
    def decodable(self) -> bool:
        """Whether FFmpeg has a decoder for it (AC-4 and MPEG-H have none)."""
        return self.codec is not None

    @property
    def untagged(self) -> bool:
        """Whether nothing says its language; a tag such as ``zxx`` says that it has none."""
        return self.language is None and is_untagged(self.tag)

    @property
    def described(self) -> str:
        """It in a few words, for a message: ``fr``, ``untagged``, ``en (Director's commentary)``."""
        name = self.language or ("untagged" if self.untagged else self.tag)
        if self.foreign:
            return f"{name} (programme {self.program})"
        return f"{name} ({self.title or 'special'})" if self.special else name


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """The picture. ``width`` and ``height`` are stored pixels, of which ``crop`` is not shown.

    ``dolby_vision``: its profile where the picture has no other colours than Dolby Vision's (profile 5).
    ``program``: the number of the container's programme, where it has any, and ``programs`` how many with a picture.
    """

    index: int
    codec: str
    width: int
    height: int
    sample_aspect_ratio: Fraction
    frame_rate: Fraction | None
    pixel_format: str
    interlaced: bool
    hdr: str | None
    crop: Crop = WHOLE
    dolby_vision: int | None = None
    program: int | None = None
    programs: int = 0


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """A container: where its clock starts, how long its header says it is (may lie), its streams."""

    path: Path
    format: str
    start_seconds: Fraction
    duration_seconds: float | None
    video: VideoTrack | None
    audio: tuple[AudioTrack, ...]


@contextmanager
def open_media(path: str | Path, **options: Any) -> Iterator[Any]:
    """``av.open`` for reading, that bears tags which are not UTF-8, and joins a film's files.

    Raises InputError with a reason in one line.
    """
    path = Path(path)
    try:
        if is_joined(path):
            what, how = how_to_open(path)
        else:
            require_file(path)
            if path.is_file() and path.stat().st_size == 0:
                raise InputError("the file is empty")
            # "file:" keeps FFmpeg from taking a name such as "concat:x" or "a:b.mkv" for a protocol
            what, how = f"file:{path}", {}
        container = av.open(what, metadata_errors="ignore", **how, **options)
    except av.error.FFmpegError as error:
        raise InputError(explain(error)) from None
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror or error}") from None
    try:
        yield container
    finally:
        container.close()


def short(error: Exception) -> str:
    """FFmpeg's reason alone, without its number and its function's name."""
    reason = str(getattr(error, "strerror", None) or error).splitlines()
    if not reason or reason[0].startswith("Error number"):  # a decoder's own
        return "damaged data"
    return reason[0]


def explain(error: Exception) -> str:
    """What FFmpeg's error means for the user of the file."""
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        return "the file is not there"
    if number in (errno.EACCES, errno.EPERM):
        return "no permission to read the file"
    if isinstance(error, av.error.InvalidDataError):
        return "not a media file that FFmpeg can read, or cut before its header"
    return f"cannot be read: {short(error)}"


def is_encrypted(path: Path) -> bool:
    """Whether the samples of an MP4 (Common Encryption) or most packets of a transport stream (its scrambling bits)
    say that they are encrypted; to tell why a film does not decode. Discs' own schemes leave no such mark.
    """
    with suppress(InputError, av.error.FFmpegError), open_media(path) as container:
        if "mpegts" in container.format.name:
            return _is_scrambled(path)
        packets = itertools.islice(container.demux(), _PACKETS_LOOKED_AT)
        return any(packet.has_sidedata("encryption_info") for packet in packets)
    return False


def _is_scrambled(path: Path) -> bool:
    with open(files_of(path)[0], "rb") as file:
        head = file.read(_TS_BYTES * _PACKETS_LOOKED_AT)
    starts = range(head.find(b"\x47"), len(head) - 3, _TS_BYTES)
    marks = [head[start + 3] & 0xC0 != 0 for start in starts if head[start] == 0x47]
    return bool(marks) and sum(marks) > len(marks) // 2


def read_info(path: str | Path) -> MediaInfo:
    """Read a container's header and streams. Raises InputError when it is no media file."""
    with open_media(path) as container:
        return info_of(container, Path(path))


def info_of(container: Any, path: Path) -> MediaInfo:
    """The same of an open container."""
    header = read_header(container)
    pictures = [stream for stream in container.streams.video if is_picture(stream)]
    programs = header.programs.get(pictures[0].index, []) if pictures else []
    said = _said_beside(container, path)
    return MediaInfo(
        path=path,
        format=container.format.name,
        start_seconds=start_of(container),
        duration_seconds=_duration_seconds(container, path),
        video=_video(pictures, header) if pictures else None,
        audio=tuple(_audio(stream, header, programs, said.get(stream.index)) for stream in container.streams.audio),
    )


def _said_beside(container: Any, path: Path) -> dict[int, DiscTrack]:
    """{stream index: what is said of it and FFmpeg does not hand on}, by Matroska's BCP 47 tags or by the disc."""
    if disc_kind(path) is not None:
        by_id = disc_tracks(path)
        return {stream.index: by_id[stream.id] for stream in container.streams.audio if stream.id in by_id}
    first = files_of(path)[0]
    if "matroska" in container.format.name or (first != path and first.suffix.lower() in _MATROSKA):
        return {index: DiscTrack(tag) for index, tag in language_tags(first).items()}
    return {}


def _duration_seconds(container: Any, path: Path) -> float | None:
    """By the header; of several files by all of their headers."""
    files = files_of(path)
    if len(files) > 1:
        seconds = [read_info(file).duration_seconds for file in files]
        return None if None in seconds else sum(one for one in seconds if one is not None)
    return None if not container.duration or container.duration < 0 else container.duration / av.time_base


def start_of(container: Any) -> Fraction:
    """The zero of the film's own clock, in seconds of the container's timestamps."""
    return Fraction(container.start_time or 0, av.time_base)


def zero_beside(film: MediaInfo, beside: MediaInfo) -> Fraction:
    """The film's zero on the clock of a file beside it: where both count from one, a sound that begins late is late.

    Matroska and MP4 count from the film's zero, and transport streams of one broadcast have one clock. Others, and
    those whose sound would lie outside the film, begin with it: MPEG audio begins with its encoder's delay.
    """
    counts = any(name in beside.format for name in _COUNT_FROM_ZERO) or beside.format == film.format == "mpegts"
    earliest, length = film.start_seconds - _PRIMING_SECONDS, film.duration_seconds
    within = earliest <= beside.start_seconds and (length is None or beside.start_seconds - film.start_seconds < length)
    return film.start_seconds if counts and within else beside.start_seconds


def is_picture(stream: Any) -> bool:
    """A film's picture: not a cover image, and with a decoder."""
    disposition = av.stream.Disposition
    still = disposition.attached_pic | disposition.timed_thumbnails
    return stream.codec_context is not None and not stream.disposition & still


def _video(pictures: Sequence[Any], header: Header) -> VideoTrack:
    """The first of the pictures."""
    stream = pictures[0]
    programs = {number for picture in pictures for number in header.programs.get(picture.index, [])}
    profile, compatibility = header.dolby_vision.get(stream.index, (None, None))
    own_colours = profile if compatibility == 0 else None
    context = stream.codec_context
    ratio = stream.sample_aspect_ratio or context.sample_aspect_ratio or Fraction(1)
    return VideoTrack(
        index=stream.index,
        codec=context.name,
        width=context.width,
        height=context.height,
        sample_aspect_ratio=Fraction(ratio) if ratio > 0 else Fraction(1),
        frame_rate=stream.average_rate,
        pixel_format=context.pix_fmt or "",
        interlaced=str(context.field_order).split(".")[-1].lower() in _INTERLACED,
        hdr=_HDR_TRANSFERS.get(int(context.color_trc or 0))
        if own_colours is None
        else f"Dolby Vision profile {own_colours}",
        crop=header.crop.get(stream.index, WHOLE),
        dolby_vision=own_colours,
        program=min(header.programs.get(stream.index, []), default=None),
        programs=len(programs),
    )


_INTERLACED = {"tt", "bb", "tb", "bt", "2", "3", "4", "5"}


def _audio(stream: Any, header: Header, picture_programs: Sequence[int], said: DiscTrack | None) -> AudioTrack:
    programs = header.programs.get(stream.index, [])
    shared = [number for number in programs if number in picture_programs]
    context = stream.codec_context
    tag = (said.language if said is not None else "") or stream.metadata.get("language") or ""
    title = (
        (said.title if said is not None else "")
        or stream.metadata.get("title")
        or stream.metadata.get("handler_name")
        or ""
    )
    return AudioTrack(
        index=stream.index,
        codec=None if context is None else context.name,
        language=language_tag(tag),
        tag=tag,
        title=title,
        channels=0 if context is None else context.channels,
        layout="" if context is None else context.layout.name,
        sample_rate=0 if context is None else context.sample_rate or 0,
        default=bool(stream.disposition & av.stream.Disposition.default),
        special=is_special(title, stream.disposition),
        program=next(iter(shared or programs), None),
        foreign=bool(programs and picture_programs and not shared),
        flags=tuple(str(flag.name) for flag in av.stream.Disposition if flag & stream.disposition),
    )
