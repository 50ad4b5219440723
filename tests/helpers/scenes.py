"""Sound that is as various as a film's: notes, words of noise, pauses, drawn from a seed."""

from fractions import Fraction

import av
import numpy as np

SOUND_RATE = 48000


def scene(seed, seconds):
    """(2, samples): notes of many pitches, and bursts of noise that swell and fade."""
    generator = np.random.default_rng(seed)
    out = np.zeros((2, round(seconds * SOUND_RATE)), np.float32)
    at = 0.0
    while at < seconds - 0.6:
        length = round(float(generator.uniform(0.08, 0.5)) * SOUND_RATE)
        times = np.arange(length) / SOUND_RATE
        pitch = float(np.exp(generator.uniform(np.log(120), np.log(4000))))
        tone = np.sin(2 * np.pi * pitch * times) + 0.5 * np.sin(4.02 * np.pi * pitch * times)
        shape = np.sin(np.pi * np.arange(length) / length) ** 2 * np.exp(-4 * times)
        sound = shape * (tone + float(generator.uniform(0, 0.6)) * generator.normal(size=length))
        first = round(at * SOUND_RATE)
        out[:, first : first + length] += 0.2 * sound * generator.uniform(0.3, 1, size=(2, 1))
        at += float(generator.uniform(0.05, 0.3))
    return out


def encode(path, sound, codec, bit_rate=None, tag="eng"):
    """A film with a small grey picture, and this as its sound."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=8)
        video.width, video.height, video.pix_fmt = 32, 18, "yuv420p"
        audio = container.add_stream(codec, rate=SOUND_RATE, layout="stereo")
        audio.metadata["language"] = tag
        if bit_rate is not None:
            audio.bit_rate = bit_rate
        for number in range(round(sound.shape[1] / SOUND_RATE * 8)):
            frame = av.VideoFrame.from_ndarray(np.full((18, 32, 3), 90 + number % 50, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 8)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        resampler = av.AudioResampler(format=audio.format, layout="stereo", rate=SOUND_RATE)
        for first in range(0, sound.shape[1], SOUND_RATE):
            block = np.ascontiguousarray(sound[:, first : first + SOUND_RATE], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
            for part in resampler.resample(frame):
                container.mux(audio.encode(part))
        container.mux(audio.encode(None))
