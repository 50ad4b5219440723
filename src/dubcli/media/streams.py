"""What a container holds, whatever its tags and header say: its streams, their languages, times and shapes."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from dubcli.core.languages import is_untagged, language_tag, met_by
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
_ONE_CLOCK_SECONDS = 5  # programmes that begin so near to each other are on one
_PRIMING_SECONDS = Fraction(1, 10)  # by which a codec's first samples may come before zero
_HDR_TRANSFERS = {16: "HDR10 or PQ", 18: "HLG"}


@dataclass(frozen=True, kw_only=True)
class AudioTrack:
    """One audio stream. ``index`` is ffprobe's absolute stream index; ``special``: see ``dubcli.media.special``.

    ``language``: None where ``tag`` names no language. ``flags``: FFmpeg's names of its dispositions. ``program``: the
    container's programme that it is of; ``foreign``: whether that is another than the picture's, and so the sound of
    something else; then ``start_seconds`` is where its programme begins, where it has another clock.
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
    start_seconds: Fraction | None = None

    @property
    def decodable(self) -> bool:
        """Whether FFmpeg has a decoder for it (AC-4 and MPEG-H have none)."""
        return self.codec is not None

    @property
    def is_plain(self) -> bool:
        """Whether it is the film's own speech, as far as anything says."""
        return self.decodable and not self.foreign and not self.special

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


def read_info(path: str | Path, language: str | None = None) -> MediaInfo:
    """Read a container's header and streams. Raises InputError when it is no media file.

    ``language``: of several programmes the first that has plain sound in it (a tag) is meant, else the first of all.
    """
    with open_media(path) as container:
        return info_of(container, Path(path), language)


def info_of(container: Any, path: Path, language: str | None = None) -> MediaInfo:
    """The same of an open container."""
    header = read_header(container)
    said = _said_beside(container, path)
    pictures = [stream for stream in container.streams.video if is_picture(stream)]
    in_order = {index: place for place, index in enumerate(header.programs)}  # whatever order their streams have
    pictures.sort(key=lambda stream: in_order.get(stream.index, len(in_order)))

    def sounds(picture: Any) -> tuple[AudioTrack, ...]:
        programs = [] if picture is None else header.programs.get(picture.index, [])
        tracks = [_audio(stream, header, programs, said.get(stream.index)) for stream in container.streams.audio]
        zero = _zero(container, header, picture)
        starts = {track.index: start_of(container, header.beside([track.index])) for track in tracks if track.foreign}
        late = {index: start for index, start in starts.items() if abs(start - zero) > _ONE_CLOCK_SECONDS}
        return tuple(replace(track, start_seconds=late.get(track.index)) for track in tracks)

    def speaks(picture: Any) -> bool:
        return any(track.is_plain and track.language in met_by(language or "") for track in sounds(picture))

    first = next(iter(pictures), None)
    picture = first if language is None else next(filter(speaks, pictures), first)
    return MediaInfo(
        path=path,
        format=container.format.name,
        start_seconds=_zero(container, header, picture),
        duration_seconds=_duration_seconds(container, path),
        video=None if picture is None else _video(picture, pictures, header),
        audio=sounds(picture),
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
    if not container.duration or container.duration < 0:
        return None
    # Matroska's is where its clock ends
    begin = max(0, container.start_time or 0) if "matroska" in container.format.name else 0
    ticks = container.duration - begin if begin < container.duration else container.duration
    return float(ticks / av.time_base)


def _zero(container: Any, header: Header, picture: Any) -> Fraction:
    return start_of(container, set() if picture is None else header.beside([picture.index]))


def start_of(container: Any, within: Collection[int] = ()) -> Fraction:
    """The zero of the film's own clock, in seconds of the container's timestamps.

    ``within``: of several programmes the streams of the film's own.
    """
    streams = (container.streams[index] for index in within)
    starts = [
        stream.start_time * stream.time_base
        for stream in streams
        if stream.type in ("video", "audio") and stream.start_time is not None
    ]
    return min(starts, default=Fraction(container.start_time or 0, av.time_base))


def zero_beside(film: MediaInfo, beside: MediaInfo) -> Fraction:
    """The film's zero on the clock of a file beside it: where both count from one, a sound that begins late is late.

    Matroska and MP4 count from the film's zero, which is 0 for those made beside a broadcast, and transport streams of
    one broadcast have one clock. Others, and those whose sound would lie outside the film, begin with it: MPEG audio
    begins with its encoder's delay.
    """
    counts = _counts_from_zero(beside)

    def lies_within(zero: Fraction) -> bool:
        late = beside.start_seconds - zero
        return late >= -_PRIMING_SECONDS and (film.duration_seconds is None or late < film.duration_seconds)

    own = [film.start_seconds] if counts or beside.format == film.format == "mpegts" else []
    if counts and (_counts_from_zero(film) or abs(beside.start_seconds - film.start_seconds) <= _PRIMING_SECONDS):
        own.append(Fraction(0))
    elif counts:
        own.insert(0, Fraction(0))
    return next(filter(lies_within, own), beside.start_seconds)


def _counts_from_zero(info: MediaInfo) -> bool:
    return any(name in info.format for name in _COUNT_FROM_ZERO)


def is_picture(stream: Any) -> bool:
    """A film's picture: not a cover image, and with a decoder."""
    disposition = av.stream.Disposition
    still = disposition.attached_pic | disposition.timed_thumbnails
    return stream.codec_context is not None and not stream.disposition & still


def _video(stream: Any, pictures: Sequence[Any], header: Header) -> VideoTrack:
    """One of the pictures."""
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
