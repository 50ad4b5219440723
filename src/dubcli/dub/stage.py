"""Dubs for one's own film from subtitles (paper section 5, point 3): lines are spoken over the lowered original.

The film is read once from start to end for measuring and once for writing, block by block: the picture and the tracks
that are there are copied, each new track is the original sound with the lines of one subtitle file mixed in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
from dubcli.media.languages import language_tag
from dubcli.media.mux import SAMPLE_RATE, SoundTrack, add_audio
from dubcli.media.sources import choose_track
from dubcli.media.streams import describe, open_media
from dubcli.media.subtitles import Subtitle, read_srt
from dubcli.speech.engines import named_engines
from dubcli.speech.speaker import Speaker, fitted

Sound = npt.NDArray[np.float32]
RAMP_SECONDS = 0.12
_CENTRE = 2  # of FFmpeg's order of every layout that has a centre: FL FR FC ...
_FOUR_UP = ("5.1", "5.1(side)", "5.0", "5.0(side)")


def dub_film(
    film: str | Path,
    subtitles: Sequence[str | Path],
    out: str | Path | None = None,
    config: DubConfig = DubConfig(),  # noqa: B008 - frozen
    *,
    progress: Progress = SILENT,
) -> Path:
    """Write ``out`` (default: ``<film>.dubbed.mkv`` beside the film) with one more sound track per subtitle file.

    The language of a subtitle file is the last part of its name before ``.srt`` (``film.es.srt``, ``es.srt``).
    Raises UserError on what cannot be read, has no sound, or is in a language no engine speaks.
    """
    source = Path(film)
    target = Path(out) if out is not None else source.with_suffix(".dubbed.mkv")
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"{target} is the film itself; give another name with --out")
    speaker = Speaker(named_engines(config.engine))
    scripts = {}
    for file in subtitles:
        language = _language_of(Path(file))
        speaker.engine(language)
        scripts[language] = read_srt(file)
    if not scripts:
        raise UserError("no subtitle files; give some with --subs es.srt,fr.srt")
    spoken = sorted({(s.start_seconds, s.stop_seconds) for script in scripts.values() for s in script})
    level = _speech_level(source, spoken, config)
    dubs = [
        _Dub(language, Lines(script, language, speaker, level * 10 ** (config.gain_db / 20)), config)
        for language, script in scripts.items()
    ]
    with atomic_write(target) as placeholder, open_media(source) as container:
        _write(container, Path(placeholder.name), dubs, config, progress)
    return target


def _language_of(path: Path) -> str:
    tag = language_tag(path.stem.rsplit(".", 1)[-1])
    if tag is None:
        raise UserError(f"{path} does not say its language; name it as in film.es.srt or es.srt")
    return tag


class Lines:
    """The spoken lines of one language as sound, made when their time comes; blocks are taken in order."""

    def __init__(self, script: Sequence[Subtitle], language: str, speaker: Speaker, level: float) -> None:
        self.script, self.language, self.speaker, self.level = script, language, speaker, level
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
        rms = float(np.sqrt(np.mean(sound**2))) if sound.size else 1.0
        return np.asarray(sound * (self.level / (rms + 1e-9)), np.float32)


class _Dub:
    """One new track: its lines, when the original is lowered, and the encoder's stream."""

    def __init__(self, language: str, lines: Lines, config: DubConfig) -> None:
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
        track = choose_track(describe(container, source).audio, config.original)
    except InputError as error:
        raise UserError(f"{source.name}: {error}; dubav ls shows what it has") from None
    return container.streams[track.index]


def _speech_level(film: Path, spoken: Sequence[tuple[float, float]], config: DubConfig) -> float:
    """RMS of the original's voices: of the centre (else of the mean) while somebody speaks; at least -50 dB."""
    power, samples = 0.0, 0
    with open_media(film) as container:
        stream = _audio_stream(container, config)
        for first, block in _blocks(container.demux(stream), stream):
            talking = duck_gain(spoken, first, block.shape[1], 0.0) == 0
            voice = block[_CENTRE] if _has_centre(block) else block[:2].mean(0)
            power += float(np.sum(voice[talking].astype(np.float64) ** 2))
            samples += int(talking.sum())
    return max(np.sqrt(power / max(samples, 1)), 10 ** (-50 / 20)) if power else 0.05


def _blocks(packets: Any, stream: Any) -> Iterator[tuple[int, Sound]]:
    """(position, (channels, samples)) at 48 kHz of one stream's packets, in its own layout."""
    resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE, layout=_layout(stream))
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        for frame in frames:
            at = None if frame.pts is None else frame.pts * Fraction(frame.time_base)
            for part in resampler.resample(frame):
                yield (round((at or 0) * SAMPLE_RATE) if at is not None else 0), part.to_ndarray()


def _layout(stream: Any) -> str:
    name = stream.codec_context.layout.name
    return name if name in ("mono", "stereo", *_FOUR_UP) else "stereo" if stream.codec_context.channels <= 2 else "5.1"


def _write(container: Any, path: Path, dubs: list[_Dub], config: DubConfig, progress: Progress) -> None:
    """Copy what is there and add the new tracks, in the film's own interleaving."""
    original = _audio_stream(container, config)
    total = None if not container.duration else container.duration / av.time_base
    with av.open(str(path), "w", format="matroska") as target:
        copies = {}
        for stream in container.streams:
            if stream.type in ("video", "audio") and stream.codec_context is not None:
                copies[stream.index] = target.add_stream_from_template(stream)
                copies[stream.index].metadata.update(stream.metadata)
        layout = _layout(original)
        for dub in dubs:
            empty = np.zeros((av.AudioLayout(layout).nb_channels, 0), np.float32)
            codec = "ac3" if layout in _FOUR_UP else "aac"
            about = SoundTrack(sound=empty, language=dub.language, layout=layout, codec=codec, title="synthesised dub")
            dub.stream = add_audio(target, about)
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
            self.position = at or 0
            self.held = np.zeros((len(original), 0), np.float32)
        gap = 0 if at is None else at - self.position
        if gap > SAMPLE_RATE // 100:
            original = np.concatenate([np.zeros((len(original), gap), np.float32), original], axis=1)
        assert self.held is not None
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
    """``"es.srt,fr.srt"`` -> paths."""
    return [Path(part) for part in re.split(r",(?=[^,]*\.srt)", text) if part.strip()]
