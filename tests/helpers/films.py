"""Small films for tests."""

from fractions import Fraction

import av
import numpy as np


def make_film(path, seconds, *, rate=24, size=(160, 120), tracks=("eng",), codec="mpeg4", first_level=16):
    """Each frame is grey, of a level that grows by time; each track is a tone of its own."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.bit_rate = 4_000_000
        streams = []
        for tag in tracks:
            stream = container.add_stream("pcm_s16le", rate=48000, layout="stereo")
            stream.metadata["language"] = tag
            streams.append(stream)
        for number in range(round(seconds * rate)):
            level = first_level + int(200 * number / max(1, round(seconds * rate)))
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), level, dtype=np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number, stream in enumerate(streams):
            times = np.arange(round(seconds * 48000)) / 48000
            tone = (8000 * np.sin(2 * np.pi * 500 * (number + 1) * times)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
