"""Dubs for one's own film from subtitles (paper section 5, point 3): lines are spoken over the lowered original.

The film is read once from start to end for measuring and once for writing, block by block: the picture and the tracks
that are there are copied, each new track is the original sound with the lines of one subtitle file mixed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from dubcli.core.atomic import atomic_write
from dubcli.dub.config import DubConfig
from dubcli.errors import InputError, UserError
from dubcli.jobs.progress import SILENT, Progress
from dubcli.media.mux import SAMPLE_RATE, SoundTrack, add_audio
from dubcli.media.sources import choose_track
from dubcli.media.streams import info_of, open_media, read_info, short
from dubcli.media.subtitles import SUFFIXES, Script, Subtitle, read_subtitles, subtitle_language
from dubcli.speech.engines import named_engines
from dubcli.speech.speaker import Speaker, fitted

Sound = npt.NDArray[np.float32]
RAMP_SECONDS = 0.12
_CENTRE = 2  # of FFmpeg's order of every layout that has a centre: FL FR FC ...
_FOUR_UP = ("5.1", "5.1(side)", "5.0", "5.0(side)")
_NAMES = {"matroska": "Matroska", "mp4": "MP4", "mov": "QuickTime"}
_FORMATS = {".mkv": "matroska", ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov"}
_SILENT_RMS = 1e-4  # -80 dB: the engine said nothing


def dub_film(
    film: str | Path,
    subtitles: Sequence[str | Path],
    out: str | Path | None = None,
    config: DubConfig = DubConfig(),  # noqa: B008 - frozen
    *,
    progress: Progress = SILENT,
    told: Callable[[Script], None] = lambda script: None,
) -> Path:
    """Write a film with one more track per subtitle file, spoken over the lowered original.

    Args:
        film: a file with picture and sound.
        subtitles: files whose language is the last part of the name before ``.srt`` (``film.es.srt``, ``es.srt``; see
            ``dubcli.media.subtitles``).
        out: the film that is written, Matroska, MP4 or QuickTime by its suffix; None: ``<film>.dubbed.mkv`` beside it.
        config: how loud, over which track, by which engine.
        progress: takes a bar.
        told: is called with what became of each file's cues.

    Returns:
        Where the film was written.

    Raises:
        UserError: what cannot be read, has no sound, is in a language no engine speaks, in which nothing is spoken, or
            holds what ``out`` cannot; nothing is written then.

    >>> from dubcli.dub import DubConfig, dub_film
    >>> dub_film("films/film.mkv", ["film.es.srt"], "dubbed.mkv", DubConfig(engine="own_engine:Whistle"))
    PosixPath('dubbed.mkv')
    """
    source = Path(film)
    target = Path(out) if out is not None else source.with_suffix(".dubbed.mkv")
    container_format = _format_of(target)
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"{target} is the film itself; give another name with --out")
    speaker = Speaker(named_engines(config.engine))
    try:
        scripts = _read_scripts(subtitles, speaker, source)
        spoken = sorted({(s.start_seconds, s.stop_seconds) for script in scripts for s in script.subtitles})
        level, end_seconds = _speech_level(source, spoken, config)
        scripts = [_spoken(script.until(end_seconds)) for script in scripts]
        level *= 10 ** (config.gain_db / 20)
        dubs = [
            _Dub(script.language, LineStream(script.subtitles, script.language, speaker, level), config)
            for script in scripts
        ]
        with atomic_write(target) as placeholder, open_media(source) as container:
            _write(container, Path(placeholder.name), container_format, dubs, config, progress)
            scripts = [
                _spoken(replace(script, silent=dub.lines.silent)) for script, dub in zip(scripts, dubs, strict=True)
            ]
    except InputError as error:
        raise UserError(f"{source}: {error}") from None
    except (OSError, av.error.FFmpegError) as error:
        raise UserError(f"cannot write {target} from {source}: {short(error)}{_hint(container_format)}") from None
    for script in scripts:
        told(script)
    return target


def _hint(container_format: str) -> str:
    return "" if container_format == "matroska" else f"; where {_NAMES[container_format]} is the reason, give a .mkv"


def _read_scripts(subtitles: Sequence[str | Path], speaker: Speaker, source: Path) -> list[Script]:
    """What each file says, on the clock of the film's packets. Raises UserError on two files of one language."""
    files: dict[str, Path] = {}
    for file in map(Path, subtitles):
        language = subtitle_language(file)
        try:
            speaker.engine(language)
        except UserError as error:
            raise UserError(f"{file}: {error}; yours is --speech-engine") from None
        if language in files:
            raise UserError(f"{files[language]} and {file} are both in {language}; give one file per language")
        files[language] = file
    if not files:
        raise UserError("no subtitle files; give some with --subs es.srt,fr.srt")
    film = read_info(source)
    rate = None if film.video is None or not film.video.frame_rate else float(film.video.frame_rate)
    scripts = [_spoken(read_subtitles(file, language, rate)) for language, file in files.items()]
    return [script.later(float(film.start_seconds)) for script in scripts]


