"""Recordings of broadcasts: what changes on their way."""

import struct
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


def two_programmes(path, first, second):
    """One transport stream of two films: {"level": of the picture, "clock": seconds, "tracks": {tag: Hz}} each."""
    packets = []
    for number, about in enumerate((first, second), start=1):
        part = path.with_name(f"part{number}.ts")
        _programme(part, number, **about)
        data = part.read_bytes()
        packets.append([data[at : at + 188] for at in range(0, len(data), 188)])
        part.unlink()
    longest = max(map(len, packets))
    with open(path, "wb") as file:
        for at in range(longest):
            if at % 20 == 0:
                file.write(_PAT_OF_TWO)
            for of in packets:
                new = of[at * len(of) // longest : (at + 1) * len(of) // longest]
                file.writelines(packet for packet in new if packet[1] & 0x1F or packet[2] > 0x1F)  # not its own tables


def _programme(path, number, level, tracks, clock=0, seconds=3.5):
    base = 0x100 * number
    options = {"mpegts_service_id": str(number), "mpegts_pmt_start_pid": str(base), "mpegts_start_pid": str(base + 1)}
    with av.open(str(path), "w", format="mpegts", options=options) as container:
        video = container.add_stream("mpeg2video", rate=25)
        video.width, video.height, video.pix_fmt = 64, 36, "yuv420p"
        sounds = {hz: container.add_stream("mp2", rate=RATE, layout="stereo") for hz in tracks.values()}
        for tag, hz in tracks.items():
            sounds[hz].metadata["language"] = tag
        for at in range(round(25 * seconds)):
            frame = av.VideoFrame.from_ndarray(np.full((36, 64, 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = at + 25 * clock, Fraction(1, 25)
            container.mux(video.encode(frame))
            for hz, sound in sounds.items():
                tone = np.sin(2 * np.pi * hz * (np.arange(1920) + 1920 * at) / RATE)
                tone += np.random.default_rng(hz + at // 5).normal(size=1920)  # steps of its own
                block = np.repeat((4000 * (1 + (at // 5 * hz // 500 % 3)) / 3 * tone).astype(np.int16), 2)[None]
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, 1920 * at + RATE * clock, Fraction(1, RATE)
                container.mux(sound.encode(frame))
        for stream in (video, *sounds.values()):
            container.mux(stream.encode(None))


def _pat(entries):
    """A programme association table (ISO/IEC 13818-1, 2.4.4.3) in one packet."""
    body = b"\x00\x01\xc1\x00\x00" + b"".join(struct.pack(">HH", number, 0xE000 | pid) for number, pid in entries)
    section = b"\x00" + struct.pack(">H", 0xB000 | len(body) + 4) + body
    crc = 0xFFFFFFFF
    for byte in section:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 1 << 31 else 0)) & 0xFFFFFFFF
    return (b"\x47\x40\x00\x10\x00" + section + struct.pack(">I", crc)).ljust(188, b"\xff")


_PAT_OF_TWO = _pat([(1, 0x100), (2, 0x200)])
