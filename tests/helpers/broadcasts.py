"""Recordings of broadcasts: what changes on their way."""

from fractions import Fraction

import av
import numpy as np

from helpers.containers import RATE


def changing_film(path, parts):
    """MPEG-2 whose pixel aspect changes: [(aspect, seconds, level)], one elementary stream after another."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg2video", rate=24)
        video.width, video.height, video.pix_fmt = 72, 58, "yuv420p"
        sound = container.add_stream("mp2", rate=RATE, layout="stereo")
        sound.metadata["language"] = "eng"
        number = 0
        for aspect, seconds, level in parts:
            encoder = av.CodecContext.create("mpeg2video", "w")
            encoder.width, encoder.height, encoder.pix_fmt = 72, 58, "yuv420p"
            encoder.framerate, encoder.time_base = 24, Fraction(1, 24)
            encoder.sample_aspect_ratio = Fraction(aspect)
            packets = []
            for _ in range(24 * seconds):
                packets += encoder.encode(av.VideoFrame.from_ndarray(np.full((58, 72, 3), level, np.uint8)))
            for packet in [*packets, *encoder.encode(None)]:
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base, copy.is_keyframe = video, Fraction(1, 90000), packet.is_keyframe
                copy.pts = copy.dts = number * 3750
                container.mux_one(copy)
                number += 1
        for start in range(0, RATE * number // 24, 1152):
            frame = av.AudioFrame.from_ndarray(np.full((1, 2304), 3000, np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(sound.encode(frame))


NARROW, WIDE = "16/15", "64/45"