def _spoken(script: Script) -> Script:
    if not script.spoken:
        raise UserError(f"{script.path}: {script.summary()}; nothing would be spoken, so nothing was written")
    return script


def _format_of(target: Path) -> str:
    """FFmpeg's name of the container that the suffix means."""
    name = _FORMATS.get(target.suffix.lower())
    if name is None:
        raise UserError(f"--out {target}: a dub is Matroska, MP4 or QuickTime; end its name in {', '.join(_FORMATS)}")
    if target.is_dir():
        raise UserError(f"--out {target} is a folder; give a file's name")
    return name


class LineStream:
    """The spoken lines of one language as sound, made when their time comes; blocks are taken in order."""

    def __init__(self, script: Sequence[Subtitle], language: str, speaker: Speaker, level: float) -> None:
        self.script, self.language, self.speaker, self.level = script, language, speaker, level
        self.silent = 0  # lines of which the engine made no sound
        self._next = 0
        self._sounding: list[tuple[int, Sound]] = []

    def block(self, first: int, length: int) -> Sound:
        """(length,) mono from sample ``first`` on."""
        total = np.zeros(length, np.float32)
        while self._next < len(self.script) and self.script[self._next].start_seconds * SAMPLE_RATE < first + length:
            subtitle = self.script[self._next]
            self._sounding.append((round(subtitle.start_seconds * SAMPLE_RATE), self._say(subtitle)))
            self._next += 1
        for start, sound in self._sounding:
            a, b = max(start, first), min(start + len(sound), first + length)
            if a < b:
                total[a - first : b - first] += sound[a - start : b - start]
        self._sounding = [(start, sound) for start, sound in self._sounding if start + len(sound) > first + length]
        return total

    def _say(self, subtitle: Subtitle) -> Sound:
        after = self.script[self._next + 1].start_seconds if self._next + 1 < len(self.script) else float("inf")
        # a line may run on into the silence after it, as long as the next has not begun
        room = max(subtitle.stop_seconds, min(after, subtitle.stop_seconds + 1.0)) - subtitle.start_seconds
        sound = fitted(subtitle.text, self.language, room, self.speaker)
        rms = float(np.sqrt(np.mean(sound**2))) if sound.size else 0.0
        if rms < _SILENT_RMS:
            self.silent += 1
            return np.zeros(0, np.float32)
        return np.asarray(sound * (self.level / rms), np.float32)


class _Dub:
    """One new track: its lines, when the original is lowered, and the encoder's stream."""

    def __init__(self, language: str, lines: LineStream, config: DubConfig) -> None:
        self.language, self.lines, self.config = language, lines, config
        self.spoken = [(s.start_seconds, s.stop_seconds) for s in lines.script]
        self.stream: Any = None
        self.fold = 1.0

    def mixed(self, original: Sound, first: int) -> Sound:
        """(channels, samples) with the voices that are there lowered and the lines put where voices are."""
        low = np.float32(10 ** (self.config.duck_db / 20))
        sound = original.copy()
        if self.config.speech == "duck":
            sound *= duck_gain(self.spoken, first, original.shape[1], float(low))
        elif _has_centre(original):
            sound[_CENTRE] *= low
        elif len(original) == 2:
            sound -= (1 - low) * original.mean(0)
        line = self.lines.block(first, original.shape[1])
        if _has_centre(original):
            sound[_CENTRE] += line
        else:
            sound[:2] += line
        return np.asarray(sound.clip(-1, 1))


