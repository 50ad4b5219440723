"""Real containers made in the test: moving pictures, tracks with known sound, in any codec PyAV can write."""

import zlib
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

RATE = 48000


@dataclass
class Track:
    """A sound track. ``sound`` is (channels, samples) at 48 kHz, or None for seeded noise over a shared background."""

    language: str | None = "eng"
    layout: str = "stereo"
    codec: str = "ac3"
    sound: np.ndarray | None = None
    title: str | None = None
    disposition: int = 0
    delay_seconds: float = 0.0
    seed: int | None = None  # of what is said; by default the language's own: a dub is not the original again
    options: dict = field(default_factory=dict)


def background(seconds, seed=0):
    """(2, samples): noise whose loudness changes at irregular instants, as music and effects do."""
    generator = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    noise = generator.normal(size=(2, samples)).astype(np.float32)
    noise = (noise + np.roll(noise, 1, axis=1) + np.roll(noise, 2, axis=1)) / 3
    steps = np.cumsum(generator.uniform(0.1, 0.6, size=int(seconds * 10) + 2))
    loudness = generator.uniform(0, 1, size=steps.size + 1) ** 2
    return 0.2 * noise * loudness[np.searchsorted(steps, np.arange(samples) / RATE)].astype(np.float32)


def default_sound(track, seconds, channels):
    """The shared background in every channel pair, and other "speech" for every seed."""
    seed = zlib.crc32((track.language or "").encode()) if track.seed is None else track.seed
    generator = np.random.default_rng(1000 + seed)
    shared = background(seconds)
    voice = 0.05 * generator.normal(size=shared.shape[1]).astype(np.float32)
    rows = [shared[channel % 2] + voice for channel in range(channels)]
    return np.stack(rows).astype(np.float32)


def picture(index, width, height, flash=False):
    """(height, width, 3): a gradient that moves, a white square that counts; white where ``flash``."""
    if flash:
        return np.full((height, width, 3), 255, np.uint8)
    y, x = np.mgrid[:height, :width]
    image = np.stack([(x + 3 * index) % 256, (y + 2 * index) % 256, (x + y + 5 * index) % 256], axis=-1)
    side = max(2, height // 6)
    left = index * 7 % max(1, width - side)
    image[height // 3 : height // 3 + side, left : left + side] = 255
    return image.astype(np.uint8)


def make_film(
    path,
    *,
    seconds=6.5,
    fps=24,
    size=(64, 36),
    video_codec="libx264",
    video_options=None,
    pix_fmt="yuv420p",
    tracks=None,
    frame_times=None,
    flashes=(),
    gop=24,
    sar=None,
    rotation=None,
    container_options=None,
    colours=None,
):
    """Write a film. ``frame_times``: 60ths of a second, for a variable rate; ``flashes``: white frames' numbers.

    ``colours``: the encoder's colour_range and so on, by name.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = None
        if video_codec is not None:
            rate = Fraction(60 if frame_times is not None else fps)
            video = container.add_stream(video_codec, rate=rate, options=video_options or {})
            video.width, video.height, video.pix_fmt = *size, pix_fmt
            video.codec_context.gop_size = gop
            video.codec_context.time_base = 1 / rate
            for name, value in (colours or {}).items():
                setattr(video.codec_context, name, value)
            if sar is not None:
                video.codec_context.sample_aspect_ratio = Fraction(sar)
            if rotation is not None:
                video.set_display_rotation(rotation)
        sounds = [_SoundWriter(container, track, seconds) for track in ([Track()] if tracks is None else tracks)]
        _write(container, video, sounds, frame_times, seconds, fps, size, pix_fmt, set(flashes))


def _write(container, video, sounds, frame_times, seconds, fps, size, pix_fmt, flashes):
    if frame_times is None:
        frame_times = [Fraction(number) / Fraction(fps) for number in range(round(seconds * Fraction(fps)))]
    else:
        frame_times = [Fraction(time, 60) for time in frame_times]
    if video is not None:
        for number, at in enumerate(frame_times):
            frame = av.VideoFrame.from_ndarray(picture(number, *size, number in flashes), format="rgb24")
            frame = frame.reformat(format=pix_fmt)
            frame.time_base = video.codec_context.time_base
            frame.pts = round(Fraction(at) / frame.time_base)
            container.mux(video.encode(frame))
            for sound in sounds:
                sound.write(float(at) + 0.5)
    for sound in sounds:
        sound.write(float("inf"))
        sound.finish()
    if video is not None:
        container.mux(video.encode(None))


class _SoundWriter:
    """Encodes one track, a tenth of a second at a time, interleaved with the picture."""

    def __init__(self, container, track, seconds):
        self._container, self._track, self._position = container, track, 0
        self._stream = container.add_stream(track.codec, rate=RATE, layout=track.layout, options=track.options)
        if track.language is not None:
            self._stream.metadata["language"] = track.language
        if track.title is not None:
            self._stream.metadata["title"] = track.title
        if track.disposition:
            self._stream.disposition = track.disposition
        channels = len(av.AudioLayout(track.layout).channels)
        self._sound = default_sound(track, seconds, channels) if track.sound is None else track.sound

    def write(self, until_seconds):
        while self._position < self._sound.shape[1] and self._position / RATE < until_seconds:
            block = np.ascontiguousarray(self._sound[:, self._position : self._position + RATE // 10], np.float32)
            if block.shape[0] < 8:
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=self._track.layout)
            else:  # PyAV 18.1 counts nine planes of eight
                packed = np.ascontiguousarray(block.T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=self._track.layout)
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = self._position + round(self._track.delay_seconds * RATE)
            self._container.mux(self._stream.encode(frame))
            self._position += block.shape[1]

    def finish(self):
        self._container.mux(self._stream.encode(None))