def _has_centre(sound: Sound) -> bool:
    return len(sound) in (3, 5, 6, 7, 8)


def duck_gain(spoken: Sequence[tuple[float, float]], first: int, length: int, low: float) -> Sound:
    """(length,) gains from sample ``first`` on: ``low`` while a line is spoken, else 1, ramps of 120 ms between."""
    times = (first + np.arange(length)) / SAMPLE_RATE
    nearness = np.zeros(length)
    for start, stop in spoken:
        if stop + RAMP_SECONDS < times[0] or start - RAMP_SECONDS > times[-1]:
            continue
        inside = np.minimum(times - (start - RAMP_SECONDS), (stop + RAMP_SECONDS) - times) / RAMP_SECONDS
        nearness = np.maximum(nearness, np.clip(inside, 0, 1))
    gains: Sound = (1 - (1 - low) * nearness).astype(np.float32)
    return gains


def _audio_stream(container: Any, config: DubConfig) -> Any:
    source = Path(container.name.removeprefix("file:"))
    try:
        track = choose_track(info_of(container, source).audio, config.original)
    except InputError as error:
        raise UserError(f"{source}: {error}; dubav ls shows what it has") from None
    return container.streams[track.index]


def _speech_level(film: Path, spoken: Sequence[tuple[float, float]], config: DubConfig) -> tuple[float, float]:
    """RMS of the original's voices: of the centre (else of the mean) while somebody speaks; at least -50 dB.

    And where the original ends, in seconds."""
    power, samples, end = 0.0, 0, 0
    with open_media(film) as container:
        stream = _audio_stream(container, config)
        for first, block in _blocks(container.demux(stream), stream):
            end = max(end, first + block.shape[1])
            talking = duck_gain(spoken, first, block.shape[1], 0.0) == 0
            voice = block[_CENTRE] if _has_centre(block) else block[:2].mean(0)
            power += float(np.sum(voice[talking].astype(np.float64) ** 2))
            samples += int(talking.sum())
    level = max(float(np.sqrt(power / max(samples, 1))), 10 ** (-50 / 20)) if power else 0.05
    return level, end / SAMPLE_RATE


def _blocks(packets: Any, stream: Any) -> Iterator[tuple[int, Sound]]:
    """(position, (channels, samples)) at 48 kHz of one stream's packets, in its own layout.

    Here and in ``_write`` swresample and not media.resample: a frame's samples have to come out at once, beside its own
    time stamp, with gaps between frames kept; soxr's long filter would hold them back across gaps. Films at 48 kHz
    pass unchanged, and what is made is encoded anew; features are made from that by the one resampler.
    """
    resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE, layout=_layout(stream))
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        for frame in frames:
            at = None if frame.pts is None else frame.pts * Fraction(frame.time_base)
            for part in resampler.resample(frame):
                position = 0 if at is None else round(at * SAMPLE_RATE)
                yield position, part.to_ndarray().astype(np.float32, copy=False)


def _layout(stream: Any) -> str:
    name = stream.codec_context.layout.name
    return name if name in ("mono", "stereo", *_FOUR_UP) else "stereo" if stream.codec_context.channels <= 2 else "5.1"


def _write(
    container: Any, path: Path, container_format: str, dubs: list[_Dub], config: DubConfig, progress: Progress
) -> None:
    """Copy what is there and add the new tracks, in the film's own interleaving."""
    original = _audio_stream(container, config)
    total = None if not container.duration else container.duration / av.time_base
    with av.open(str(path), "w", format=container_format) as target:
        copies = {}
        for stream in container.streams:
            if stream.type in ("video", "audio") and stream.codec_context is not None:
                copies[stream.index] = _copied(stream, target)
        layout = _layout(original)
        for dub in dubs:
            empty = np.zeros((av.AudioLayout(layout).nb_channels, 0), np.float32)
            codec = "ac3" if layout in _FOUR_UP else "aac"
            about = SoundTrack(sound=empty, language=dub.language, layout=layout, codec=codec, title="synthesised dub")
            dub.stream = add_audio(target, about)
        _begin(target)
        writers = [_Writer(target, dub, layout) for dub in dubs]
        progress.start("dub", total, "s")
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE, layout=layout)
        for packet in container.demux(*[stream for stream in container.streams if stream.index in copies]):
            if packet.dts is None:
                continue
            if packet.stream.index == original.index:
                _dub_packet(packet, resampler, writers)
                progress.update("dub", float(packet.dts * packet.time_base))
            packet.stream = copies[packet.stream.index]
            target.mux(packet)
        for writer in writers:
            writer.finish()
        progress.finish("dub")


def _copied(stream: Any, target: Any) -> Any:
    """A stream of ``target`` for the packets of ``stream``. Raises UserError where the container has no such codec."""
    codec = stream.codec_context.codec.canonical_name
    with suppress(ValueError, av.error.FFmpegError):
        copy = target.add_stream_from_template(stream)
        copy.metadata.update(stream.metadata)
        return copy
    raise UserError(
        f"{_NAMES[target.format.name]} holds no {codec}, which the film has; give a name in .mkv with --out"
    )


def _begin(target: Any) -> None:
    """Write the header, where FFmpeg refuses what the container cannot hold."""
    try:
        target.start_encoding()
    except (ValueError, av.error.FFmpegError) as error:
        codecs = ", ".join(dict.fromkeys(stream.codec_context.name for stream in target.streams))
        name = _NAMES[target.format.name]
        raise UserError(f"{name} does not take {codecs} ({short(error)}); give a name in .mkv with --out") from None


def _dub_packet(packet: Any, resampler: Any, writers: list[_Writer]) -> None:
    try:
        frames = packet.decode()
    except av.error.InvalidDataError:
        return  # the next packet's time stamp shows the gap
    for frame in frames:
        at = None if frame.pts is None else round(frame.pts * Fraction(frame.time_base) * SAMPLE_RATE)
        for part in resampler.resample(frame):
            for writer in writers:
                writer.write(part.to_ndarray(), at)


class _Writer:
    """Collects mixed sound into the encoder's frames; a gap in the original's time stamps becomes silence."""

    def __init__(self, target: Any, dub: _Dub, layout: str) -> None:
        self.target, self.dub, self.layout = target, dub, layout
        self.held: Sound | None = None
        self.position: int | None = None  # of the sample after those held

    def write(self, original: Sound, at: int | None) -> None:
        """Mix one block; ``at`` is its first sample on the film's clock, None right after the last one."""
        if self.position is None:
            # an original that begins late has lines before it
            self.position = min(at or 0, 0) if (at or 0) > SAMPLE_RATE // 100 else at or 0
            self.held = np.zeros((len(original), 0), np.float32)
        gap = 0 if at is None else at - self.position
        if gap > SAMPLE_RATE // 100:
            for start in range(0, gap, SAMPLE_RATE):
                self._mix(np.zeros((len(original), min(SAMPLE_RATE, gap - start)), np.float32))
        self._mix(original)

    def _mix(self, original: Sound) -> None:
        assert self.held is not None
        assert self.position is not None
        self.held = np.concatenate([self.held, self.dub.mixed(original, self.position)], axis=1)
        self.position += original.shape[1]
        self._encode(self.dub.stream.codec_context.frame_size or 1536)

    def _encode(self, size: int) -> None:
        assert self.held is not None
        assert self.position is not None
        while self.held.shape[1] >= size > 0:
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(self.held[:, :size]), format="fltp", layout=self.layout
            )
            frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
            frame.pts = self.position - self.held.shape[1]
            self.held = self.held[:, size:]
            self.target.mux(self.dub.stream.encode(frame))

    def finish(self) -> None:
        """Encode the rest and end the stream."""
        if self.held is not None and self.held.shape[1]:
            self._encode(self.held.shape[1])
        self.target.mux(self.dub.stream.encode(None))


def subtitle_list(text: str) -> list[Path]:
    """``"es.srt,fr.vtt"`` -> paths; a comma within a name is part of it."""
    parts: list[str] = []
    for piece in text.split(","):
        if parts and not parts[-1].lower().endswith(SUFFIXES):
            parts[-1] += f",{piece}"
        else:
            parts.append(piece)
    return [Path(part.strip()) for part in parts if part.strip()]
